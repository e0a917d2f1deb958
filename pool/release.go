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
	if e.ctx == nil {
		var now time.Duration
		if p.clocked {
			now = p.now()
		}
		p.endLease(e, now)
		_, _ = p.giveBack(context.Background(), e, now, reason, false)
		return
	}
	p.releaseObserved(e, func(ctx context.Context, now time.Duration, event *Event) {
		event.Reason, event.Err = p.giveBack(ctx, e, now, reason, true)
		event.Outcome = Returned
		if event.Reason != resource.None {
			event.Outcome = Destroyed
		}
	})
}

// releaseDetached lets go of an entry whose lease has ended by Detach.
func (p *Pool[T]) releaseDetached(e *entry[T]) {
	forget := func() {
		p.forget(e)
		e.handle.Hijack()
		p.gate.Detach()
	}
	if e.ctx == nil {
		var now time.Duration
		if p.clocked {
			now = p.now()
		}
		p.endLease(e, now)
		forget()
		return
	}
	p.releaseObserved(e, func(_ context.Context, _ time.Duration, event *Event) {
		forget()
		event.Outcome = Detached
	})
}

// endLease notes that the lease has ended.
func (p *Pool[T]) endLease(e *entry[T], now time.Duration) {
	e.uses++
	if p.options.LeakAfter > 0 {
		p.cameBack(e, now)
	}
}

// releaseObserved calls take between Begin and End, even where a hook calls runtime.Goexit.
func (p *Pool[T]) releaseObserved(e *entry[T], take func(ctx context.Context, now time.Duration, event *Event)) {
	now := p.now()
	p.endLease(e, now)
	event := Event{Op: Release, ID: e.id}
	ctx := p.tap.begin(e.ctx, event)
	e.ctx = nil
	event.Held = max(0, now-time.Duration(e.last))
	event.Outcome, event.Reason = Destroyed, resource.Panicked // unless take returns
	defer func() {
		event.Took = p.now() - now
		p.tap.end(ctx, event)
	}()
	take(ctx, now, &event)
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
