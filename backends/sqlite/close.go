package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite"
)

// grace is how long Close waits for what it has interrupted.
const grace = time.Second

// Close ends the database: Read and Write fail with pool.ErrClosed from now on, and so do readers that wait;
// writers that wait have their turn. The readers are closed first; then the writer runs PRAGMA optimize
// and a last checkpoint, and is closed.
//
// Close waits until every connection has come back and is closed. When ctx ends before, it interrupts what runs,
// and waits for one second more: then it returns an error that wraps that of ctx and names the holders.
// A connection is closed when it comes back, never under its holder.
// Close may be called again, and waits again. Called with the ctx of a function given to Read, Write or Batch
// it does not wait, but returns pool.ErrNested.
func (db *DB) Close(ctx context.Context) error {
	db.closing.Store(true)
	db.log.stop()
	if outer := db.within(ctx); outer != nil {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_ = db.closePools(over) // begins
		return db.nested(db.readers, "Close", outer)
	}
	var err error
	if db.writer != nil && (db.writer == db.readers || db.readers.Close(ctx) == nil) {
		db.batches.drain(ctx)
		err = db.farewell(ctx)
	}
	err = errors.Join(err, db.closePools(ctx))
	if err != nil && ctx.Err() != nil {
		db.files.interruptAll()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if err = db.closePools(last); err != nil {
			err = errors.Join(ended(ctx), err)
		}
	}
	if err == nil {
		db.log.passes.Wait() // that is soon: the writer's pool is closed
	}
	if db.anchor != nil {
		err = errors.Join(err, db.anchor.weigh())
	}
	return err
}

// farewell is the writer's last work. What keeps it from it does no harm, for the next one to open the file
// takes up its log: a lock of another process, a full disk, and a pool that is closed already.
func (db *DB) farewell(ctx context.Context) error {
	err := db.writer.Do(ctx, func(ctx context.Context, conn *Conn) error {
		s, ok := stateOf(conn)
		if !ok || db.files.memory {
			return nil
		}
		s.patient = false
		_, _, _ = s.query(ctx, "PRAGMA optimize")                    // statistics: nothing hangs on them
		_, _, err := s.query(ctx, "PRAGMA wal_checkpoint(TRUNCATE)") // its row says whether it was complete
		if err != nil {
			return fmt.Errorf("headpond/sqlite %q: close: the last checkpoint: %w", db.name(), withContext(ctx, err))
		}
		return nil
	})
	if errors.Is(err, pool.ErrClosed) || errors.Is(err, pool.ErrAcquireTimeout) {
		return nil
	}
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultBusy, sqlite.ResultLocked, sqlite.ResultFull:
		return nil
	}
	return err
}
