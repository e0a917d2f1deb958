package pool

import (
	"context"
	"time"

	"github.com/headpond/headpond/internal/gate"
	"github.com/headpond/headpond/resource"
)

// release takes back an entry whose lease has ended: for reason,
// or if that is None for what the policy and the Reset hook say.
func (p *Pool[T]) release(e *entry[T], reason resource.Reason) {
	if e.ctx != nil {
		p.releaseObserved(e, reason)
		return
	}
	now := p.endLease(e)
	_, _ = p.giveBack(context.Background(), e, now, reason, false)
}

func (p *Pool[T]) releaseObserved(e *entry[T], reason resource.Reason) {
	begun := false
	defer func() {
		if !begun { // the tap called runtime.Goexit
			p.gateRetire(e)
			p.destroy(e, resource.Panicked)
		}
	}()
	ctx, event, began := p.beginRelease(e)
	begun = true
	event.Outcome, event.Reason = Destroyed, resource.Panicked // if a hook calls runtime.Goexit
	defer func() { p.endRelease(ctx, event, began) }()
	event.Reason, event.Err = p.giveBack(ctx, e, began, reason, true)
	if event.Reason == resource.None {
		event.Outcome = Returned
	}
}

// releaseDetached lets go of an entry whose lease has ended by Detach.
func (p *Pool[T]) releaseDetached(e *entry[T]) {
	defer func() { // even if the tap calls runtime.Goexit
		p.forget(e)
		e.life.detach()
		p.gate.Detach()
	}()
	if e.ctx != nil {
		ctx, event, began := p.beginRelease(e)
		event.Outcome = Detached
		defer func() { p.endRelease(ctx, event, began) }()
	} else {
		p.endLease(e)
	}
}

// beginRelease tells the observer of the end of a lease.
func (p *Pool[T]) beginRelease(e *entry[T]) (ctx context.Context, event Event, began time.Duration) {
	ctx, e.ctx = e.ctx, nil
	began = p.now()
	event = Event{Op: Release, ID: e.id}
	ctx = p.begin(ctx, event)
	event.Held = max(0, began-time.Duration(e.last))
	p.endLease(e)
	return ctx, event, began
}

// endRelease tells the observer what became of it.
func (p *Pool[T]) endRelease(ctx context.Context, event Event, began time.Duration) {
	event.Took = p.now() - began
	p.end(ctx, event)
}

// endLease notes that a lease has ended, and returns the time, if that matters.
func (p *Pool[T]) endLease(e *entry[T]) (now time.Duration) {
	e.uses++
	if p.clocked {
		now = p.now()
	}
	if p.options.LeakAfter > 0 {
		p.reportReturned(e, now)
	}
	return now
}

// giveBack gives an entry that was held to the gate, or destroys it.
// It returns the reason for which it did that, and the error of the Reset hook.
// The entry is not the caller's any more.
func (p *Pool[T]) giveBack(ctx context.Context, e *entry[T], now time.Duration, reason resource.Reason, observed bool) (resource.Reason, error) {
	var err error
	e.idleSince, e.good = now, now
	if reason == resource.None {
		reason = p.retire(e, now)
	}
	if reason == resource.None && p.hooks.Reset != nil {
		reset := &hookCall[T]{op: Reset, hook: p.hooks.Reset, observed: observed, now: now, limit: p.options.Policy.ResetTimeout}
		if err = p.call(ctx, e, reset); err != nil {
			reason = reasonOf(err, resource.ResetFailed)
		}
	}
	if reason != resource.None {
		p.gateRetire(e)
		p.destroy(e, reason)
		return reason, err
	}
	spent := e.waiter
	e.waiter = nil
	if e.agent != nil {
		e.mu.Lock()
		e.agent = nil // what it keeps alive may go
		e.mu.Unlock()
		return p.accept(e, p.gate.PutUncounted(e, spent)), nil
	}
	return p.accept(e, p.gate.Put(e, spent)), nil
}

// gateRetire tells the gate that the lease of an entry has ended with the entry.
func (p *Pool[T]) gateRetire(e *entry[T]) {
	if e.agent != nil {
		p.gate.RetireUncounted()
	} else {
		p.gate.Retire()
	}
}

// accept destroys an entry that the gate does not keep, and returns the reason for which it did.
func (p *Pool[T]) accept(e *entry[T], disposition gate.Disposition) (reason resource.Reason) {
	switch disposition {
	case gate.Kept:
		return resource.None
	case gate.Excess:
		reason = resource.Shrunk
	case gate.Surplus:
		reason = resource.Surplus
	case gate.Stale:
		reason = resource.Evicted
	case gate.Bad:
		reason = e.failure
	case gate.Refused:
		reason = resource.Closed
	}
	p.destroy(e, reason)
	return reason
}

// retire says whether an entry whose lease has ended has to end as well, and why.
func (p *Pool[T]) retire(e *entry[T], now time.Duration) resource.Reason {
	if p.stale(e) {
		if p.ctx.Err() != nil {
			return resource.Closed
		}
		return resource.Evicted
	}
	if p.limited {
		return p.options.Policy.Retire(e.info(now))
	}
	return resource.None
}
