package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/headpond/headpond/internal/gate"
	"github.com/headpond/headpond/resource"
)

// attempt is one call of Acquire or TryAcquire.
type attempt[T any] struct {
	try       bool // neither wait nor build
	observed  bool
	source    Source
	discarded int       // values that were handed out in vain
	tries     int       // of them, those that were not evicted
	unfit     *entry[T] // the last of them, until it is destroyed: when the attempt has its place in the queue again
	reason    resource.Reason

	waits bool          // it had to wait, for the queue or for a build
	since time.Duration // then
}

// Acquire returns a lease of a value: one that lies ready, else one that it builds,
// else, where MaxSize values are live, the next one that is released, first come first served.
// It blocks until then, or until ctx ends, or for Options.AcquireTimeout,
// and while the Check and Prepare hooks run. A value that fails its Check, or has reached a limit, is replaced.
//
// The error is an *Error. To errors.Is it is ErrAcquireTimeout, ErrClosed, ErrSaturated, ErrNested,
// ctx.Err() together with context.Cause(ctx), or what the Construct, Check or Prepare hook returned.
func (p *Pool[T]) Acquire(ctx context.Context) (Lease[T], error) {
	return p.enter(ctx, false)
}

// TryAcquire is Acquire, but it neither waits nor builds:
// where no value lies ready, or the pool is suspended, it fails with ErrUnavailable.
// The Check and Prepare hooks run as for Acquire. Its other errors are those of Acquire that need no wait.
func (p *Pool[T]) TryAcquire(ctx context.Context) (Lease[T], error) {
	return p.enter(ctx, true)
}

func (p *Pool[T]) enter(ctx context.Context, try bool) (Lease[T], error) {
	if p.tap.enabled(ctx) {
		return p.enterObserved(ctx, try)
	}
	return p.acquire(ctx, &attempt[T]{try: try})
}

// enterObserved tells the observer of an acquire.
func (p *Pool[T]) enterObserved(ctx context.Context, try bool) (lease Lease[T], err error) {
	a := attempt[T]{try: try, observed: true}
	began := p.now()
	ctx = p.tap.begin(ctx, Event{Op: Acquire})
	err = errExited // unless acquire returns
	defer func() {
		event := Event{Op: Acquire, Took: p.now() - began, Discarded: a.discarded, Err: err}
		if err == nil {
			event.ID, event.Source = lease.entry.id, a.source
		}
		p.tap.end(ctx, event)
	}()
	lease, err = p.acquire(ctx, &a)
	if err == nil {
		lease.entry.ctx = ctx
	}
	return lease, err
}

func (p *Pool[T]) acquire(ctx context.Context, a *attempt[T]) (Lease[T], error) {
	for {
		if ctx.Err() != nil {
			p.destroyUnfit(a)
			p.gate.Refused(outcomeOf(ctx))
			return Lease[T]{}, p.gaveUp(ctx, a)
		}
		e, err := p.next(ctx, a)
		if err != nil {
			return Lease[T]{}, err
		}
		now := p.now()
		failed, reason, err := p.admit(ctx, e, now, a.observed)
		if reason == resource.None {
			return e.begin(now), nil
		}
		p.gate.Retire(true)
		a.unfit, a.reason = e, reason
		a.discarded++
		if reason != resource.Evicted {
			a.tries++
		}
		if !a.waits { // what follows counts as waiting
			a.waits, a.since = true, now
		}
		if failed == Prepare {
			p.destroyUnfit(a)
			return Lease[T]{}, p.fail(Prepare, err)
		}
		if most := p.gate.Max() + 1; a.tries >= most {
			p.destroyUnfit(a)
			return Lease[T]{}, p.fail(failed, fmt.Errorf("none of %d values was fit, the last one: %w", most, err))
		}
	}
}

// destroyUnfit destroys what the attempt was handed in vain. That frees a slot, for the first in the queue.
func (p *Pool[T]) destroyUnfit(a *attempt[T]) {
	if a.unfit != nil {
		p.destroy(a.unfit, a.reason)
		a.unfit = nil
	}
}

// admit looks at an entry that the gate handed out. Where it can't be used it returns the hook that said so,
// Acquire for a limit, the reason for its end, and the error.
func (p *Pool[T]) admit(ctx context.Context, e *entry[T], now time.Duration, observed bool) (Op, resource.Reason, error) {
	if reason := p.retire(e, now); reason != resource.None {
		return Acquire, reason, errors.New(reason.String())
	}
	if p.hooks.Check != nil && now-e.idleSince >= p.options.Policy.CheckAfterIdle {
		if err := p.call(ctx, now, e, Check, p.hooks.Check, observed); err != nil {
			return Check, reasonOf(err, resource.CheckFailed), err
		}
	}
	if p.hooks.Prepare != nil {
		if err := p.call(ctx, now, e, Prepare, p.hooks.Prepare, observed); err != nil {
			return Prepare, reasonOf(err, resource.PrepareFailed), err
		}
	}
	return Acquire, resource.None, nil
}

