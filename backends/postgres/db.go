package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/jackc/pgx/v5"
)

// DB is a database on a server: a pool of connections that read, and a pool of connections that write.
// Make one with Open, and end it with Close. All methods may be called from any goroutine.
type DB struct {
	name      string
	connector *connector
	cluster   *cluster
	watcher   *watcher // nil: there is one server
	readers   *pool.Pool[*Conn]
	writer    *pool.Pool[*Conn] // nil: read-only
}

// Open returns a DB of what url says, which is a URL or keywords and values as in pgx.ParseConfig:
// the environment (PGHOST, PGPASSWORD, ...) and ~/.pgpass say what it leaves out.
// It opens one connection to write with (with Options.ReadOnly: to read), so that what is wrong shows here:
// the error is an *Error, or names the option that is out of range. A failed Open leaves nothing open.
// It blocks until then, until ctx ends, or for resource.Policy.ConstructTimeout.
//
// With several hosts one of them is the primary, and the others are its replicas, or will be after a failover:
//
//   - Writers connect to the primary, of two that say they are one to that of the later timeline.
//     When it dies, or turns read-only, its connections are retired at once, and a new primary is looked for
//     whenever a connection is opened: after a promotion writes go on within the pool's backoff, a second at most.
//     Until then Write fails with ErrNoPrimary.
//   - Readers connect to the replicas in turn, but for those that are too far behind or do not answer (see Options.MaxLag),
//     and to the primary if no replica is left. target_session_attrs says otherwise: primary and read-write read from the primary alone,
//     standby and read-only from replicas alone.
//   - A Read sees what the Writes of this DB that have returned wrote: if a replica has not replayed it yet, the Read goes to the primary,
//     on a connection of the writers. What others write, and what is written through a lease of Writer or through OpenDB, it sees in its time.
//
// With a single host target_session_attrs is pgx's. If that is a name that moves to another server in a failover,
// connections to one that has turned read-only are retired, too.
func Open(ctx context.Context, url string, options Options) (*DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, parseError(url, err)
	}
	if options.Configure != nil {
		if err := options.Configure(config); err != nil {
			return nil, &Error{Host: hostOf(config.Host, config.Port), Database: config.Database, Step: "Configure", Err: err}
		}
	}
	db := &DB{name: options.Name, connector: newConnector(config, options)}
	if db.connector.invalid != nil {
		return nil, fmt.Errorf("headpond/postgres: %w", db.connector.invalid)
	}
	if db.name == "" {
		db.name = config.Database
	}
	if db.name == "" {
		db.name = config.User // as PostgreSQL names the database then
	}
	db.cluster = newCluster(db.connector)
	db.connector.cluster = db.cluster
	if err := db.makePools(); err != nil {
		return nil, err
	}
	db.cluster.readers, db.cluster.writer = db.readers, db.writer
	if db.cluster.several() {
		db.watcher = db.cluster.watch(ctx, db.connector.options.WatchEvery)
	}
	first := db.writer
	if first == nil {
		first = db.readers
	}
	if err := first.Warm(ctx, 1); err != nil {
		_ = db.Close(context.Background()) // nothing is out
		var failed *pool.Error
		if errors.As(err, &failed) && ctx.Err() == nil {
			return nil, failed.Err
		}
		return nil, err
	}
	return db, nil
}

func (db *DB) makePools() (err error) {
	o := db.connector.options
	settings := pool.Options{
		Name: db.name + ".readers", Owner: db.name, System: "postgresql", MaxSize: o.Readers, Policy: o.ReaderPolicy,
		MaxWaiters: o.MaxWaiters, AcquireTimeout: o.AcquireTimeout, MaintainEvery: o.MaintainEvery,
		LeakAfter: o.LeakAfter, Observer: o.Observer, Figures: db.figures,
	}
	if db.readers, err = pool.New(db.connector.hooks(db.cluster.openReader), settings); err != nil || o.ReadOnly {
		return err
	}
	settings.Name, settings.MaxSize, settings.Policy = db.name+".writer", o.Writers, o.WriterPolicy
	settings.Figures = nil // the readers' has them
	if db.writer, err = pool.New(db.connector.hooks(db.cluster.openWriter), settings); err != nil {
		_ = db.closePools(context.Background())
	}
	return err
}

