package pool

import (
	"context"
	"time"

	"github.com/headpond/headpond/internal/catch"
	"github.com/headpond/headpond/resource"
)

// check runs the Check hook on the goroutine of an attempt. Its ctx ends at the earliest of CheckTimeout,
// what is left of AcquireTimeout, and the caller's end. If it fails and it was not CheckTimeout that ended it,
// the entry is not condemned: the pool checks it again. Then the error is that of the attempt.
func (p *Pool[T]) check(ctx context.Context, a *attempt[T], e *entry[T], now time.Duration) (*rejection, error) {
	a.timeFrom(now)
	limit, cause := p.options.Policy.CheckTimeout, error(context.DeadlineExceeded)
	switch left := p.leftAt(a, now); {
	case left <= 0:
		e.waiter = nil // it has the ctx of a caller that is gone
		p.accept(e, p.gate.GiveBack(e))
		return nil, p.timedOut(a)
	case left < limit:
		limit, cause = left, ErrAcquireTimeout
	}
	err := p.call(ctx, e, &hookCall[T]{op: Check, hook: p.hooks.Check, observed: a.observed, now: now, limit: limit, cause: cause, linked: true})
	if err == nil {
		e.good = now
		return nil, nil
	}
	end := p.now()
	a.spent.checking += end - now
	if end-now < p.options.Policy.CheckTimeout {
		switch {
		case hasEnded(ctx):
			e.waiter = nil
			p.gate.Doubt(e)
			return nil, p.gaveUp(ctx, a)
		case p.leftAt(a, end) <= 0:
			e.waiter = nil
			p.gate.Doubt(e)
			return nil, p.timedOut(a)
		}
	}
	p.checkFailed(end)
	a.failedChecks++
	return &rejection{Check, reasonOf(err, resource.CheckFailed), err}, nil
}

// suspect reports whether an entry was last known to be good before the latest failed Check.
func (p *Pool[T]) suspect(e *entry[T]) bool { return int64(e.good) < p.lastFailedCheck.Load() }

// checkFailed notes that a Check has failed then.
func (p *Pool[T]) checkFailed(then time.Duration) {
	for last := p.lastFailedCheck.Load(); int64(then) > last; last = p.lastFailedCheck.Load() {
		if p.lastFailedCheck.CompareAndSwap(last, int64(then)) {
			return
		}
	}
}

// checkAlone checks an entry that the gate counts as being checked, in a goroutine of the pool,
// with all of CheckTimeout, and brings it back.
func (p *Pool[T]) checkAlone(e *entry[T]) {
	if p.ctx.Err() != nil {
		p.accept(e, p.gate.Checked(e, false))
		return
	}
	now := p.now()
	err := p.call(context.Background(), e, &hookCall[T]{
		op: Check, hook: p.hooks.Check, observed: p.tap != nil, now: now, limit: p.options.Policy.CheckTimeout, alone: true,
	})
	p.checkedAlone(e, err)
}

// checkedAlone brings back an entry that was checked.
func (p *Pool[T]) checkedAlone(e *entry[T], err error) {
	e.failure = reasonOf(err, resource.CheckFailed)
	if now := p.now(); err == nil {
		e.good = now
	} else {
		p.checkFailed(now)
	}
	p.accept(e, p.gate.Checked(e, err == nil))
	p.maintainNow()
}

// hasEnded reports whether ctx has ended, or its deadline has passed, which what a Check did may notice a moment before.
func hasEnded(ctx context.Context) bool {
	defer catch.Swallow()
	if ctx.Err() != nil {
		return true
	}
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}
