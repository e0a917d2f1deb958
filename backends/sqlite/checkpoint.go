package sqlite

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/headpond/headpond/pool"
)

// patience is for how long readers are held back so that the log can start over.
const patience = 100 * time.Millisecond

// Checkpoint is what one checkpoint did. The zero Checkpoint is that of a database in memory, which has no log.
type Checkpoint struct {
	Complete bool         // every page is in the database file, and the log is empty
	Pages    int          // in the log, where it is not complete
	Moved    int          // of them, those that are in the database file
	Pinned   *pool.Holder // who has held a reader for the longest time, where readers kept it from being complete
}

// WAL is how the write-ahead log stands.
type WAL struct {
	Size      int64        // of the file, in bytes
	Pages     int          // in the log, as the last commit or checkpoint left it
	Moved     int          // of them, those that were in the database file after the last checkpoint
	Truncated uint64       // checkpoints that emptied the log
	Kept      uint64       // checkpoints that readers, or another process, kept from emptying it
	Pinned    *pool.Holder // of the last one of those: who had held a reader for the longest time
}

// Checkpoint moves the write-ahead log into the database file and empties it, on the writer's turn.
// Where readers are in the way, it holds new ones back for 100 ms at most, so that it can succeed;
// it never waits for another process. It blocks until it is its turn, as Write does, and returns the same errors.
// That readers kept it from being complete is no error.
//
// There is seldom a need to call it: after a Write or Batch that leaves more than Options.JournalSizeLimit
// in the log, the writer does the same, and SQLite itself moves pages every 1,000 pages.
func (db *DB) Checkpoint(ctx context.Context) (done Checkpoint, err error) {
	err = db.onWriter(ctx, "Checkpoint", func(ctx context.Context, s *state) error {
		done, err = db.log.empty(ctx, db, s)
		return withContext(ctx, err)
	})
	return done, err
}

// log keeps the write-ahead log of a DB small.
type log struct {
	mu    sync.Mutex // protects the following
	wal   WAL
	again time.Time // no earlier try of what readers kept from being complete
}

// trim empties the log where it has outgrown its limit. It is called on the writer's turn,
// when nothing of the borrower's runs any more; a failure of it shows in the figures, and at the next try.
func (l *log) trim(db *DB, s *state) {
	limit := db.files.options.JournalSizeLimit
	if db.files.memory || s.closed() {
		return
	}
	pages, size := s.logged(), s.pageSize()
	l.mu.Lock()
	l.wal.Pages = pages
	wait := limit < 0 || int64(pages)*size <= limit || time.Now().Before(l.again)
	l.mu.Unlock()
	if wait || !s.idle() {
		return
	}
	s.disarm() // the caller's ctx has no part in this
	if s.interrupted() {
		return
	}
	_, _ = l.empty(context.Background(), db, s)
}

// empty is a checkpoint that empties the log, where it can.
func (l *log) empty(ctx context.Context, db *DB, s *state) (done Checkpoint, err error) {
	if db.files.memory {
		return done, nil
	}
	s.patient = false
	done, err = s.truncate()
	if err == nil && !done.Complete && !db.readers.Stats().Suspended {
		db.readers.Suspend()
		defer db.readers.Resume()
		for began := time.Now(); err == nil && !done.Complete && time.Since(began) < patience; {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return done, ended(ctx)
			}
			done, err = s.truncate()
		}
	}
	if err != nil {
		return done, fmt.Errorf("headpond/sqlite: checkpoint: %w", err)
	}
	if holders := db.readers.Holders(); !done.Complete && len(holders) > 0 {
		done.Pinned = &holders[0]
	}
	l.note(done)
	return done, nil
}

func (l *log) note(done Checkpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wal.Pages, l.wal.Moved = done.Pages, done.Moved
	if done.Complete {
		l.wal.Truncated++
		l.wal.Pinned = nil
		return
	}
	l.wal.Kept++
	l.wal.Pinned = done.Pinned
	l.again = time.Now().Add(10 * patience) // or writers would stand still more than they write
}

// snapshot is for Stats.
func (l *log) snapshot(db *DB) WAL {
	l.mu.Lock()
	defer l.mu.Unlock()
	wal := l.wal
	if !db.files.memory {
		if info, err := os.Stat(db.files.path + "-wal"); err == nil {
			wal.Size = info.Size()
		}
	}
	return wal
}

// pageSize is that of the database, with the header that a page has in the log.
func (s *state) pageSize() int64 {
	if s.page == 0 {
		s.page = 4096
		if value, _, err := s.query(context.Background(), "PRAGMA page_size"); err == nil {
			s.page, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	return s.page + 24
}

// truncate runs the checkpoint. Its row is busy, pages in the log, pages moved.
func (s *state) truncate() (done Checkpoint, err error) {
	stmt, _, err := s.conn.PrepareTransient("PRAGMA wal_checkpoint(TRUNCATE)")
	if err != nil {
		return done, err
	}
	defer func() { _ = stmt.Finalize() }() // repeats the error of Step
	if _, err = stmt.Step(); err != nil {
		return done, err
	}
	done = Checkpoint{Complete: stmt.ColumnInt(0) == 0, Pages: max(0, stmt.ColumnInt(1)), Moved: max(0, stmt.ColumnInt(2))}
	if done.Complete {
		s.emptied()
	}
	return done, nil
}