// pools are the pools that there are.
func (db *DB) pools() []*pool.Pool[*Conn] {
	if db.writer == nil {
		return []*pool.Pool[*Conn]{db.readers}
	}
	return []*pool.Pool[*Conn]{db.readers, db.writer}
}

// Readers returns the pool of connections that read. What is acquired there is in no transaction:
// every statement sees the database as it is then. A write fails at once: default_transaction_read_only is on.
func (db *DB) Readers() *pool.Pool[*Conn] { return db.readers }

// Writer returns the pool of connections that write; nil with Options.ReadOnly.
// A borrower begins and commits by itself; most are better served by Write.
func (db *DB) Writer() *pool.Pool[*Conn] { return db.writer }

// Read calls use with a transaction that reads, at REPEATABLE READ: from its first statement on,
// use sees one snapshot, whatever is written meanwhile. A write in it fails at once; use Write for it.
// It blocks while it waits for a reader, and for as long as use takes.
//
// Read returns the *pool.Error of the acquire, the error of use as it is, or an *Error if the connection was lost;
// if ctx ended and a statement was cancelled for it, the error wraps both that of ctx and PostgreSQL's.
// Inside a Read, with the ctx that use gets, it returns pool.ErrNested if every reader is taken.
// A panic in use closes the connection and goes on.
//
// With several hosts it goes to a replica: see [Open]. If that fails while use runs, since it ended the connection,
// or since what use reads is in the way of what it has to replay (40001, 40P01), use runs once more, on the primary:
// so it must have no effect but what it returns.
func (db *DB) Read(ctx context.Context, use func(ctx context.Context, tx pgx.Tx) error) error {
	return db.read(ctx, use)
}

// Write calls use with a transaction on a connection that writes, at the isolation level that the server sets by default,
// and commits it when use returns nil; it rolls it back when use returns an error or panics. Use runs once at most:
// it is not called if no transaction could be begun. Write blocks while it waits for a connection, and for as long as use takes.
//
// Write returns nil only when the COMMIT has succeeded. Else nothing of use was committed, unless the error is
// ErrOutcomeUnknown: then COMMIT was sent, and its answer was lost. Other errors are the *pool.Error of the acquire, the error of use
// as it is, that of COMMIT, ErrRolledBack if the transaction ended inside use or a statement in it had failed,
// or an *Error if the connection was lost. If ctx ends, what runs is cancelled,
// and the error wraps both that of ctx and PostgreSQL's.
//
// The transaction is for Write to end: tx.Commit returns an error, and a COMMIT as a statement of its own closes the connection.
// Inside Read, Write or WriteSerializable, with the ctx that their function gets, Write fails at once with pool.ErrNested;
// with Options.ReadOnly it returns ErrReadOnly.
func (db *DB) Write(ctx context.Context, use func(ctx context.Context, tx pgx.Tx) error) error {
	return db.write(ctx, "Write", func(ctx context.Context, s *session) error {
		return s.transact(ctx, "Write", beginWrite, use)
	})
}

// WriteSerializable is Write at SERIALIZABLE, and repeats the transaction if the server says that it may succeed then:
// serialization_failure (40001) and deadlock_detected (40P01), of a statement or of COMMIT. So use may run more than once,
// Options.MaxAttempts times at most, and must have no effect but on tx. Between two attempts is a pause that grows from 1 to 50 ms or so.
// It keeps its connection meanwhile. The error is as Write's; that of the last attempt if there were too many.
func (db *DB) WriteSerializable(ctx context.Context, use func(ctx context.Context, tx pgx.Tx) error) error {
	return db.write(ctx, "WriteSerializable", func(ctx context.Context, s *session) error {
		most := db.connector.options.MaxAttempts
		for attempt := 1; ; attempt++ {
			err := s.transact(ctx, "WriteSerializable", beginSerializable, use)
			if !again(err) || s.conn.IsClosed() {
				return err
			}
			if attempt == most {
				return fmt.Errorf("headpond/postgres %q: after %d attempts: %w", db.name, attempt, err)
			}
			if !pause(ctx, attempt) {
				return fmt.Errorf("%w: after %d attempts: %w", ended(ctx), attempt, err)
			}
		}
	})
}

