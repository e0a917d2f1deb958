package stdlib

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
)

// Options say how a *sql.DB uses a database. The zero Options are right for most programs.
type Options struct {
	// NoBatch gives every autocommit write a commit of its own. By default
	// concurrent ones share a commit: see [sqlite.DB.Batch].
	NoBatch bool

	// TimeFormat is how a time.Time is written. Every known format is read, whatever it says. Defaults to TimeText.
	TimeFormat TimeFormat

	// IdleInTx is for how long a transaction on the writer may be open with no statement running. It is then
	// rolled back and reported, with the file and line of its Begin, as [sqlite.FoundIdle]: the program forgot it,
	// and all other writers wait for it. Its later statements, and Commit, fail with [sqlite.ErrRolledBack].
	// A *sql.Conn on which a temporary table, an attached database or a pragma was left holds the writer as well: it loses it
	// after the same time, and each later statement on it is an error that says so.
	// Defaults to 30s; negative: never.
	IdleInTx time.Duration
}

func (o Options) withDefaults() Options {
	if o.IdleInTx == 0 {
		o.IdleInTx = 30 * time.Second
	}
	return o
}

func (o Options) validate() error {
	if o.TimeFormat >= timeFormats {
		return fmt.Errorf("headpond/sqlite/stdlib: Options.TimeFormat is %d: it must be TimeText, TimeUnix, TimeUnixMilli or TimeUnixNano", o.TimeFormat)
	}
	return nil
}

// OpenDB returns a *sql.DB over db. It does no I/O. Closing it leaves db open; db must be closed after it.
// It panics if options are out of range, as they are a constant of the program.
//
// The *sql.DB needs no SetMaxOpenConns: what it opens are sessions without a connection, which take one from db's pools
// only while they need it.
func OpenDB(db *sqlite.DB, options Options) *sql.DB {
	if err := options.validate(); err != nil {
		panic(err)
	}
	return sql.OpenDB(NewConnector(db, options))
}

// NewConnector returns what [sql.OpenDB] takes, for libraries that wrap a connector. Options that are out of range
// are the error of its Connect.
func NewConnector(db *sqlite.DB, options Options) driver.Connector {
	return newConnector(db, options)
}

// connector makes the sessions of one *sql.DB. Its methods may be called from any goroutine.
type connector struct {
	database                                                       // of every session, unless there is pin
	pin      func(ctx context.Context) (*sqlite.DB, func(), error) // nil: there is one database
	options  Options
	texts    *texts
	base     baselines
	invalid  error
}

func newConnector(db *sqlite.DB, options Options) *connector {
	return &connector{database: databaseOf(db), options: options.withDefaults(), texts: newTexts(), invalid: options.validate()}
}

// Connect returns a session. It takes no connection, and does not block.
func (c *connector) Connect(context.Context) (driver.Conn, error) {
	if c.invalid != nil {
		return nil, c.invalid
	}
	return &session{connector: c, database: c.database}, nil
}

// Driver returns the driver that is registered as "headpond".
func (c *connector) Driver() driver.Driver { return registered }
