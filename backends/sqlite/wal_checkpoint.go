package sqlite

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/internal/ctxerr"
	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite"
)

// Checkpoint is what one checkpoint did. The zero Checkpoint is that of a database in memory, which has no log.
type Checkpoint struct {
	Complete bool          // every page is in the database file, and the log is empty
	Pages    int           // in the log, if it is not complete
	Moved    int           // of them, those that are in the database file
	Size     int64         // of the log's file afterwards, in bytes: of the largest, if Options.Setup has attached databases
	HeldBack time.Duration // for how long readers that were about to begin were kept waiting for it

	// Locked says that another process held the lock that a write or a checkpoint takes, for as long as this one waited for it.
	// If that process was at a checkpoint itself, Pages and Moved are 0: nothing is known of them.
	Locked bool

	// Pinned is the reader of this DB that had been held for the longest time, if a snapshot kept the checkpoint
	// from being complete: most likely it is its snapshot. With [Options.LeakAfter] it has the stack.
	// nil: no reader was held, so that the snapshot is one of another process; or there was none, but a lock.
	Pinned *pool.Holder
}

// checkpointMode is the argument of PRAGMA wal_checkpoint.
type checkpointMode string

const (
	passive    checkpointMode = "PASSIVE"  // moves what it can. It waits for nothing
	truncating checkpointMode = "TRUNCATE" // moves all and empties the log. It waits for what the busy handler waits for
)

// writeAheadLog is the log of a database as checkpoints of it see it.
type writeAheadLog struct {
	database *database
	readers  *pool.Pool[*Conn]
	held     atomic.Pointer[chan struct{}] // closed when readers may begin; nil: they may
}

// path is that of the log's file.
func (l *writeAheadLog) path() string { return l.database.resolved() + walSuffix }

// size is that of the log's file, in bytes: of the largest, if databases are attached; 0 if there is none.
func (l *writeAheadLog) size() (largest int64) {
	if l.database.memory {
		return 0
	}
	if file, err := os.Stat(l.path()); err == nil {
		largest = file.Size()
	}
	if attached := l.database.attached.Load(); attached != nil {
		for _, path := range *attached {
			if file, err := os.Stat(path + walSuffix); err == nil {
				largest = max(largest, file.Size())
			}
		}
	}
	return largest
}

const (
	// lockWaitLimit is how long a checkpoint waits for another process that writes, or makes a checkpoint.
	lockWaitLimit = 100 * time.Millisecond
	// readerHoldLimit is how long a checkpoint waits for readers, and holds back new ones.
	readerHoldLimit = 100 * time.Millisecond
	// checkpointPoll is the time between two looks at a lock. A look costs a microsecond, and a process that does nothing but write
	// leaves the lock free for tens of microseconds at a time.
	checkpointPoll = 200 * time.Microsecond
)

// truncate moves the log into the database file and empties it, if it can. It is called on the writer's turn.
// While another process makes a checkpoint, it waits; once that process has cut the log to enough bytes, it leaves it at that.
func (l *writeAheadLog) truncate(ctx context.Context, c *connection, enough int64) (done Checkpoint, mode checkpointMode, err error) {
	wait := checkpointWait{log: l, connection: c, began: time.Now(), admit: func() {}}
	defer func() { wait.admit() }()
	c.busy = wait.busy
	defer func() { c.busy = nil }()
	for mode = truncating; ; {
		wait.locked = false
		done, err = l.checkpoint(ctx, c, mode, &wait)
		if !wait.held.IsZero() {
			done.HeldBack = min(time.Since(wait.held), readerHoldLimit)
		}
		switch {
		case err != nil || done.Complete:
			return done, mode, err
		case c.interrupted() && ctx.Err() != nil:
			return done, mode, ctxerr.Ended(ctx)
		case c.interrupted():
			return done, mode, fmt.Errorf("%w: it was interrupted", pool.ErrClosed)
		case !done.Locked || done.Pages > 0 || !wait.forLock():
			return done, mode, nil
		}
		if l.size() <= enough {
			mode = passive
		}
	}
}

