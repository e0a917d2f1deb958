package pool

import (
	"context"
	"time"

	"github.com/headpond/headpond/internal/gate"
	"github.com/headpond/headpond/resource"
)

// release takes back an entry whose lease has ended: for reason,
// or where that is None for what the policy and the Reset hook say.
func (p *Pool[T]) release(e *entry[T], reason resource.Reason) {
	if e.ctx != nil {
		p.releaseObserved(e, reason)
		return
	}
	now := p.endLease(e)
	_, _ = p.giveBack(context.Background(), e, now, reason, false)
}

func (p *Pool[T]) releaseObserved(e *entry[T], reason resource.Reason) {
	ctx, event, began := p.beginRelease(e)
	event.Outcome, event.Reason = Destroyed, resource.Panicked // where a hook calls runtime.Goexit
	defer func() { p.endRelease(ctx, event, began) }()
	event.Reason, event.Err = p.giveBack(ctx, e, began, reason, true)
	if event.Reason == resource.None {
		event.Outcome = Returned
	}
}

// releaseDetached lets go of an entry whose lease has ended by Detach.
func (p *Pool[T]) releaseDetached(e *entry[T]) {
	if e.ctx != nil {
		ctx, event, began := p.beginRelease(e)
		event.Outcome = Detached
		defer func() { p.endRelease(ctx, event, began) }()
	} else {
		p.endLease(e)
	}
	p.forget(e)
	e.handle.Hijack()
	p.gate.Detach()
}

// beginRelease tells the observer of the end of a lease.
func (p *Pool[T]) beginRelease(e *entry[T]) (ctx context.Context, event Event, began time.Duration) {
	ctx, e.ctx = e.ctx, nil
	began = p.now()
	event = Event{Op: Release, ID: e.id}
	ctx = p.tap.begin(ctx, event)
	event.Held = max(0, began-time.Duration(e.last))
	p.endLease(e)
	return ctx, event, began
}

// endRelease tells the observer what became of it.
func (p *Pool[T]) endRelease(ctx context.Context, event Event, began time.Duration) {
	event.Took = p.now() - began
	p.tap.end(ctx, event)
}

// endLease notes that a lease has ended, and returns the time, where that matters.
func (p *Pool[T]) endLease(e *entry[T]) (now time.Duration) {
	e.uses++
	if p.clocked {
		now = p.now()
	}
	if p.options.LeakAfter > 0 {
		p.cameBack(e, now)
	}
	return now
}

// giveBack gives an entry that was held to the gate, or destroys it.
// It returns the reason for which it did that, and the error of the Reset hook.
// The entry is not the caller's any more.
func (p *Pool[T]) giveBack(ctx context.Context, e *entry[T], now time.Duration, reason resource.Reason, observed bool) (resource.Reason, error) {
	var err error
	e.idleSince = now
	if reason == resource.None {
		reason = p.retire(e, now)
	}
	if reason == resource.None && p.hooks.Reset != nil {
		if err = p.call(ctx, now, e, Reset, p.hooks.Reset, observed); err != nil {
			reason = reasonOf(err, resource.ResetFailed)
		}
	}
	if reason != resource.None {
		p.gate.Retire(false)
		p.destroy(e, reason)
		return reason, err
	}
	return p.put(e), nil
}

// put gives a good entry to the gate, and destroys it where the gate does not want it.
// It returns the reason for which it did.
func (p *Pool[T]) put(e *entry[T]) resource.Reason {
	generation := e.generation
	reason := p.accept(e, p.gate.Put(e))
	if generation != p.generation.Load() {
		p.retireStale() // Evict came in between
	}
	return reason
}

// accept destroys an entry that the gate does not want, and returns the reason for which it did.
func (p *Pool[T]) accept(e *entry[T], fate gate.Fate) (reason resource.Reason) {
	switch fate {
	case gate.Kept:
		return resource.None
	case gate.Excess:
		reason = resource.Shrunk
	case gate.Refused:
		reason = resource.Closed
	}
	p.destroy(e, reason)
	return reason
}

// retire says whether an entry that nobody holds has to end, and why.
func (p *Pool[T]) retire(e *entry[T], now time.Duration) resource.Reason {
	if p.stale(e) {
		return p.staleReason()
	}
	if p.limited {
		return p.options.Policy.Retire(e.info(now))
	}
	return resource.None
}
