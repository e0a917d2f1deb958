package sqlite

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/internal/agent"
	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite"
)

// DB is a database: a pool of read-only connections and a pool of one writer, to one file in WAL mode.
// Make one with Open or [OpenMemory], and end it with Close. All methods may be called from any goroutine.
type DB struct {
	database *database
	readers  *pool.Pool[*Conn]
	writer   *pool.Pool[*Conn] // nil: read-only. In memory it is the same as readers

	// closeAnchor closes, once, an unused connection that keeps a database in memory alive; nil for a file.
	closeAnchor func() error

	reading, writing *agent.Note

	batches      batcher
	kept         keptReaders
	checkpointer checkpointer

	first   atomic.Pointer[connection] // what Construct returns first: opened with the ctx of Open; nil: nothing
	closing atomic.Bool
}

// pools are the pools that there are, each once.
func (db *DB) pools() []*pool.Pool[*Conn] {
	if db.writer == nil || db.writer == db.readers {
		return []*pool.Pool[*Conn]{db.readers}
	}
	return []*pool.Pool[*Conn]{db.readers, db.writer}
}

// Readers returns the pool of read-only connections. What is acquired there runs in no transaction:
// every statement sees the database as it is then.
// In memory it is the same pool as Writer: one connection, which reads and writes.
func (db *DB) Readers() *pool.Pool[*Conn] { return db.readers }

// Writer returns the pool of the one connection that writes; nil with [Options.ReadOnly].
// A borrower begins and commits by itself, with BEGIN IMMEDIATE; most are better served by Write.
func (db *DB) Writer() *pool.Pool[*Conn] { return db.writer }

// Read calls use with a read-only connection, in one deferred transaction:
// from its first statement on, use sees one snapshot, whatever is written meanwhile.
// A write in use fails at once with SQLite's READONLY; use Write for it.
// It waits for a reader, not for writers; for at most 100 ms also if the write-ahead log is being truncated
// (see [Options.JournalSizeLimit]). A snapshot that lasts keeps that log from starting over.
//
// Read returns the [*pool.Error] of the acquire, or the error of use as it is; if SQLite was interrupted
// because ctx ended, the error wraps both that of ctx and SQLite's.
// Inside a Read, with the ctx that use gets, it returns [pool.ErrNested] if every reader is taken;
// on a database in memory, inside Read, Write and Batch, always. A panic in use closes the connection and goes on.
func (db *DB) Read(ctx context.Context, use func(ctx context.Context, conn *Conn) error) error {
	op := db.database.operation(ctx, Reader, readRun)
	err := errUnreturned
	defer func() { op.end(err) }()
	err = db.read(op.ctx, use)
	return err
}

func (db *DB) read(ctx context.Context, use func(ctx context.Context, conn *Conn) error) error {
	switch outer := db.database.within(ctx); {
	case outer == "":
		db.checkpointer.admit(ctx)
	case db.database.memory:
		return db.nested(db.readers, "Read", outer)
	}
	return db.readers.Do(ctx, func(ctx context.Context, conn *Conn) error {
		return db.withConnection(ctx, db.reading, conn, func(ctx context.Context, c *connection) error {
			return c.readTransaction(ctx, use)
		})
	})
}

// Write calls use with the one writer, in a transaction of its own: BEGIN IMMEDIATE before,
// COMMIT when use returns nil, ROLLBACK when it returns an error or panics. Use runs exactly once.
// Writers come in the order of their calls, first come, first served; Write blocks until it is its turn,
// and while another process writes: for both together, at most for the longer of [Options.AcquireTimeout] and [Options.BusyTimeout].
// While another process has the lock, the error is SQLite's BUSY, and says how long it was tried.
//
// Write returns nil only when the COMMIT has succeeded. Otherwise nothing of use was committed, unless the error is [ErrOutcomeUnknown]:
// COMMIT failed on the disk, and what it had written to the log could not be overwritten, which is tried for BusyTimeout,
// also if ctx ends. In any case the error is
// the [*pool.Error] of the acquire, the error of use as it is, that of COMMIT, or [ErrRolledBack] if the transaction
// ended inside use: by a statement of its own (COMMIT is refused), by OR ROLLBACK, by a full disk.
// If ctx ends, use is interrupted, and the error wraps both that of ctx and SQLite's.
// Inside Read, Write or Batch, with the ctx that their function gets, Write fails at once with [pool.ErrNested];
// with [Options.ReadOnly] it returns [ErrReadOnly].
func (db *DB) Write(ctx context.Context, use func(ctx context.Context, conn *Conn) error) error {
	op := db.database.operation(ctx, Writer, writeRun)
	err := errUnreturned
	defer func() { op.end(err) }()
	err = db.onWriter(op.ctx, db.writing, func(ctx context.Context, c *connection) error {
		return c.writeTransaction(ctx, op, use)
	})
	return err
}

// onWriter calls use with the writer, in no transaction, when it is its turn.
// The ctx that use gets has the note, which is also for errors.
// A panic in use closes the connection and goes on.
func (db *DB) onWriter(ctx context.Context, note *agent.Note, use func(ctx context.Context, c *connection) error) error {
	if err := db.mayWrite(ctx, note.Method); err != nil {
		return err
	}
	began := time.Now()
	return db.database.vain(db.writer.Do(ctx, func(ctx context.Context, conn *Conn) error {
		return db.withConnection(ctx, note, conn, func(ctx context.Context, c *connection) error {
			c.boundWait(began)
			return use(ctx, c)
		})
	}))
}

// mayWrite returns an error if a call with ctx can't wait for the writer.
func (db *DB) mayWrite(ctx context.Context, method string) error {
	if db.writer == nil {
		return fmt.Errorf("headpond/sqlite %q: %s: %w", db.database.name(), method, ErrReadOnly)
	}
	if outer := db.database.within(ctx); outer != "" {
		return db.nested(db.writer, method, outer)
	}
	if db.closing.Load() {
		return &pool.Error{Pool: db.writer.Name(), Op: pool.Acquire, Stats: db.writer.Stats(), Err: pool.ErrClosed}
	}
	return nil
}

// nested is the error of a call inside another that it would wait for.
func (db *DB) nested(p *pool.Pool[*Conn], method, outer string) error {
	return &pool.Error{Pool: p.Name(), Op: pool.Acquire, Stats: p.Stats(), Err: nestedError{method, outer}}
}

// nestedError is a pool.ErrNested that says what is inside what.
type nestedError struct{ method, outer string }

func (e nestedError) Error() string {
	return fmt.Sprintf("%s inside %s, with the ctx that its function got, could wait for itself: call it when %s has returned", e.method, e.outer, e.outer)
}

func (e nestedError) Unwrap() error { return pool.ErrNested }

// withConnection calls use with what is known of a connection that a pool's Do has lent, with its ctx, to which it adds the note.
func (db *DB) withConnection(ctx context.Context, note *agent.Note, conn *Conn, use func(ctx context.Context, c *connection) error) error {
	c, ok := connectionOf(conn)
	if !ok {
		return errClosed
	}
	ctx.(agent.Noted).Note(note)
	c.failed = sqlite.ResultOK
	err := use(ctx, c)
	c.endIfBroken(err)
	return err
}