// pause waits after an attempt; false: ctx ended.
func pause(ctx context.Context, attempt int) bool {
	longest := time.Millisecond << min(attempt, 6) // twice the mean
	timer := time.NewTimer(rand.N(min(longest, 50*time.Millisecond)) + longest/4)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// write runs do with a connection that writes.
func (db *DB) write(ctx context.Context, what string, do func(ctx context.Context, s *session) error) error {
	if db.writer == nil {
		return fmt.Errorf("headpond/postgres %q: %s: %w", db.name, what, ErrReadOnly)
	}
	if outer := db.within(ctx); outer != nil {
		return db.nested(db.writer, what, outer)
	}
	return db.run(ctx, what, db.writer, do)
}

// run calls do with a connection of p, and with another if that turns out to be lost before anything was done:
// one more than p can have, so that all may be lost.
func (db *DB) run(ctx context.Context, what string, p *pool.Pool[*Conn], do func(ctx context.Context, s *session) error) error {
	for tries := 0; ; tries++ {
		err := p.Do(ctx, func(ctx context.Context, conn *Conn) error {
			s, ok := sessionOf(conn)
			if !ok {
				return errClosed
			}
			t := &turn{Context: ctx, db: db, what: what}
			defer t.over.Store(true)
			return do(t, s)
		})
		var stale *staleError
		if !errors.As(err, &stale) {
			return err
		}
		if tries == p.Stats().MaxSize || ctx.Err() != nil {
			return stale.error
		}
	}
}

// Ping asks the servers of both pools for a sign of life, on connections that it acquires as Read and Write do.
// The error is the *pool.Error of the acquire, or an *Error.
func (db *DB) Ping(ctx context.Context) error {
	for _, p := range db.pools() {
		err := db.run(ctx, "Ping", p, func(ctx context.Context, s *session) error {
			err := s.conn.Ping(ctx)
			if _, lost := s.lost(); err != nil && lost && ctx.Err() == nil {
				return &staleError{s.fail("ping", err)}
			}
			return s.blame(ctx, "ping", err)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Stats are a DB's figures.
type Stats struct {
	Readers pool.Stats
	Writer  pool.Stats // zero with Options.ReadOnly
	Found   Found      // what borrowers left behind, by kind
	Cluster ClusterStats
}

// Stats returns the figures of both pools, each of one instant.
func (db *DB) Stats() Stats {
	stats := Stats{Readers: db.readers.Stats(), Found: db.connector.found.snapshot(), Cluster: db.cluster.stats()}
	if db.writer != nil {
		stats.Writer = db.writer.Stats()
	}
	return stats
}

// figures are those that the pools do not have themselves.
func (db *DB) figures() []pool.Figure {
	var all []pool.Figure
	for kind, count := range db.connector.found.snapshot() {
		all = append(all, pool.Figure{
			Name: "headpond.postgres.findings", Unit: "{finding}", Help: "What borrowers left behind on connections, by kind.", Kind: pool.Counter, Value: float64(count),
			Labels: []pool.Label{{Name: "headpond.finding.kind", Value: FindingKind(kind).String()}},
		})
	}
	return append(all, db.cluster.figures()...)
}

// closePools closes the readers, then the writer.
func (db *DB) closePools(ctx context.Context) error {
	var errs []error
	for _, p := range db.pools() {
		if p != nil {
			errs = append(errs, p.Close(ctx))
		}
	}
	return errors.Join(errs...)
}
