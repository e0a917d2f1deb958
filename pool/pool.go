package pool

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/internal/gate"
	"github.com/headpond/headpond/resource"
	"github.com/jackc/puddle/v2"
)

// Pool holds values of T ready for use by many goroutines. Make one with New.
// All methods may be called from any goroutine.
type Pool[T any] struct {
	hooks   resource.Hooks[T]
	options Options
	tap     *Tap // nil: nobody observes

	limited bool // the policy has a limit that Retire looks at
	clocked bool // the time of release matters

	// The gate owns the values' turns; puddle owns their lives: it constructs, registers
	// and destroys them. To puddle a value is acquired from its construction to its end,
	// so that nothing ever waits or is idle there.
	gate   *gate.Gate[*entry[T]]
	values *puddle.Pool[*entry[T]]

	start  time.Time       // all durations count from here
	ctx    context.Context // ends with Close, with the cause ErrClosed
	cancel context.CancelCauseFunc

	generation atomic.Uint64 // values of an earlier one are retired: Evict and Close begin a new one
	lastID     atomic.Uint64
	leaked     atomic.Uint64

	work sync.WaitGroup // goroutines of the pool that build values

	mu      sync.Mutex // protects the following
	live    map[uint64]*entry[T]
	resting *time.Timer // of the rest after a failed build
	upkeep  *time.Timer // of maintain; nil where nothing needs it
	keeping bool        // upkeep will fire, or maintain runs

	maintaining sync.Mutex // held by maintain while it runs
	detach      func()     // of the tap, once
}

// New returns a pool of what hooks construct. It does no I/O and starts nothing:
// the first value is built when somebody needs it. It calls Options.Observer.
// The error names the hook that is missing or the option that is out of range.
func New[T any](hooks resource.Hooks[T], options Options) (*Pool[T], error) {
	options = options.withDefaults()
	if err := hooks.Validate(); err != nil {
		return nil, fmt.Errorf("headpond/pool %q: %w", options.Name, err)
	}
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("headpond/pool %q: %w", options.Name, err)
	}
	policy := options.Policy
	p := &Pool[T]{
		hooks:   hooks,
		options: options,
		limited: policy.MaxLifetime > 0 || policy.MaxIdleTime > 0 || policy.MaxUses > 0,
		clocked: policy.MaxLifetime > 0 || policy.MaxIdleTime > 0 || options.LeakAfter > 0 ||
			hooks.Check != nil && policy.CheckAfterIdle > 0 || hooks.Reset != nil,
		start:  time.Now(),
		live:   make(map[uint64]*entry[T]),
		detach: func() {},
	}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	p.gate = gate.New(options.MaxSize, options.MinIdle, options.MaxWaiters, func(b *gate.Builder[*entry[T]]) {
		p.startBuild(context.Background(), b, true)
	})
	var err error
	p.values, err = puddle.NewPool(&puddle.Config[*entry[T]]{
		Constructor: p.construct,
		Destructor:  p.destruct,
		MaxSize:     math.MaxInt32, // the gate counts
	})
	if err != nil {
		return nil, fmt.Errorf("headpond/pool %q: %w", options.Name, err)
	}
	if options.Observer != nil {
		tap := options.Observer(p)
		p.tap = &tap
		if tap.Detach != nil {
			p.detach = sync.OnceFunc(tap.Detach)
		}
	}
	return p, nil
}

// now is the time since the pool was made.
func (p *Pool[T]) now() time.Duration { return time.Since(p.start) }

// Name returns Options.Name.
func (p *Pool[T]) Name() string { return p.options.Name }

// Options returns the options that are in force, defaults filled in.
// MaxSize is that of New; Stats has the one that Resize set.
func (p *Pool[T]) Options() Options { return p.options }

// Figures returns what Options.Figures returns; nil where that is nil.
func (p *Pool[T]) Figures() []Figure {
	if p.options.Figures == nil {
		return nil
	}
	return p.options.Figures()
}

// Stats returns the pool's figures, all of one instant. It takes one lock for a moment.
func (p *Pool[T]) Stats() Stats {
	s := p.gate.Snapshot(p.now())
	stats := Stats{
		MaxSize: s.Max, Idle: s.Idle, Held: s.Held, Constructing: s.Constructing, Destroying: s.Destroying,
		Waiting: s.Waiting, OldestWait: s.OldestWait, Suspended: s.Suspended, Closed: s.Closed,
		Acquired: s.Acquired, Unfit: s.Unfit, Released: s.Released, Detached: s.Detached,
		Waited: s.Waited, WaitTime: s.WaitTime, TimedOut: s.TimedOut, Cancelled: s.Cancelled, Saturated: s.Saturated,
		Created: s.Created, CreateFailed: s.CreateFailed, DestroyFailed: s.DestroyFailed, Abandoned: s.Abandoned,
		Leaked: p.leaked.Load(), Since: p.start,
	}
	copy(stats.Destroyed[:], s.Destroyed[:])
	return stats
}

var _ [gate.MaxReasons - resource.Reasons]struct{} // every reason has a place in gate.Counts