// checkpointWait is what a checkpoint that empties the log waits for, and how long.
type checkpointWait struct {
	log        *writeAheadLog
	connection *connection
	began      time.Time
	locked     bool      // the checkpoint last waited for the write lock, which another process has
	held       time.Time // readers are held back since then; zero: they are not
	admit      func()    // ends that
}

// busy is the busy handler of the checkpoint. SQLite waits for the write lock first, then, with that lock, for readers:
// while it has it, no new reader needs the log once all is moved.
func (w *checkpointWait) busy(int) bool {
	if w.locked = !w.connection.CheckpointWrites(); w.locked {
		return w.forLock()
	}
	if w.held.IsZero() {
		w.held = time.Now()
		admit := w.log.holdBack()
		timer := time.AfterFunc(readerHoldLimit, admit) // to move the pages may take longer
		w.admit = func() {
			timer.Stop()
			admit()
		}
	}
	return w.connection.pause(checkpointPoll, readerHoldLimit-time.Since(w.held))
}

// forLock waits for a moment, and reports whether to look at a lock of another process again.
func (w *checkpointWait) forLock() bool {
	return w.connection.pause(checkpointPoll, lockWaitLimit-time.Since(w.began))
}

// checkpoint makes one checkpoint. wait is nil for one that waits for nothing.
func (l *writeAheadLog) checkpoint(ctx context.Context, c *connection, mode checkpointMode, wait *checkpointWait) (Checkpoint, error) {
	c.waitsForLocks = false
	done, err := c.checkpoint(mode)
	if err != nil {
		return done, fmt.Errorf("headpond/sqlite: checkpoint: %w", c.explain(ctx, err))
	}
	done.Size = l.size()
	if done.Complete {
		if mode == truncating {
			c.LogEmptied()
		}
		return done, nil
	}
	done.Locked = done.Locked || wait != nil && wait.locked
	if holders := l.readers.Holders(); len(holders) > 0 && (!done.Locked || done.Moved < done.Pages) {
		done.Pinned = &holders[0]
	}
	return done, nil
}

// checkpoint runs the pragma: https://www.sqlite.org/pragma.html#pragma_wal_checkpoint.
// Its row is busy, pages in the log, pages moved; the latter two are -1 if another process makes a checkpoint.
func (c *connection) checkpoint(mode checkpointMode) (done Checkpoint, err error) {
	switch err := c.readyToCheckpoint(); {
	case sqlite.ErrCode(err).ToPrimary() == sqlite.ResultBusy:
		return Checkpoint{Locked: true}, nil
	case err != nil:
		return done, err
	}
	c.quiet = true
	defer func() { c.quiet = false }()
	stmt, _, err := c.conn.PrepareTransient("PRAGMA wal_checkpoint(" + string(mode) + ")")
	if err != nil {
		return done, err
	}
	defer func() { _ = stmt.Finalize() }() // repeats the error of Step
	_, err = stmt.Step()
	c.Checkpointed(sqlite.ErrCode(err))
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultBusy, sqlite.ResultLocked:
		return Checkpoint{Locked: true}, nil
	}
	if err != nil {
		return done, err
	}
	busy, pages, moved := stmt.ColumnInt(0) != 0, stmt.ColumnInt(1), stmt.ColumnInt(2)
	if pages < 0 {
		return Checkpoint{Locked: true}, nil
	}
	return Checkpoint{Complete: !busy && pages == moved, Pages: pages, Moved: moved}, nil
}

// holdBack makes Read wait until admit is called, any number of times. One at a time does so, on the writer's turn.
//
// It is no pool.Suspend: with that, a Read inside a Read would be ErrNested for a while, TryAcquire ErrUnavailable
// and MaxWaiters reached, and its Resume would undo a Suspend of the user's.
// Connections that are acquired from Readers directly are not held back: they begin to read when they like.
func (l *writeAheadLog) holdBack() (admit func()) {
	held := make(chan struct{})
	l.held.Store(&held)
	return sync.OnceFunc(func() {
		l.held.Store(nil)
		close(held)
	})
}

// admit waits while readers are held back, or until ctx ends.
func (l *writeAheadLog) admit(ctx context.Context) {
	if held := l.held.Load(); held != nil {
		select {
		case <-*held:
		case <-ctx.Done():
		}
	}
}
