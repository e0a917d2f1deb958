package sqlite

import (
	"context"
	"runtime"
	"time"

	"github.com/headpond/headpond/internal/ctxerr"
	"github.com/headpond/headpond/pool"
)

// batcher makes the calls of Batch share transactions: it queues them, and has a goroutine while there are any.
type batcher struct {
	callQueue
	batchEvents
	session *writerSession
	runner  runner
}

// init does no I/O. The writer is still to be set.
func (b *batcher) init(database *database) {
	b.callQueue.limit = database.options.MaxWaiters
	b.callQueue.recordAll = database.options.LeakAfter > 0
	b.session = newWriterSession(database)
	b.runner = runner{session: b.session, queue: &b.callQueue, events: &b.batchEvents, most: database.options.MaxBatch, longest: database.options.MaxBatchTime}
}

// do runs use, and returns when its changes are committed, or will not be. function is use, or what it was made of, for the holder's name.
// If there was a call in the queue, it is returned, to be recycled when the observer was told of its run.
func (b *batcher) do(op *operation, use func(ctx context.Context, conn *Conn) error, function uintptr) (*call, error) {
	ctx := op.ctx
	seen := b.called(ctx)
	if b.uncontended() {
		if ran, err := b.runSolo(op, use, function, seen); ran {
			return nil, err
		}
	}
	c, err := b.wait(ctx, use, function, seen)
	if err != nil {
		b.countRefused(err)
		b.acquired(seen, pool.Event{Err: err})
		return nil, err
	}
	b.countReleased()
	b.released(seen, pool.Event{ID: c.id, Held: time.Since(c.ran), Shared: c.size, Err: c.err})
	if op.tap != nil {
		c.run = pool.Run{Name: batchRun.Name, Attempts: c.attempts, Shared: c.size, Commit: c.commit}
		op.run = &c.run
	}
	switch {
	case c.ending.Exited():
		runtime.Goexit()
	case !c.ending.Returned:
		panic(c.ending.Value)
	}
	return c, c.err
}

// wait queues a call and returns it when it is done. The error is that of a call whose turn never came.
func (b *batcher) wait(ctx context.Context, use func(ctx context.Context, conn *Conn) error, function uintptr, seen observation) (*call, error) {
	if ctx.Err() != nil {
		return nil, b.session.refuse(ctxerr.Ended(ctx), 0)
	}
	c, first := b.push(ctx, use, function, seen)
	if c == nil {
		return nil, b.session.refuse(pool.ErrSaturated, 0)
	}
	if first {
		go b.runner.run()
	}
	var expired <-chan time.Time
	if limit := b.session.writer.Options().AcquireTimeout; limit > 0 {
		if c.timer == nil {
			c.timer = time.NewTimer(limit)
		} else {
			c.timer.Reset(limit)
		}
		expired = c.timer.C
		defer c.timer.Stop()
	}
	var err error
	for over := c.caller.Done(); ; {
		select {
		case <-c.done:
			if c.id == 0 {
				return nil, c.err
			}
			return c, nil
		case <-over:
			over, err = nil, ctxerr.Ended(&c.caller)
		case <-expired:
			if b.beginning.Load() { // its turn is about to come, unless another process keeps the lock
				if rest := b.session.database.waitLimit + lockGrace - time.Since(c.began); rest > 0 {
					c.timer.Reset(min(rest, lockBackoff.longest()))
					continue
				}
				expired = nil
				if b.remove(c, over == nil) {
					c.fail(b.session.database.lockedOut(time.Since(c.began)))
				}
				continue
			}
			expired, err = nil, pool.ErrAcquireTimeout
		}
		if b.remove(c, over == nil) {
			c.fail(b.session.refuse(err, time.Since(c.began)))
		}
	}
}

// drain waits until every call in the queue has had its turn. No new one comes.
func (b *batcher) drain(ctx context.Context) {
	for !b.empty() {
		if err := b.session.writer.Do(newAgent(ctx, "close"), func(context.Context, *Conn) error { return nil }); err != nil {
			return
		}
	}
}
