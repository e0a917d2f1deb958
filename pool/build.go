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

var errAbandoned = errors.New("it did not return when its ctx ended, and was abandoned")

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
		if streak, rest := p.gate.Failed(builder, err, errors.Is(err, errAbandoned)); streak > 0 {
			pause := min(shortestRest<<min(streak-1, 10), longestRest)
			time.AfterFunc(pause-jitter(pause/2), func() { p.gate.Rested(rest) })
		}
		return err
	}
	e := handle.Value()
	e.handle = handle
	p.register(e)
	p.settle(e, p.gate.Built(builder, e))
	return nil
}

// construct is puddle's constructor: it runs the Construct hook.
func (p *Pool[T]) construct(ctx context.Context) (*entry[T], error) {
	order := ctx.Value(orderKey{}).(order)
	event := Event{Op: Construct, ID: p.lastID.Add(1)}
	timeout := p.options.Policy.ConstructTimeout
	ctx, cancel := p.bounded(ctx, timeout)
	defer cancel()
	ctx = context.WithValue(ctx, markKey[T]{p}, hookMark{Construct})
	began := p.now()
	if order.observed {
		ctx = p.tap.begin(ctx, event)
	}
	value, err := isolate(Construct, timeout, func() (T, error) { return p.hooks.Construct(ctx) }, func(value T) {
		_ = p.dispose(event.ID, resource.Discarded, value)
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
	p.gate.Gone(uint8(e.ending), err != nil, errors.Is(err, errAbandoned))
	if e.gone != nil {
		close(e.gone)
	}
}

// dispose runs the Destroy hook.
func (p *Pool[T]) dispose(id uint64, reason resource.Reason, value T) error {
	event := Event{Op: Destroy, ID: id, Reason: reason}
	timeout := p.options.Policy.DestroyTimeout
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), markKey[T]{p}, hookMark{Destroy}), timeout)
	defer cancel()
	began := p.now()
	ctx = p.tap.begin(ctx, event)
	if p.hooks.Destroy != nil {
		_, event.Err = isolate(Destroy, timeout, func() (none struct{}, err error) {
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
func isolate[R any](op Op, timeout time.Duration, hook func() (R, error), late func(R)) (result R, err error) {
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
		return result, fmt.Errorf("%w after %v", errAbandoned, timeout)
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