// Warm constructs what is missing until n values are live, those that are held or being built included,
// all at the same time, and blocks until that is done. What is built lies ready, or goes to those who wait.
//
// The error is an *Error: the first one of Construct, that of ctx as for Acquire (what is being built goes on), ErrClosed,
// that n exceeds MaxSize, or that n are not to be had, since others are being destroyed.
func (p *Pool[T]) Warm(ctx context.Context, n int) error {
	if size := p.gate.Max(); n > size {
		return p.fail(Warm, fmt.Errorf("n is %d: it must not exceed MaxSize, which is %d", n, size))
	}
	if ctx.Err() != nil {
		return p.fail(Warm, ended(ctx))
	}
	builders, turn := p.gate.Reserve(n)
	if turn == gate.Closed {
		return p.fail(Warm, ErrClosed)
	}
	built := make(chan error, len(builders))
	for _, builder := range builders {
		p.work.Go(func() { built <- p.build(context.WithoutCancel(ctx), builder, true) })
	}
	var failed error
	for range builders {
		select {
		case err := <-built:
			if failed == nil {
				failed = err
			}
		case <-ctx.Done():
			return p.fail(Warm, ended(ctx))
		}
	}
	if failed != nil {
		return p.fail(Warm, failed)
	}
	if s := p.gate.Snapshot(0); s.Idle+s.Held+s.Constructing < n && s.Destroying > 0 {
		return p.fail(Warm, fmt.Errorf("%d of %d values are live, and %d being destroyed", s.Idle+s.Held+s.Constructing, n, s.Destroying))
	}
	return nil
}

// Evict retires every value that is live now: idle ones at once, held ones when they come back.
// It does not wait for their destructors. Until these have returned the values keep their slots.
func (p *Pool[T]) Evict() {
	p.generation.Add(1)
	p.retireStale()
}

// retireStale destroys the idle values of earlier generations.
func (p *Pool[T]) retireStale() {
	for {
		e, found := p.gate.Expire(p.stale)
		if !found {
			return
		}
		p.destroy(e, p.staleReason())
	}
}

func (p *Pool[T]) stale(e *entry[T]) bool { return e.generation != p.generation.Load() }

func (p *Pool[T]) staleReason() resource.Reason {
	if p.ctx.Err() != nil {
		return resource.Closed
	}
	return resource.Evicted
}

// Resize sets the maximum of live values. Growing lets waiters in at once.
// Shrinking destroys idle values first, and held ones when they come back;
// until then more than maxSize are live. It does not wait. The error is an *Error, where maxSize is not positive.
func (p *Pool[T]) Resize(maxSize int) error {
	if maxSize < 1 {
		return p.fail(Resize, fmt.Errorf("maxSize is %d: it must be positive", maxSize))
	}
	for _, e := range p.gate.Resize(maxSize) {
		p.destroy(e, resource.Shrunk)
	}
	return nil
}

// Suspend makes every Acquire from now on wait until Resume, within its own limits;
// TryAcquire returns ErrUnavailable. Leases that are out may end, and Warm builds. A second Suspend does nothing.
func (p *Pool[T]) Suspend() { p.gate.Suspend() }

// Resume undoes Suspend, however often that was called. Those who wait get what there is, first come, first served.
func (p *Pool[T]) Resume() { p.gate.Resume() }

// Close ends the pool: every Acquire from now on, and every one that waits, fails with ErrClosed,
// idle values are destroyed, and held ones when they come back, whenever that is.
// Close waits until no value is live, or until ctx ends: then it returns an *Error
// that wraps ctx's and names the holders. It may be called again, and waits again.
// What a Destroy hook returns is no error of Close: it is counted and observed.
// With the ctx of Do, of Lease.Context, or of a hook other than Prepare, it does not wait, but returns ErrNested.
func (p *Pool[T]) Close(ctx context.Context) error {
	idle, drained := p.gate.Close()
	p.cancel(ErrClosed)
	p.generation.Add(1)
	p.mu.Lock()
	for _, timer := range []*time.Timer{p.resting, p.upkeep} {
		if timer != nil {
			timer.Stop()
		}
	}
	p.mu.Unlock()
	for _, e := range idle {
		p.destroy(e, resource.Closed)
	}
	defer p.detach()
	if mark := p.marked(ctx); mark != nil {
		return p.fail(Close, fmt.Errorf("%w: %s", ErrNested, mark.place()))
	}
	select {
	case <-drained:
	default:
		select {
		case <-drained:
		case <-ctx.Done():
			return p.failHeld(Close, ended(ctx), 0)
		}
	}
	p.maintaining.Lock() // when maintain has ended
	defer p.maintaining.Unlock()
	p.work.Wait()
	p.values.Close()
	return nil
}

// fail returns the Error of op.
//
// It is not inlined: its Stats would lie in the frame of every Acquire that waits,
// and make its goroutine's stack grow from 2 to 8 KiB.
//
//go:noinline
func (p *Pool[T]) fail(op Op, err error) *Error {
	return &Error{Pool: p.options.Name, Op: op, Stats: p.Stats(), Err: err}
}

// failHeld is fail for one who waited: with why nothing could be built, and the holders unless it was cancelled.
func (p *Pool[T]) failHeld(op Op, err error, after time.Duration) *Error {
	s := p.gate.Snapshot(0)
	if op == Acquire && s.Cause != nil {
		err = fmt.Errorf("%w; the last Construct failed: %w", err, s.Cause)
	}
	e := p.fail(op, err)
	e.Waited = after
	if op == Close || !errors.Is(err, context.Canceled) {
		e.Holders = p.Holders()
	}
	return e
}

// jitter draws from [0, most).
func jitter(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return rand.N(most)
}
