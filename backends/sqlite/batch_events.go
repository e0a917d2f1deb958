package sqlite

import (
	"context"
	"time"

	"github.com/headpond/headpond/pool"
)

// batchEvents tells the writer's observer of every call of Batch: as of a lease that waits for its turn, and ends when the call is done.
type batchEvents struct {
	tap *pool.Tap // nil: there is no observer
}

// observation is one call as the observer sees it.
type observation struct {
	began time.Time
	ctx   context.Context // of its events; nil: the observer does not want them
}

// called begins the observation of a call.
func (e *batchEvents) called(ctx context.Context) observation {
	o := observation{began: time.Now()}
	if e.tap != nil && e.tap.Enabled(ctx) {
		o.ctx = e.tap.Begin(ctx, pool.Event{Op: pool.Acquire})
	}
	return o
}

// acquired tells that the turn of a call has come, or never will.
func (e *batchEvents) acquired(o observation, event pool.Event) {
	if o.ctx != nil {
		event.Op, event.Took = pool.Acquire, time.Since(o.began)
		e.tap.End(o.ctx, event)
	}
}

// released tells that a call has had its turn.
func (e *batchEvents) released(o observation, event pool.Event) {
	if o.ctx != nil {
		ctx := e.tap.Begin(o.ctx, pool.Event{Op: pool.Release, ID: event.ID})
		event.Op, event.Outcome = pool.Release, pool.Returned
		e.tap.End(ctx, event)
	}
}

// committing tells of the commit of so many calls that is about to begin, and returns the ctx of its events.
func (e *batchEvents) committing(calls int) context.Context {
	return e.tap.Begin(context.Background(), pool.Event{Op: pool.Commit, Shared: calls})
}

// committed tells how it went.
func (e *batchEvents) committed(ctx context.Context, event pool.Event) {
	if ctx != nil {
		event.Op, event.Code = pool.Commit, codeOf(event.Err)
		e.tap.End(ctx, event)
	}
}
