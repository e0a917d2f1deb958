package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/headpond/headpond/internal/ctxerr"
	"github.com/headpond/headpond/internal/gate"
)

// enter brings an attempt to the gate. If it has to wait, its source is Handoff then: until w is ready, or done is closed.
func (p *Pool[T]) enter(ctx context.Context, a *attempt[T]) (w *gate.Waiter[*entry[T]], done <-chan struct{}, err error) {
	now := p.now()
	a.timeFrom(now)
	done = ctx.Done()
	if ctx.Err() != nil {
		return nil, nil, p.gaveUp(ctx, a)
	}
	if p.leftAt(a, now) <= 0 {
		return nil, nil, p.timedOut(a)
	}
	nested := p.marked(ctx) != nil
	w, waits := p.gate.Enter(&gate.Request{
		Place: a.place, Waited: a.waited,
		Cautious: a.failedChecks >= cautiousAfter, Nested: nested, Agent: a.agent != nil,
		Order: gate.Order{Ctx: ctx, Observed: a.observed || a.agent != nil},
		Now:   now, Deadline: p.deadline(a),
	})
	p.destroyRejected(a)
	a.place, a.source = w.Place(), Idle
	if waits {
		a.source = Handoff
	}
	return w, done, nil
}

// enterAgain is enter for an attempt that has rejected a value.
func (p *Pool[T]) enterAgain(ctx context.Context, a *attempt[T]) (*gate.Waiter[*entry[T]], <-chan struct{}, error) {
	defer p.destroyRejected(a) // if a method of ctx panics
	return p.enter(ctx, a)
}

// leave returns what w was given.
func (p *Pool[T]) leave(ctx context.Context, a *attempt[T], w *gate.Waiter[*entry[T]]) (*entry[T], error) {
	grant := w.Granted()
	a.waited, a.handed = grant.Waited, grant.At
	a.spent.building += grant.Building
	if a.source == Handoff && grant.At-a.since > longWait {
		p.recordFrom(grant.At)
	}
	if grant.Decision != gate.Value {
		decision, err := grant.Decision, grant.Err
		p.gate.Recycle(w)
		return nil, p.refused(ctx, a, decision, err)
	}
	if grant.Fresh {
		a.source = Created
	}
	e := grant.Value
	e.waiter = w
	return e, nil
}

// refused is the error of an acquire that got no value; built is the error of its build.
func (p *Pool[T]) refused(ctx context.Context, a *attempt[T], decision gate.Decision, built error) error {
	switch decision {
	case gate.Busy:
		if mark := p.marked(ctx); mark != nil {
			return p.fail(Acquire, fmt.Errorf("%w: %s, and here %s", ErrNested, mark.place(), here()))
		}
		return p.fail(Acquire, ErrNested)
	case gate.Saturated:
		return p.fail(Acquire, ErrSaturated)
	case gate.Closed:
		return p.fail(Acquire, ErrClosed)
	case gate.Failed:
		return p.fail(Construct, built)
	}
	if decision == gate.Late && ctx.Err() == nil {
		return p.timedOut(a)
	}
	return p.gaveUp(ctx, a)
}

// timeFrom notes when the attempt's time began, unless it did before.
func (a *attempt[T]) timeFrom(now time.Duration) {
	if !a.timed {
		a.timed, a.since = true, now
	}
}

// leftAt is what is left of AcquireTimeout at that time; a long time if it does not bound the attempt.
func (p *Pool[T]) leftAt(a *attempt[T], now time.Duration) time.Duration {
	if a.try || p.options.AcquireTimeout < 0 {
		return forever
	}
	return p.options.AcquireTimeout - (now - a.since)
}

// deadline is when AcquireTimeout is over, on the gate's clock; 0: it does not bound the attempt.
func (p *Pool[T]) deadline(a *attempt[T]) time.Duration {
	if timeout := p.options.AcquireTimeout; timeout > 0 && timeout < forever-a.since {
		return a.since + timeout
	}
	return 0
}

// forever is a timeout that never comes.
const forever = time.Duration(1<<63 - 1)

// timedOut is the error of an acquire that took AcquireTimeout.
func (p *Pool[T]) timedOut(a *attempt[T]) error {
	p.recordFrom(p.now())
	p.refuse(a, gate.TimedOut)
	return p.failWaiting(ErrAcquireTimeout, a)
}

// gaveUp is the error of an acquire whose ctx has ended.
func (p *Pool[T]) gaveUp(ctx context.Context, a *attempt[T]) error {
	outcome := gate.Cancelled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		outcome = gate.TimedOut
	}
	p.refuse(a, outcome)
	if !a.timed {
		return p.fail(Acquire, ctxerr.Ended(ctx))
	}
	return p.failWaiting(ctxerr.Ended(ctx), a)
}

// refuse counts an attempt that gave up, unless it is an agent's.
func (p *Pool[T]) refuse(a *attempt[T], outcome gate.Outcome) {
	if a.agent == nil {
		p.gate.Refuse(outcome)
	}
}

// here returns where the pool was called, as Stack.Caller does.
func here() string {
	var counters [32]uintptr
	return Stack{counters[:runtime.Callers(2, counters[:])]}.Caller()
}
