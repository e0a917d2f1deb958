package sqlite

import (
	"context"
	"time"

	"github.com/headpond/headpond/pool"
)

// runSolo runs a call on its caller's goroutine, in a transaction of its own, if the writer is idle:
// to hand it to the runner and back takes as long as a small transaction. It reports whether it did.
func (b *batcher) runSolo(op *operation, use func(ctx context.Context, conn *Conn) error, function uintptr, seen observation) (ran bool, err error) {
	ctx := op.ctx
	inner := &soloContext{callContext: callContext{Context: ctx, note: b.session.note}}
	defer inner.over.Store(true)
	var stack []uintptr
	if b.records() {
		stack = callers(nil)
	}
	inner.set(pool.LabelOf(ctx), function, stack)
	lease, err := b.session.writer.TryAcquire(inner)
	if err != nil {
		return false, nil // the runner finds out why
	}
	c, _ := connectionOf(lease.Value())
	began, discard := time.Now(), false
	defer func() { // also if use panics, or the observer ends this goroutine
		if discard {
			lease.Discard()
		} else {
			lease.Release()
		}
		b.countReleased()
		b.released(seen, pool.Event{ID: lease.ID(), Held: time.Since(began), Shared: 1, Err: err})
	}()
	op.run = soloRun
	b.countAcquired()
	b.acquired(seen, pool.Event{ID: lease.ID(), Source: pool.Idle, Shared: 1})
	err = c.writeTransaction(lease.Context(inner), *op, func(ctx context.Context, conn *Conn) error {
		err, discard := pool.Discarded(use(ctx, conn))
		if err == nil {
			err = c.rejectLeftovers()
		}
		return discardAgain(err, discard)
	})
	err, discard = pool.Discarded(err)
	if err != nil {
		c.endIfBroken(err)
		return true, err
	}
	b.countCommitted(1)
	return true, nil
}
