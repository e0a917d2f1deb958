package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/headpond/headpond/internal/gate"
	"github.com/headpond/headpond/resource"
)

// build builds a value and brings it to the gate. It owns the slot, whatever becomes of the caller.
func (p *Pool[T]) build(builder *gate.Builder[*entry[T]]) {
	ctx := builder.Ctx
	if ctx == nil {
		ctx = context.Background()
	}
	e, err := p.lives.construct(ctx, birth{builder.Observed, p.generation.Load()})
	if err != nil {
		p.buildFailed(err)
		p.gate.FailedToBuild(builder, err, p.abandoned(err))
		p.maintainNow()
		return
	}
	p.failing.end()
	p.register(e)
	p.accept(e, p.gate.Built(builder, e))
	p.maintainNow()
}

// construct runs the Construct hook and returns the entry of what it made.
func (p *Pool[T]) construct(ctx context.Context, birth birth) (*entry[T], error) {
	if p.ctx.Err() != nil {
		return nil, ErrClosed
	}
	event := Event{Op: Construct, ID: p.lastID.Add(1)}
	timeout := p.options.Policy.ConstructTimeout
	ctx, cancel := p.bounded(ctx, timeout)
	defer cancel()
	mark := &hookMark{op: Construct}
	defer mark.returned.Store(true)
	ctx = context.WithValue(ctx, markKey[T]{p}, mark)
	began := p.now()
	if birth.observed {
		ctx = p.beginAlone(ctx, event)
	}
	value, err := isolate(p, Construct, timeout, func() (T, error) { return p.hooks.Construct(ctx) }, func(value T) {
		err := p.dispose(event.ID, resource.Discarded, value)
		p.gate.Stray(err != nil, p.abandoned(err))
	})
	if err != nil && ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	now := p.now()
	if birth.observed {
		event.Took, event.Err = now-began, err
		p.endAlone(ctx, event)
	}
	if err != nil {
		return nil, err
	}
	e := &entry[T]{
		pool: p, value: value, id: event.ID, generation: birth.generation,
		born: now, idleSince: now, good: now, jitter: jitter(p.options.Policy.LifetimeJitter), last: free,
	}
	e.held.Store(free)
	if p.options.LeakAfter > 0 {
		e.stack = make([]uintptr, 0, 32)
	}
	return e, nil
}

// failing is a series of failed builds.
type failing struct {
	mu       sync.Mutex // protects the following
	since    time.Duration
	running  bool
	reported bool
}

// end ends the series: a build has succeeded.
func (f *failing) end() {
	f.mu.Lock()
	f.running, f.reported = false, false
	f.mu.Unlock()
}

// buildFailed notes that a build has failed. The observer is told once if building has failed for FailingAfter.
func (p *Pool[T]) buildFailed(err error) {
	if p.options.FailingAfter == 0 {
		return
	}
	f, now := &p.failing, p.now()
	f.mu.Lock()
	if !f.running {
		f.running, f.since = true, now
	}
	took := now - f.since
	report := took >= p.options.FailingAfter && !f.reported
	f.reported = f.reported || report
	f.mu.Unlock()
	if report {
		p.endAlone(context.Background(), Event{Op: Failing, Took: took, Err: err})
	}
}

// jitter draws from [0, most).
func jitter(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return rand.N(most)
}
