package sqlite

import (
	"context"
	"fmt"
)

// Ping reports whether the database can be read now, as for a health check: it acquires a reader as Read does, makes sure
// that the file at the path is the one that was opened, and reads its schema from a new snapshot.
// It blocks as Read does: give it a ctx with a deadline.
//
// The error names the DB. It wraps what an error of Read wraps, such as [pool.ErrClosed] and [pool.ErrAcquireTimeout],
// or [ErrReplaced]. Ping does not ask for the writer: a Write of nothing does.
func (db *DB) Ping(ctx context.Context) error {
	err := db.Read(ctx, func(ctx context.Context, conn *Conn) error {
		c, ok := connectionOf(conn)
		if !ok {
			return errClosed
		}
		if err := c.verify(ctx); err != nil {
			return err
		}
		_, _, err := c.query(ctx, "SELECT 1 FROM sqlite_schema LIMIT 1")
		return err
	})
	if err != nil {
		return fmt.Errorf("headpond/sqlite %q: ping: %w", db.database.name(), err)
	}
	return nil
}
