package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headpond/headpond/internal/agent"
	"github.com/headpond/headpond/internal/gate"
	"github.com/headpond/headpond/resource"
)

// Acquire returns a lease on an idle value. If there is none, it builds one;
// if MaxSize are already live, it waits for a release, first come, first served.
// It blocks until then, or until ctx ends, or for Options.AcquireTimeout: these bound all of it,
// a build and the Check hook included, except the Prepare hook.
// A value that fails its Check, or has reached a limit, is replaced.
//
// The error is an *Error. It wraps ErrAcquireTimeout, ErrClosed, ErrSaturated or ErrNested,
// ctx.Err() together with context.Cause(ctx), or what the Construct, Check or Prepare hook returned.
func (p *Pool[T]) Acquire(ctx context.Context) (Lease[T], error) {
	a := attempt[T]{agent: p.agentOf(ctx)}
	if p.tap != nil && a.agent == nil && p.tap.Enabled(ctx) {
		return p.acquireObserved(ctx, &a)
	}
	return p.acquire(ctx, &a)
}

// TryAcquire is Acquire, but it neither waits nor builds:
// if no value is idle, or the pool is suspended, it fails with ErrUnavailable.
// The Check and Prepare hooks run as for Acquire; AcquireTimeout does not bound it.
// Its other errors are those of Acquire that need no wait.
func (p *Pool[T]) TryAcquire(ctx context.Context) (Lease[T], error) {
	a := attempt[T]{try: true, agent: p.agentOf(ctx)}
	if p.tap != nil && a.agent == nil && p.tap.Enabled(ctx) {
		return p.acquireObserved(ctx, &a)
	}
	return p.acquire(ctx, &a)
}

// attempt is one call of Acquire or TryAcquire. It lies on the stack of every caller that waits, and is small for that.
type attempt[T any] struct {
	place    uint64        // among those that came to the gate; 0: not known yet
	since    time.Duration // when its time began, if that is known; AcquireTimeout counts from then on
	handed   time.Duration // when the gate handed out what it waited for; 0: it did not wait
	spent    spent
	rejected *entry[T] // the last value that was rejected, until it is destroyed: when the attempt has its place in the queue again

	agent agent.Agent // nil: it is a caller

	discarded    int32 // how many values were rejected
	failedChecks int32 // of them, those that failed their Check

	try      bool // neither wait nor build
	observed bool
	timed    bool // since is known: it had to wait, or to check a value
	waited   bool // in the queue
	source   Source
	reason   resource.Reason // of rejected
}

// agentOf returns ctx if it is an agent's; nil if it is a caller's.
func (p *Pool[T]) agentOf(ctx context.Context) agent.Agent {
	if p.options.Extra == nil {
		return nil
	}
	a, _ := ctx.(agent.Agent)
	return a
}

// spent is what the time of an attempt went to, besides the queue.
type spent struct{ building, checking time.Duration }

// cautiousAfter is how many failed Checks make an attempt take no more suspects: it leaves them to the pool.
const cautiousAfter = 2

// acquire takes values until one is good. It waits here itself, and what has to be done before and after that is in enter and leave:
// so nothing but small frames lie on the stack of a goroutine that waits, which need not grow from 2 to 4 KiB.
func (p *Pool[T]) acquire(ctx context.Context, a *attempt[T]) (Lease[T], error) {
	if ctx.Err() != nil {
		return Lease[T]{}, p.gaveUp(ctx, a)
	}
	e, err := p.take(a)
	for err == nil {
		if e == nil {
			var (
				w    *gate.Waiter[*entry[T]]
				done <-chan struct{}
			)
			if a.rejected == nil {
				w, done, err = p.enter(ctx, a)
			} else {
				w, done, err = p.enterAgain(ctx, a)
			}
			if err != nil {
				return Lease[T]{}, err
			}
			if a.source == Handoff {
				select {
				case <-w.Ready:
				case <-done:
					p.gate.Leave(w)
				}
			}
			if e, err = p.leave(ctx, a, w); err != nil {
				return Lease[T]{}, err
			}
		}
		now := a.handed
		if now == 0 || p.hooks.Check != nil { // CheckTimeout counts from the moment at which the attempt goes on
			now = p.now()
		}
		if !p.admits {
			return e.begin(ctx, a, now), nil
		}
		var rejected *rejection
		if rejected, err = p.inspect(ctx, a, e, now); rejected == nil && err == nil {
			if a.agent == nil {
				p.gate.Admitted()
			}
			return e.begin(ctx, a, now), nil
		}
		if err == nil {
			err = p.reject(a, e, rejected)
		}
		if e = nil; err == nil && a.try {
			e, err = p.takeIdle(a)
		}
	}
	return Lease[T]{}, err
}

