package sqlite

import (
	"context"
	"fmt"
)

// Checkpoint moves the write-ahead log into the database file and empties it, on the writer's turn.
// If another process writes or makes a checkpoint, it waits for that process for at most 100 ms, and if readers are in the way,
// for them for at most 100 ms more; for that time it holds back new readers, and other processes can't write.
// It blocks until it is its turn, as [DB.Write] does, and returns the same errors; the end of ctx interrupts it.
// It is no error if a lock or readers kept it from being complete.
// With [Options.ForeignCheckpoints] it does nothing, and returns [ErrForeignCheckpoints].
//
// There is seldom a need to call it, since a DB does so by itself: see [Options.JournalSizeLimit].
// It is of use before the file is copied by other means, and after a great change.
func (db *DB) Checkpoint(ctx context.Context) (done Checkpoint, err error) {
	if db.database.options.ForeignCheckpoints {
		return done, fmt.Errorf("headpond/sqlite %q: Checkpoint: %w", db.database.name(), ErrForeignCheckpoints)
	}
	err = db.onWriter(ctx, db.database.note("Checkpoint"), func(ctx context.Context, c *connection) error {
		if db.database.memory {
			return nil
		}
		done, err = db.checkpointer.events().observe(ctx, c, func() (Checkpoint, error) {
			done, _, err := db.checkpointer.truncate(ctx, c, -1)
			return done, err
		})
		return err
	})
	if err == nil && !db.database.memory {
		db.checkpointer.scheduleNext(done, truncating)
	}
	return done, err
}