// next returns the entry whose turn it is.
func (p *Pool[T]) next(ctx context.Context, a *attempt[T]) (e *entry[T], err error) {
	var builder *gate.Builder[*entry[T]]
	var turn gate.Turn
	if a.try {
		e, turn = p.gate.TakeIdle()
	} else {
		e, builder, turn = p.gate.Take(a.discarded > 0)
	}
	if turn != gate.Busy || a.try {
		p.destroyUnfit(a)
	}
	a.source = Idle
	switch {
	case turn == gate.Value:
		return e, nil
	case turn == gate.Closed:
		return nil, p.fail(Acquire, ErrClosed)
	case a.try:
		return nil, p.fail(Acquire, ErrUnavailable)
	}
	return p.wait(ctx, a, builder, turn)
}

// wait waits for an entry: in the queue, or until builder has built it.
func (p *Pool[T]) wait(ctx context.Context, a *attempt[T], builder *gate.Builder[*entry[T]], turn gate.Turn) (e *entry[T], err error) {
	if !a.waits {
		a.waits, a.since = true, p.now()
	}
	var waiter *gate.Waiter[*entry[T]]
	if turn == gate.Busy {
		if mark := p.marked(ctx); mark != nil {
			p.destroyUnfit(a)
			return nil, p.fail(Acquire, fmt.Errorf("%w: %s, and here %s", ErrNested, mark.place(), here()))
		}
		e, builder, waiter, turn = p.gate.Queue(p.now(), a.since, a.discarded > 0)
		p.destroyUnfit(a)
		if turn == gate.Value {
			return e, nil
		}
	}
	for {
		switch turn {
		case gate.Build:
			if waiter = p.gate.Expect(builder); waiter == nil {
				return nil, p.fail(Acquire, ErrClosed)
			}
			p.startBuild(ctx, builder, a.observed)
		case gate.Saturated:
			return nil, p.fail(Acquire, ErrSaturated)
		case gate.Closed:
			return nil, p.fail(Acquire, ErrClosed)
		}
		grant, outcome := p.await(ctx, waiter, a.since)
		builder, turn = grant.Builder, grant.Turn
		switch turn {
		case gate.Value:
			a.source = Handoff
			if grant.Fresh {
				a.source = Created
			}
			return grant.Value, nil
		case gate.Failed:
			return nil, p.fail(Construct, grant.Err)
		case gate.Busy:
			if outcome == gate.TimedOut && ctx.Err() == nil {
				return nil, p.timedOut(a)
			}
			return nil, p.gaveUp(ctx, a)
		}
	}
}

// await waits on waiter until there is a grant, ctx ends, or AcquireTimeout has passed since then.
func (p *Pool[T]) await(ctx context.Context, waiter *gate.Waiter[*entry[T]], since time.Duration) (gate.Grant[*entry[T]], gate.Outcome) {
	var expired <-chan time.Time
	if limit := p.options.AcquireTimeout; limit > 0 {
		limit -= p.now() - since
		if waiter.Timer == nil {
			waiter.Timer = time.NewTimer(limit)
		} else {
			waiter.Timer.Reset(limit)
		}
		expired = waiter.Timer.C
	}
	outcome := gate.Granted
	select {
	case <-waiter.Ready:
	case <-expired:
		outcome = gate.TimedOut
	case <-ctx.Done():
		outcome = outcomeOf(ctx)
	}
	if expired != nil {
		waiter.Timer.Stop()
	}
	return p.gate.Leave(waiter, p.now(), outcome), outcome
}

// outcomeOf says how a wait ended whose ctx has ended.
func outcomeOf(ctx context.Context) gate.Outcome {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return gate.TimedOut
	}
	return gate.Cancelled
}

// timedOut is the error of an acquire that took AcquireTimeout.
func (p *Pool[T]) timedOut(a *attempt[T]) error {
	return p.failHeld(Acquire, ErrAcquireTimeout, p.now()-a.since)
}

// gaveUp is the error of an acquire whose ctx has ended.
func (p *Pool[T]) gaveUp(ctx context.Context, a *attempt[T]) error {
	if !a.waits {
		return p.fail(Acquire, ended(ctx))
	}
	return p.failHeld(Acquire, ended(ctx), p.now()-a.since)
}

// here returns where the pool was called, as Stack.Caller does.
func here() string {
	var counters [32]uintptr
	return Stack{counters[:runtime.Callers(2, counters[:])]}.Caller()
}
