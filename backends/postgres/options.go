package postgres

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/jackc/pgx/v5"
)

// Options of a DB. The zero Options are right for most.
// A negative value is an error if nothing else is said of it.
type Options struct {
	// Name stands in errors, spans and metrics: the pools are Name.readers and Name.writer.
	// Defaults to the name of the database.
	Name string

	// ReadOnly opens no connection to write with: Write fails with ErrReadOnly, and Writer is nil.
	ReadOnly bool

	// Readers is the most connections of the pool of readers. Defaults to max(4, GOMAXPROCS).
	Readers int

	// Writers is the most connections of the pool of writers. Defaults to max(4, GOMAXPROCS).
	Writers int

	// Configure is called once, with what the url says, before it is used: for a tracer, a way to dial, TLS.
	// Its BuildContextWatcherHandler is replaced, unless CancelTimeout is negative. nil: nothing is changed.
	Configure func(config *pgx.ConnConfig) error

	// Setup is called with every new connection: to register types, to set what a url can't say, to prepare statements
	// with pgx's Prepare. Settings and the role that it sets are the baseline to which the connection comes back
	// at every release; it must leave nothing else behind on the session, such as temporary tables.
	// Its ctx is that of resource.Hooks' Construct.
	Setup func(ctx context.Context, conn *pgx.Conn) error

	// CancelTimeout is for how long a statement whose ctx has ended may take to end: the server is asked to cancel it,
	// and the connection goes on. Past it the connection is closed. Defaults to 1s;
	// negative: config.BuildContextWatcherHandler decides, which by pgx's default closes the connection at once.
	CancelTimeout time.Duration

	// ResetAlways makes every release of a connection that was used reset it, at the cost of a round trip:
	// for borrowers that change the session if it can't be seen, as a function with set_config in it does.
	ResetAlways bool

	// MaxAttempts is how often WriteSerializable runs its function at most, if the server says to try again.
	// Defaults to 10.
	MaxAttempts int

	// MaxLag is by how much a replica may be behind the primary for reads to go to it, if url names several hosts:
	// for how long the primary has been seen to have what the replica has not replayed. Past it the replica is left out
	// until it has caught up to half of it. Whatever it is, a Read sees what a Write of the same DB has written before.
	// Defaults to 10s; negative: no limit.
	MaxLag time.Duration

	// WatchEvery is how often each of several hosts is looked at, over a connection that no pool has.
	// One that does not answer within it, or a second if that is longer, is left out until it does. Defaults to 1s.
	WatchEvery time.Duration

	// OnFinding is called when a released connection was not as it should be, on the goroutine
	// that released it, with the ctx of the release: its stack and its span show the careless caller.
	// It must not use the connection, and must not block. nil: findings are counted only.
	OnFinding func(ctx context.Context, finding Finding)

	// AcquireTimeout is that of both pools: see pool.Options. Defaults to 5s; negative: the caller's ctx alone.
	AcquireTimeout time.Duration

	// MaxWaiters is that of each pool: see pool.Options. 0: no bound.
	MaxWaiters int

	// MaintainEvery is that of both pools: see pool.Options. Defaults to 30s.
	MaintainEvery time.Duration

	// LeakAfter is that of both pools: see pool.Options. 0: off.
	LeakAfter time.Duration

	// ReaderPolicy is the policy of the readers. The zero policy keeps them as long as they are sound,
	// and asks the server for a sign of life on acquire after a second of idleness.
	ReaderPolicy resource.Policy

	// WriterPolicy is the policy of the writers, as ReaderPolicy.
	WriterPolicy resource.Policy

	// Observer is told what both pools do. nil: none.
	Observer pool.Observer
}

func (o Options) withDefaults() Options {
	if o.Readers == 0 {
		o.Readers = max(4, runtime.GOMAXPROCS(0))
	}
	if o.Writers == 0 {
		o.Writers = max(4, runtime.GOMAXPROCS(0))
	}
	if o.CancelTimeout == 0 {
		o.CancelTimeout = time.Second
	}
	if o.MaxAttempts == 0 {
		o.MaxAttempts = 10
	}
	if o.MaxLag == 0 {
		o.MaxLag = 10 * time.Second
	}
	if o.WatchEvery == 0 {
		o.WatchEvery = time.Second
	}
	return o
}

// validate looks at o after withDefaults. What pool.New checks is left to it.
func (o Options) validate() error {
	switch {
	case o.Readers < 0:
		return fmt.Errorf("Options.Readers is %d: it must not be negative", o.Readers)
	case o.Writers < 0:
		return fmt.Errorf("Options.Writers is %d: it must not be negative", o.Writers)
	case o.WatchEvery < 0:
		return fmt.Errorf("Options.WatchEvery is %v: it must not be negative", o.WatchEvery)
	case o.MaxAttempts < 0:
		return fmt.Errorf("Options.MaxAttempts is %d: it must not be negative", o.MaxAttempts)
	}
	return nil
}
