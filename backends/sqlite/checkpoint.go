package sqlite

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite"
)

// Checkpoint is what one checkpoint did. The zero Checkpoint is that of a database in memory, which has no log.
type Checkpoint struct {
	Complete bool          // every page is in the database file, and the log is empty
	Pages    int           // in the log, where it is not complete
	Moved    int           // of them, those that are in the database file
	Size     int64         // of the log's file afterwards, in bytes
	HeldBack time.Duration // for how long readers that were about to begin were kept waiting for it

	// Pinned is the reader of this DB that had been held for the longest time, where the checkpoint is not complete:
	// most likely its snapshot needs the rest of the log. With Options.LeakAfter it has the stack.
	// nil: no reader was held, so that the snapshot is one of another process.
	Pinned *pool.Holder
}

// Checkpoint moves the write-ahead log into the database file and empties it, on the writer's turn.
// Where readers are in the way, it holds new ones back for 100 ms at most, so that it can succeed;
// it never waits for another process. It blocks until it is its turn, as Write does, and returns the same errors;
// the end of ctx interrupts it. That readers kept it from being complete is no error.
//
// There is seldom a need to call it, since a DB does it by itself: see Options.JournalSizeLimit.
// It is of use before the file is copied by other means, and after a great change.
func (db *DB) Checkpoint(ctx context.Context) (done Checkpoint, err error) {
	err = db.onWriter(ctx, "Checkpoint", func(ctx context.Context, s *state) error {
		if db.files.memory {
			return nil
		}
		done, err = db.log.empty(ctx, s)
		return err
	})
	if err == nil && !db.files.memory {
		db.log.goOn(done, true)
	}
	return done, err
}

// patience is for how long readers are held back so that the log can be emptied.
const patience = 100 * time.Millisecond

// empty is a checkpoint that empties the log, where it can. It is called on the writer's turn.
func (l *log) empty(ctx context.Context, s *state) (done Checkpoint, err error) {
	done, err = l.checkpoint(ctx, s, "TRUNCATE")
	if err != nil || done.Complete {
		return done, err
	}
	began := time.Now()
	admit := l.holdBack()
	defer admit()
	defer time.AfterFunc(patience, admit).Stop() // what is being written by then may take longer
	for count := 0; err == nil && !done.Complete && time.Since(began) < patience; count++ {
		timer := time.NewTimer(delays[min(count, 1)]) // a try that moves nothing costs some locks
		select {
		case <-timer.C:
		case <-s.alarm.Load().rings:
			timer.Stop()
			if ctx.Err() != nil {
				return done, ended(ctx)
			}
			return done, fmt.Errorf("%w: it was interrupted", pool.ErrClosed)
		}
		done, err = l.checkpoint(ctx, s, "TRUNCATE")
	}
	done.HeldBack = min(time.Since(began), patience)
	return done, err
}

// checkpoint is one in the mode "PASSIVE" or "TRUNCATE". It waits for nobody.
func (l *log) checkpoint(ctx context.Context, s *state, mode string) (Checkpoint, error) {
	s.patient = false
	done, err := s.checkpoint(mode)
	if err != nil {
		return done, fmt.Errorf("headpond/sqlite: checkpoint: %w", s.blame(ctx, err))
	}
	done.Size = l.size()
	if done.Complete {
		if mode == "TRUNCATE" {
			s.emptied()
		}
		return done, nil
	}
	if holders := l.db.readers.Holders(); len(holders) > 0 {
		done.Pinned = &holders[0]
	}
	return done, nil
}

// checkpoint runs the pragma: https://www.sqlite.org/pragma.html#pragma_wal_checkpoint.
// Its row is busy, pages in the log, pages moved; the latter two are -1 where another process is at it.
func (s *state) checkpoint(mode string) (done Checkpoint, err error) {
	stmt, _, err := s.conn.PrepareTransient("PRAGMA wal_checkpoint(" + mode + ")")
	if err != nil {
		return done, err
	}
	defer func() { _ = stmt.Finalize() }() // repeats the error of Step
	_, err = stmt.Step()
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultBusy, sqlite.ResultLocked:
		return done, nil
	}
	if err != nil {
		return done, err
	}
	busy, pages, moved := stmt.ColumnInt(0) != 0, stmt.ColumnInt(1), stmt.ColumnInt(2)
	return Checkpoint{Complete: !busy && pages == moved, Pages: max(0, pages), Moved: max(0, moved)}, nil
}

// holdBack makes Read wait until admit is called, any number of times. One at a time does so, on the writer's turn.
//
// It is no pool.Suspend: with that, a Read inside a Read would be ErrNested for a while, TryAcquire ErrUnavailable
// and MaxWaiters reached, and its Resume would undo a Suspend of the user's.
// Connections that are acquired from Readers directly are not held back: they begin to read when they like.
func (l *log) holdBack() (admit func()) {
	held := make(chan struct{})
	l.held.Store(&held)
	return sync.OnceFunc(func() {
		l.held.Store(nil)
		close(held)
	})
}

// admit waits while readers are held back, or until ctx ends.
func (l *log) admit(ctx context.Context) {
	if held := l.held.Load(); held != nil {
		select {
		case <-*held:
		case <-ctx.Done():
		}
	}
}
