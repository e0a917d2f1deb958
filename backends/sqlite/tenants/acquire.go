package tenants

import (
	"context"
	"errors"
	"time"

	"github.com/headpond/headpond/internal/ctxerr"
	"github.com/headpond/headpond/pool"
)

// holdOf returns the innermost call of this pool inside which ctx was handed out, nil if there is none or it has returned.
func (p *Pool) holdOf(ctx context.Context) *hold {
	h, _ := ctx.Value(holdKey{p}).(*hold)
	return h
}

// acquire gets a call its hold on the database of a tenant, and waits for it. The hold must be released.
func (p *Pool) acquire(ctx context.Context, tenant string, kind kind) (*hold, error) {
	h := &hold{Context: ctx, pool: p, tenant: tenant, kind: kind}
	if !p.observes(ctx, kind) {
		return h, p.enter(h, tenant)
	}
	began := p.now()
	h.Context = p.begin(context.WithValue(ctx, tenantKey{}, tenant), pool.Event{Op: pool.Acquire})
	h.observed = true
	err := p.enter(h, tenant)
	var source pool.Source
	switch {
	case err != nil:
	case h.waited == 0:
		source = pool.Idle
	case h.opened >= began:
		source = pool.Created
	default: // it was open, but admitted no calls
		source = pool.Handoff
	}
	p.end(h.Context, pool.Event{Op: pool.Acquire, ID: h.id, Took: p.now() - began, Source: source, Err: err})
	return h, err
}

// enter lets a call in, or lets it wait. The error is an *Error.
func (p *Pool) enter(h *hold, tenant string) error {
	if h.Err() != nil {
		return p.fail("acquire", tenant, ctxerr.Ended(h))
	}
	h.outer = p.holdOf(h.Context)
	now := p.now()
	p.mu.Lock()
	e := p.admission.entries[tenant]
	if e != nil && p.admission.enter(e, h, now) {
		p.mu.Unlock()
		return nil
	}
	ended := p.admission.ended
	p.mu.Unlock()
	var path string
	if e == nil && !ended {
		var err error
		if path, err = p.options.Path(tenant); err != nil {
			return p.fail("path", tenant, err)
		}
	}
	p.mu.Lock()
	e = p.admission.entry(tenant, path)
	if p.admission.enter(e, h, now) {
		p.mu.Unlock()
		return nil
	}
	w, err := p.admission.wait(e, h, now)
	p.applyLocked(now)
	p.mu.Unlock()
	if err == nil {
		err = p.await(w)
	}
	return p.explain(h, tenant, e, err)
}

// await waits until w is over, its ctx ends, or AcquireTimeout has passed.
func (p *Pool) await(w *waiter) (err error) {
	var late <-chan time.Time
	if p.options.AcquireTimeout > 0 && w.hold.kind != kindScan {
		timer := time.NewTimer(p.options.AcquireTimeout)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-w.ready:
	case <-w.hold.Done():
		err = ctxerr.Ended(w.hold)
	case <-late:
		err = pool.ErrAcquireTimeout
	}
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	waited := now - w.since
	w.hold.waited = max(waited, 1)
	p.counts.waitTime += waited
	switch {
	case err == nil || err == pool.ErrAcquireTimeout && w.over: // it may just have got what it waited for
		return w.err
	case !p.admission.abandon(w, now) && w.err == nil:
		p.admission.leave(w.hold, now)
	}
	p.applyLocked(now)
	if errors.Is(err, context.Canceled) {
		p.counts.cancelled++
	} else {
		p.counts.timedOut++
	}
	return err
}

// explain returns err as the Error of a call.
func (p *Pool) explain(h *hold, tenant string, e *entry, err error) error {
	var failed *openFailure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed):
		return p.fail("open", tenant, err)
	case errors.Is(err, pool.ErrAcquireTimeout), errors.Is(err, context.DeadlineExceeded):
		return p.failWaited("acquire", tenant, err, h.waited, e)
	}
	return p.fail("acquire", tenant, err)
}

// release ends a call's hold.
func (p *Pool) release(h *hold) {
	h.over.Store(true)
	now, ctx := p.now(), h.Context // h is the caller's ctx, perhaps still in use: it must not change
	if h.observed {
		ctx = p.begin(ctx, pool.Event{Op: pool.Release, ID: h.id})
	}
	p.mu.Lock()
	p.admission.leave(h, now)
	p.applyLocked(now)
	p.mu.Unlock()
	if h.observed {
		p.end(ctx, pool.Event{Op: pool.Release, ID: h.id, Held: now - h.since, Outcome: pool.Returned})
	}
}
