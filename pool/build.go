package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headpond/headpond/internal/gate"
	"github.com/headpond/headpond/resource"
)

// The rest after a failed Construct doubles from the one to the other.
const (
	shortestRest = 50 * time.Millisecond
	longestRest  = time.Second
)

// grace is what a hook that returns when its ctx ends may take to do so before it is abandoned.
const grace = 100 * time.Millisecond

// abandonedError is the error of a hook that was abandoned.
type abandonedError struct {
	pool  Inspector
	after time.Duration
}

func (e *abandonedError) Error() string {
	return fmt.Sprintf("it did not return when its ctx ended after %v, and was abandoned", e.after)
}

// abandoned reports whether err says that a hook of this pool was abandoned.
func (p *Pool[T]) abandoned(err error) bool {
	var abandoned *abandonedError
	return errors.As(err, &abandoned) && abandoned.pool == Inspector(p)
}

// order is what construct has to know of the build that it is part of; puddle hands it on in the ctx.
type order struct {
	observed   bool
	generation uint64
}

type orderKey struct{}

// startBuild builds a value for builder, in a goroutine of the pool, with the values of ctx.
func (p *Pool[T]) startBuild(ctx context.Context, builder *gate.Builder[*entry[T]], observed bool) {
	p.work.Go(func() { _ = p.build(context.WithoutCancel(ctx), builder, observed) })
}

// build builds a value and brings it to the gate. It has the slot, whatever becomes of the caller.
func (p *Pool[T]) build(ctx context.Context, builder *gate.Builder[*entry[T]], observed bool) error {
	ctx = context.WithValue(ctx, orderKey{}, order{observed, p.generation.Load()})
	handle, err := p.values.Acquire(ctx)
	if err != nil {
		if streak, rest := p.gate.Failed(builder, err, p.abandoned(err)); streak > 0 {
			p.rest(streak, rest)
		}
		return err
	}
	e := handle.Value()
	e.handle = handle
	p.register(e)
	generation := e.generation
	reason := p.accept(e, p.gate.Built(builder, e))
	if generation != p.generation.Load() {
		p.retireStale() // Evict came in between
	}
	if reason == resource.Closed {
		return ErrClosed
	}
	return nil
}

// rest sees to it that after the streak-th failure in a row nothing is built for a while.
func (p *Pool[T]) rest(streak int, number uint64) {
	pause := min(shortestRest<<min(streak-1, 10), longestRest)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() == nil {
		p.resting = time.AfterFunc(pause-jitter(pause/2), func() { p.gate.Rested(number) })
	}
}

// construct is puddle's constructor: it runs the Construct hook.
func (p *Pool[T]) construct(ctx context.Context) (*entry[T], error) {
	if p.ctx.Err() != nil {
		return nil, ErrClosed
	}
	order := ctx.Value(orderKey{}).(order)
	event := Event{Op: Construct, ID: p.lastID.Add(1)}
	timeout := p.options.Policy.ConstructTimeout
	ctx, cancel := p.bounded(ctx, timeout)
	defer cancel()
	mark := &hookMark{op: Construct}
	defer mark.over.Store(true)
	ctx = context.WithValue(ctx, markKey[T]{p}, mark)
	began := p.now()
	if order.observed {
		ctx = p.tap.begin(ctx, event)
	}
	value, err := isolate(p, Construct, timeout, func() (T, error) { return p.hooks.Construct(ctx) }, func(value T) {
		err := p.dispose(event.ID, resource.Discarded, value)
		p.gate.Stray(err != nil, p.abandoned(err))
	})
	if err != nil && ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	now := p.now()
	if order.observed {
		event.Took, event.Err = now-began, err
		p.tap.end(ctx, event)
	}
	if err != nil {
		return nil, err
	}
	e := &entry[T]{
		pool: p, value: value, id: event.ID, generation: order.generation,
		born: now, idleSince: now, jitter: jitter(p.options.Policy.LifetimeJitter), last: free,
	}
	e.held.Store(free)
	if p.options.LeakAfter > 0 {
		e.stack = make([]uintptr, 0, 32)
	}
	return e, nil
}

// destroy destroys an entry that the gate was told of, for reason, in a goroutine of puddle's.
// The slot is free when the Destroy hook has returned, or is abandoned.
func (p *Pool[T]) destroy(e *entry[T], reason resource.Reason) {
	e.ending = reason
	e.handle.Destroy()
}

// destruct is puddle's destructor.
func (p *Pool[T]) destruct(e *entry[T]) {
	p.forget(e)
	err := p.dispose(e.id, e.ending, e.value)
	p.gate.Gone(uint8(e.ending), err != nil, p.abandoned(err))
	if e.gone != nil {
		close(e.gone)
	}
}

// dispose runs the Destroy hook.
func (p *Pool[T]) dispose(id uint64, reason resource.Reason, value T) error {
	event := Event{Op: Destroy, ID: id, Reason: reason}
	timeout := p.options.Policy.DestroyTimeout
	mark := &hookMark{op: Destroy}
	defer mark.over.Store(true)
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), markKey[T]{p}, mark), timeout)
	defer cancel()
	began := p.now()
	ctx = p.tap.begin(ctx, event)
	if p.hooks.Destroy != nil {
		_, event.Err = isolate(p, Destroy, timeout, func() (none struct{}, err error) {
			return none, p.hooks.Destroy(ctx, value)
		}, func(struct{}) {})
	}
	event.Took = p.now() - began
	p.tap.end(ctx, event)
	return event.Err
}

// isolate calls hook in a goroutine of its own, so that runtime.Goexit ends nothing else,
// and waits for it; with a timeout only so long, and a moment more, and then abandons it.
// What an abandoned hook returns goes to late.
func isolate[R any](pool Inspector, op Op, timeout time.Duration, hook func() (R, error), late func(R)) (result R, err error) {
	type outcome struct {
		result R
		err    error
	}
	done := make(chan outcome)
	abandoned := make(chan struct{})
	go func() {
		var o outcome
		returned := false
		defer func() {
			if !returned {
				o.err = panicked(op, recover())
			}
			select {
			case done <- o:
			case <-abandoned:
				if o.err == nil {
					late(o.result)
				}
			}
		}()
		o.result, o.err = hook()
		returned = true
	}()
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout + grace)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case o := <-done:
		return o.result, o.err
	case <-expired:
		close(abandoned)
		return result, &abandonedError{pool, timeout}
	}
}

// bounded returns a ctx with the values of values that ends with the pool and after timeout (negative: never).
func (p *Pool[T]) bounded(values context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(values))
	stop := context.AfterFunc(p.ctx, func() { cancel(context.Cause(p.ctx)) })
	stopTimer := func() {}
	if timeout >= 0 {
		ctx, stopTimer = context.WithTimeout(ctx, timeout)
	}
	return ctx, func() {
		stop()
		stopTimer()
		cancel(nil)
	}
}

// register makes a new entry known to Holders and maintain.
func (p *Pool[T]) register(e *entry[T]) {
	p.mu.Lock()
	p.live[e.id] = e
	p.mu.Unlock()
	p.maintainLater()
}

// forget undoes register.
func (p *Pool[T]) forget(e *entry[T]) {
	p.mu.Lock()
	delete(p.live, e.id)
	p.mu.Unlock()
}
