// Package door is what backends/sqlite/stdlib may ask of a sqlite.DB beyond what is exported:
// to run a transaction of its own on a lease, statement by statement.
package door

import (
	"context"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite"
)

// DB is a sqlite.DB. Its methods may be called from any goroutine.
type DB interface {
	// AcquireReader acquires a reader as DB.Read does.
	AcquireReader(ctx context.Context) (pool.Lease[*sqlite.Conn], error)
	// AcquireWriter acquires the writer as DB.Write does.
	AcquireWriter(ctx context.Context) (pool.Lease[*sqlite.Conn], error)
	// Keep reports whether a reader may be kept beyond the readers that are for everyone, up to Options.MaxReaders.
	// If it returns true, Unkeep must be called once that reader was released.
	Keep() bool
	Unkeep()
	// Memory reports whether readers and writer are one connection.
	Memory() bool
	// Replaced reports whether a connection has ever found sqlite.ErrReplaced.
	Replaced() bool
	// ReadOnly reports whether there is no writer.
	ReadOnly() bool
	// Report counts and reports that a transaction was rolled back that was idle, or that nothing had ended; text says whose.
	Report(ctx context.Context, idle bool, text string)
}

// Conn is a connection that was leased from a DB. It belongs to the holder of the lease.
type Conn interface {
	Handle() *raw.Handle

	// Watch makes the end of ctx interrupt what runs, until Finish.
	Watch(ctx context.Context)
	// Finish undoes Watch, and returns err as the error of ctx if ctx ended it.
	Finish(ctx context.Context, err error) error

	// Begin begins a transaction, of one snapshot or IMMEDIATE. If it writes, no statement can commit it: only Commit does.
	Begin(ctx context.Context, write bool) error
	// Commit commits it. After an error nothing is open.
	Commit(ctx context.Context) error
	// Rollback rolls back what is open, even on a connection that is interrupted.
	Rollback()

	// SetQueryOnly refuses writes, or allows them again.
	SetQueryOnly(on bool)
	// Untainted calls do, whose statements do not count as changes of the connection.
	Untainted(do func() error) error
	// Tainted reports whether the lease left something on the connection for which it will be closed.
	Tainted() bool
	// Adopt makes the functions that the connection has now those of a released connection.
	Adopt()

	// CallsOwn reports whether a statement that was prepared since the last call calls a function that is not SQLite's own.
	CallsOwn() bool
	// RollsBack reports whether the schema has a constraint or trigger that rolls back the transaction.
	RollsBack() (bool, error)
}

// DBOf, ConnOf, Validate and Figures are set by package sqlite. ConnOf returns nil if conn was closed or is not one of a DB.
// Validate returns an error that names what is out of range in a sqlite.Options; it does no I/O.
// Figures returns those of the batches, the log and the findings of a sqlite.Stats, which may be a sum of many.
var (
	DBOf     func(db any) DB
	ConnOf   func(conn *sqlite.Conn) Conn
	Validate func(options any) error
	Figures  func(stats any) []pool.Figure
)