// take returns the idle entry that the gate hands out at once; nil: there is none, and the attempt may wait.
func (p *Pool[T]) take(a *attempt[T]) (e *entry[T], err error) {
	if a.try {
		return p.takeIdle(a)
	}
	if p.gate.Crowded() {
		return nil, nil
	}
	e, place, decision := p.gate.Take()
	switch decision {
	case gate.Value:
		a.source, a.place = Idle, place
		return e, nil
	case gate.Closed:
		return nil, p.fail(Acquire, ErrClosed)
	}
	return nil, nil
}

// takeIdle is what TryAcquire does.
func (p *Pool[T]) takeIdle(a *attempt[T]) (*entry[T], error) {
	e, decision := p.gate.TakeIdle(a.failedChecks >= cautiousAfter)
	p.destroyRejected(a)
	switch decision {
	case gate.Value:
		a.source = Idle
		return e, nil
	case gate.Closed:
		return nil, p.fail(Acquire, ErrClosed)
	}
	return nil, p.fail(Acquire, ErrUnavailable)
}

// rejection says why a value that was handed out can't be used.
type rejection struct {
	by     Op // the hook that said so; Acquire: a limit of the policy
	reason resource.Reason
	err    error
}

// inspect looks at an entry that the gate handed out: at the limits of its policy, and with the Check and Prepare hooks.
// If the entry is good it returns nil twice. The error is that of an attempt whose time is over;
// the entry is not the attempt's any more then.
func (p *Pool[T]) inspect(ctx context.Context, a *attempt[T], e *entry[T], now time.Duration) (*rejection, error) {
	if p.limited {
		if reason := p.options.Policy.Retire(e.info(now)); reason != resource.None && (reason != resource.MaxIdleTime || p.options.MinIdle == 0) {
			return &rejection{Acquire, reason, errors.New(reason.String())}, nil
		}
	}
	if p.hooks.Check != nil && (now-e.good >= p.options.Policy.CheckAfterIdle || p.suspect(e)) {
		if rejected, err := p.check(ctx, a, e, now); rejected != nil || err != nil {
			return rejected, err
		}
	}
	if p.hooks.Prepare != nil {
		if err := p.call(ctx, e, &hookCall[T]{op: Prepare, hook: p.hooks.Prepare, observed: a.observed}); err != nil {
			return &rejection{Prepare, reasonOf(err, resource.PrepareFailed), err}, nil
		}
	}
	return nil, nil
}

// reject notes that an entry was rejected. The error is that of the attempt, if it ends with this.
func (p *Pool[T]) reject(a *attempt[T], e *entry[T], why *rejection) error {
	p.gate.Reject()
	a.rejected, a.reason = e, why.reason
	a.discarded++
	if why.by == Prepare {
		p.destroyRejected(a)
		return p.fail(Prepare, why.err)
	}
	if int(a.discarded) > p.gate.Max() {
		p.destroyRejected(a)
		return p.fail(why.by, fmt.Errorf("none of %d values was good, the last one: %w", a.discarded, why.err))
	}
	return nil
}

// destroyRejected destroys what the attempt has rejected. That frees a slot, for the first in the queue.
func (p *Pool[T]) destroyRejected(a *attempt[T]) {
	if a.rejected != nil {
		p.destroy(a.rejected, a.reason)
		a.rejected = nil
	}
}

// acquireObserved is acquire, of which the observer is told.
func (p *Pool[T]) acquireObserved(ctx context.Context, a *attempt[T]) (lease Lease[T], err error) {
	a.observed = true
	began := p.now()
	ctx = p.begin(ctx, Event{Op: Acquire})
	err = errExited // unless acquire returns
	told := false
	defer func() {
		if !told && err == nil && lease.end() { // the tap called runtime.Goexit: the lease has no holder
			lease.entry.ctx = nil
			p.release(lease.entry, resource.None)
		}
	}()
	defer func() {
		event := Event{Op: Acquire, Took: p.now() - began, Discarded: int(a.discarded), Err: err}
		if err == nil {
			event.ID, event.Source = lease.entry.id, a.source
		}
		p.end(ctx, event)
		told = true
	}()
	lease, err = p.acquire(ctx, a)
	if err == nil {
		lease.entry.ctx = ctx
	}
	return lease, err
}
