package pooltest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
)

// closeTimeout is how long a test waits at its end for values to be destroyed.
const closeTimeout = 10 * time.Second

// Pool is a pool whose hooks count, and fail when they are told to.
// Give the Pool in it to the code under test. Make one with New.
// All methods may be called from any goroutine.
type Pool[T any] struct {
	*pool.Pool[T]

	t     testing.TB
	hooks resource.Hooks[T] // those that New was given

	mu     sync.Mutex // protects the following
	counts map[pool.Op]int
	faults map[pool.Op]func(ctx context.Context) error
}

// New returns a pool that ends with the test: then every lease has to be back, as Check says, and it is closed.
// Options.LeakAfter defaults to an hour here, so that the line that acquired a lease is known.
// The test fails at once if hooks or options are not valid.
func New[T any](t testing.TB, hooks resource.Hooks[T], options pool.Options) *Pool[T] {
	t.Helper()
	if options.LeakAfter == 0 {
		options.LeakAfter = time.Hour
	}
	p := &Pool[T]{
		t: t, hooks: hooks,
		counts: make(map[pool.Op]int),
		faults: make(map[pool.Op]func(ctx context.Context) error),
	}
	if hooks.Construct != nil { // else New says so
		hooks = p.faulty()
	}
	var err error
	if p.Pool, err = pool.New(hooks, options); err != nil {
		t.Fatalf("headpond/pooltest: %v", err)
	}
	t.Cleanup(p.close)
	Check(t, p.Pool)
	return p
}

// faulty are the hooks with what counts them and makes them fail.
func (p *Pool[T]) faulty() resource.Hooks[T] {
	use := func(op pool.Op, hook func(ctx context.Context, value T) error) func(ctx context.Context, value T) error {
		return func(ctx context.Context, value T) error {
			if err := p.called(ctx, op); err != nil || hook == nil {
				return err
			}
			return hook(ctx, value)
		}
	}
	return resource.Hooks[T]{
		Construct: func(ctx context.Context) (value T, err error) {
			if err := p.called(ctx, pool.Construct); err != nil {
				return value, err
			}
			return p.hooks.Construct(ctx)
		},
		Check:   use(pool.Check, p.hooks.Check),
		Prepare: use(pool.Prepare, p.hooks.Prepare),
		Reset:   use(pool.Reset, p.hooks.Reset),
		Destroy: func(ctx context.Context, value T) (err error) {
			if p.hooks.Destroy != nil { // deferred: whatever the fault does, the value must end
				defer func() { err = errors.Join(p.hooks.Destroy(ctx, value), err) }()
			}
			return p.called(ctx, pool.Destroy)
		},
	}
}

// called counts a hook that is called, and returns the error that it is to return instead.
func (p *Pool[T]) called(ctx context.Context, op pool.Op) error {
	p.mu.Lock()
	p.counts[op]++
	fault := p.faults[op]
	p.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(ctx)
}

// Count returns how often a hook was called, whether it failed or not.
// op is one of pool.Construct, Check, Prepare, Reset and Destroy; any other ends the test. Acquires, leases and the rest are in Stats.
func (p *Pool[T]) Count(op pool.Op) int {
	p.t.Helper()
	p.hook(op)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[op]
}

// Fail makes a hook return err, from its next call on; nil makes it work again.
// op is one of pool.Construct, Check, Prepare, Reset and Destroy, whether the pool was given such a hook or not;
// any other ends the test.
// The pool's own does not run in its place, but Destroy, which has to end the value.
// What Construct and Prepare return is what Acquire wraps.
func (p *Pool[T]) Fail(op pool.Op, err error) {
	p.t.Helper()
	if err == nil {
		p.On(op, nil)
		return
	}
	p.On(op, func(context.Context) error { return err })
}

// FailNext makes the next n calls of a hook return err; those after them find it working. Else it is Fail.
func (p *Pool[T]) FailNext(op pool.Op, n int, err error) {
	p.t.Helper()
	var mu sync.Mutex
	p.On(op, func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if n--; n < 0 {
			return nil
		}
		return err
	})
}

// On calls do before a hook, with its ctx, from its next call on: to return an error as Fail does,
// to wait for the end of ctx, to hold the hook up, to panic. It replaces what Fail, FailNext or On said of that hook;
// nil ends it. Destroy's own hook runs after do, whatever that does. do is called from any goroutine.
func (p *Pool[T]) On(op pool.Op, do func(ctx context.Context) error) {
	p.t.Helper()
	p.hook(op)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[op] = do
}

// hook ends the test if op has no hook.
func (p *Pool[T]) hook(op pool.Op) {
	switch op {
	case pool.Construct, pool.Check, pool.Prepare, pool.Reset, pool.Destroy:
	default:
		p.t.Helper()
		p.t.Fatalf("headpond/pooltest: %v is not a hook: it must be Construct, Check, Prepare, Reset or Destroy", op)
	}
}

// close closes the pool at the end of the test. It does not wait for leases that Check has reported.
func (p *Pool[T]) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	leaked := len(p.Holders()) > 0
	if leaked {
		cancel()
	}
	if err := p.Close(ctx); err != nil && !leaked {
		p.t.Errorf("headpond/pooltest: %v", err)
	}
}
