package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite"
)

// Close ends the database: Read and Write fail with pool.ErrClosed from now on, and so do readers that wait;
// writers that wait have their turn. The readers are closed first; then the writer runs PRAGMA optimize
// and a last checkpoint (none with [Options.ForeignCheckpoints]), and is closed.
//
// Close waits until every connection has come back and is closed. When ctx ends before, it interrupts what runs,
// and waits for one second more: then it returns an error that wraps that of ctx and names the holders.
// A connection is closed when it comes back, never under its holder.
//
// With a ctx that has ended already, what is held is interrupted at once; what is idle is closed, and if all is, that is no error.
// So a deferred Close leaves nothing open, but what runs has no time to end: give it a ctx of its own, as
// context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second).
//
// If a COMMIT failed and what it has left in the log could not be overwritten (see [ErrOutcomeUnknown]), Close goes on trying
// until ctx ends, and closes the connection that knows of it only then: its error is ErrOutcomeUnknown if that was in vain.
//
// Close may be called again, and waits again. Called with the ctx of a function given to Read, Write or Batch
// it does not wait, but returns pool.ErrNested.
func (db *DB) Close(ctx context.Context) error {
	db.closing.Store(true)
	db.checkpointer.stop()
	db.kept.stop()
	if outer := db.database.within(ctx); outer != "" {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_ = db.closePools(over) // begins
		return db.nested(db.readers, "Close", outer)
	}
	var err error
	orderly, cancel := db.orderly(ctx)
	defer cancel()
	if db.writer != nil && (db.writer == db.readers || db.readers.Close(orderly) == nil) {
		db.batches.drain(orderly)
		err = db.finishWriter(orderly)
	}
	closeErr := db.database.closeOrInterrupt(ctx, db.closePools)
	if err == nil || ctx.Err() != nil { // if ctx has ended, that is why the writer did not finish
		err = closeErr
	} else {
		err = errors.Join(err, closeErr)
	}
	if err == nil {
		db.checkpointer.runs.Wait() // that is soon: the writer's pool is closed
	}
	if releaseErr := db.database.doubt.release(ctx); releaseErr != nil {
		err = errors.Join(err, fmt.Errorf("headpond/sqlite %q: close: %w", db.database.name(), releaseErr))
	}
	if db.closeAnchor != nil {
		err = errors.Join(err, db.closeAnchor())
	}
	return err
}

// orderly returns the ctx for what Close does while nobody is in its way. If ctx has ended, as that of a service whose Close is deferred,
// and nothing is held that its end is to interrupt, that has closeGrace: otherwise the log would stay beside the file.
func (db *DB) orderly(ctx context.Context) (context.Context, context.CancelFunc) {
	idle := db.batches.empty()
	for _, p := range db.pools() {
		stats := p.Stats()
		idle = idle && stats.Held == 0 && stats.Waiting == 0
	}
	if ctx.Err() == nil || !idle {
		return ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
}

// finishWriter does the last things on the writer. It is no error if a lock of another process, a full disk, a borrower
// or a pool that is closed already keeps it from them: the next process to open the file takes up its log.
// It is one if no writer can be opened, as on a disk that fails.
func (db *DB) finishWriter(ctx context.Context) error {
	err := db.writer.Do(newAgent(ctx, "close"), func(ctx context.Context, conn *Conn) error {
		c, ok := connectionOf(conn)
		if !ok || db.database.memory {
			return nil
		}
		if c.settleCommits() != nil {
			return nil // release says so
		}
		c.waitsForLocks = false
		_, _, _ = c.query(ctx, "PRAGMA optimize") // statistics: nothing hangs on them
		if db.database.options.ForeignCheckpoints {
			return nil
		}
		_, err := db.checkpointer.events().observe(ctx, c, func() (Checkpoint, error) { return c.checkpoint(truncating) }) // whether it was complete or not
		if err != nil {
			return fmt.Errorf("headpond/sqlite %q: close: the last checkpoint: %w", db.database.name(), asContextError(ctx, err))
		}
		return nil
	})
	var failed *pool.Error
	var notOpened *OpenError
	switch {
	case errors.Is(err, pool.ErrClosed):
		return nil
	case errors.Is(err, pool.ErrAcquireTimeout) && !(errors.As(err, &failed) && failed.Cause != nil):
		return nil // it is held: it is the pool's Close that waits for that
	case errors.Is(err, pool.ErrAcquireTimeout), errors.As(err, &notOpened):
		err = fmt.Errorf("headpond/sqlite %q: close: no writer could be opened for the last checkpoint, so that the log is left to the next Open: %w", db.database.name(), err)
	}
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultBusy, sqlite.ResultLocked, sqlite.ResultFull:
		return nil
	}
	return err
}

// closePools closes the readers, then the writer.
func (db *DB) closePools(ctx context.Context) error {
	var errs []error
	for _, p := range db.pools() {
		errs = append(errs, p.Close(ctx))
	}
	return errors.Join(errs...)
}
