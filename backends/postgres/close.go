package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// grace is how long Close waits for what it has cancelled.
const grace = time.Second

// Close ends the DB: Read and Write fail with pool.ErrClosed from now on, and so do those that wait.
// The readers are closed first, then the writers.
//
// Close waits until every connection has come back and is closed. When ctx ends before, it asks the server
// to cancel what runs, and waits for one second more: then it returns an error that wraps that of ctx and names the holders.
// A connection is closed when it comes back, never under its holder.
// Close may be called again, and waits again. Called with the ctx of a function given to Read, Write or WriteSerializable
// it does not wait, but returns pool.ErrNested.
func (db *DB) Close(ctx context.Context) error {
	if db.watcher != nil {
		db.watcher.stop()
	}
	if outer := db.within(ctx); outer != nil {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_ = db.closePools(over) // begins
		return db.nested(db.readers, "Close", outer)
	}
	err := db.closePools(ctx)
	if err == nil || ctx.Err() == nil {
		return err
	}
	db.connector.interrupted.Store(true)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	db.connector.sessions.cancelAll(last)
	if err := db.closePools(last); err != nil {
		return errors.Join(ended(ctx), fmt.Errorf("headpond/postgres %q: close: %w", db.name, err))
	}
	return nil
}
