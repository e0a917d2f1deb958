package tenants

import (
	"context"
	"errors"
	"time"

	"github.com/headpond/headpond/internal/catch"
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
	return h, p.enterObserved(h, tenant)
}

// enterObserved is enter, of which the observer is told.
func (p *Pool) enterObserved(h *hold, tenant string) (err error) {
	began := p.now()
	h.Context = p.tap.Begin(context.WithValue(h.Context, tenantKey{}, tenant), pool.Event{Op: pool.Acquire})
	told := false
	defer func() {
		if !told && err == nil { // the observer called runtime.Goexit: nobody will release the hold
			p.leave(h, p.now())
		}
	}()
	catch.Run(func() { err = p.enter(h, tenant) }, func(ending catch.Ending) {
		if !ending.Returned { // Options.Path
			err = &pool.PanicError{Op: pool.Acquire, Value: ending.Value, Stack: ending.Stack}
		}
		h.observed = true
		p.tap.End(h.Context, pool.Event{Op: pool.Acquire, ID: h.id, Took: p.now() - began, Source: h.source(began, err), Err: err})
		if ending.Value != nil {
			panic(ending.Value) // goes on to the caller
		}
	})
	told = true
	return err
}

// source says where the database came from that a call got, which began then.
func (h *hold) source(began time.Duration, err error) pool.Source {
	switch {
	case err != nil:
		return 0
	case h.waited == 0:
		return pool.Idle
	case h.opened >= began:
		return pool.Created
	}
	return pool.Handoff // it was open, but admitted no calls
}

// enter lets a call in, or lets it wait. The error is an *Error.
func (p *Pool) enter(h *hold, tenant string) error {
	if h.Err() != nil {
		return p.fail(h.op(), tenant, ctxerr.Ended(h))
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

// op is Error.Op of what a call waits for.
func (h *hold) op() string {
	if h.kind == kindExclusive {
		return "exclusive"
	}
	return "acquire"
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
	case err == nil, err == pool.ErrAcquireTimeout && w.over: // it may just have got what it waited for
		return w.err
	case w.err != nil: // it says more than that ctx has ended since
		return w.err
	case !p.admission.abandon(w, now):
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
		return p.failWaited(h.op(), tenant, err, h.waited, e)
	}
	return p.fail(h.op(), tenant, err)
}

// release ends a call's hold.
func (p *Pool) release(h *hold) {
	h.over.Store(true)
	now := p.now()
	if !h.observed {
		p.leave(h, now)
		return
	}
	ctx := p.leaveObserved(h, now)
	p.tap.End(ctx, pool.Event{Op: pool.Release, ID: h.id, Held: now - h.since, Outcome: pool.Returned})
}

// leaveObserved is leave, after the observer was told. It returns the observer's ctx:
// h is that of the caller, perhaps still in use, and must not change.
func (p *Pool) leaveObserved(h *hold, now time.Duration) context.Context {
	defer p.leave(h, now) // also if the observer calls runtime.Goexit
	return p.tap.Begin(h.Context, pool.Event{Op: pool.Release, ID: h.id})
}

func (p *Pool) leave(h *hold, now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admission.leave(h, now)
	p.applyLocked(now)
}
