package sqlite

import (
	"context"
	"time"

	"github.com/headpond/headpond/pool"
)

// call is a call of Batch as the writer's observer sees it: as a lease that waits for its turn, and ends when it is done.
type call struct {
	began    time.Time
	observed context.Context // of its events; nil: nobody wants them
}

// observe returns the observer of the writer's pool: it is told of everything but the leases of Batch's own,
// since every call has events of its own.
func (b *batches) observe(observer pool.Observer) pool.Observer {
	if observer == nil {
		return nil
	}
	return func(inspector pool.Inspector) pool.Tap {
		tap := observer(inspector)
		b.tap = &tap
		others := tap
		others.Enabled = func(ctx context.Context) bool {
			if t, ok := ctx.(*turn); ok && t.db == b.db && t.what == "Batch" {
				return false
			}
			return tap.Enabled == nil || tap.Enabled(ctx)
		}
		return others
	}
}

// called begins a call.
func (b *batches) called(ctx context.Context) call {
	c := call{began: time.Now()}
	if b.enabled(ctx) {
		c.observed = b.begin(ctx, pool.Event{Op: pool.Acquire})
	}
	return c
}

// acquired tells that the turn of a call has come, or never will.
func (b *batches) acquired(c call, event pool.Event) {
	if c.observed != nil {
		event.Op, event.Took = pool.Acquire, time.Since(c.began)
		b.end(c.observed, event)
	}
}

// released tells that a call has had its turn.
func (b *batches) released(c call, event pool.Event) {
	if c.observed != nil {
		ctx := b.begin(c.observed, pool.Event{Op: pool.Release, ID: event.ID})
		event.Op, event.Outcome = pool.Release, pool.Returned
		b.end(ctx, event)
	}
}

// What follows swallows a panic of the tap, as the pool does: no work may be lost for it.

func (b *batches) enabled(ctx context.Context) (enabled bool) {
	if b.tap == nil || b.tap.Begin == nil && b.tap.End == nil {
		return false
	}
	defer func() { _ = recover() }()
	return b.tap.Enabled == nil || b.tap.Enabled(ctx)
}

func (b *batches) begin(ctx context.Context, event pool.Event) (inner context.Context) {
	if b.tap.Begin == nil {
		return ctx
	}
	inner = ctx
	defer func() { _ = recover() }()
	return b.tap.Begin(ctx, event)
}

func (b *batches) end(ctx context.Context, event pool.Event) {
	if b.tap.End != nil {
		defer func() { _ = recover() }()
		b.tap.End(ctx, event)
	}
}
