package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite"
)

// DB is a database: a pool of read-only connections and a pool of one writer, to one file in WAL mode.
// Make one with Open or OpenMemory, and end it with Close. All methods may be called from any goroutine.
type DB struct {
	files   *database
	readers *pool.Pool[*Conn]
	writer  *pool.Pool[*Conn] // nil: read-only. In memory it is the same as readers
	anchor  *anchor           // keeps a database in memory alive; nil for a file

	batches batches
	log     log

	closing atomic.Bool
}

// Open opens the database file at path, and creates it where there is none: with its mode, its journal mode
// and its schema complete, or not at all (on a file system without links: in place, and empty for a moment). It opens the writer first, so that what is wrong shows here:
// the error is an *OpenError, or names the option that is out of range. A failed Open leaves nothing open.
// It blocks while another process holds a lock that it needs, until ctx ends or for Options.BusyTimeout.
//
// Any number of processes may open one file. In one process, one DB a file is enough.
func Open(ctx context.Context, path string, options Options) (*DB, error) {
	return newDB(ctx, newDatabase(path, options))
}

func newDB(ctx context.Context, files *database) (db *DB, err error) {
	mode := Writer
	if files.options.ReadOnly {
		mode = Reader
	}
	if files.invalid != nil {
		return nil, files.fail(mode, "options", files.invalid)
	}
	db = &DB{files: files}
	db.batches.init(db)
	db.log.init(db)
	if db.readers, err = db.pool(Reader); err != nil {
		return nil, err
	}
	switch {
	case files.memory:
		db.writer = db.readers
	case mode == Writer:
		if db.writer, err = db.pool(Writer); err != nil {
			db.closePools(context.Background())
			return nil, err
		}
	}
	files.evict = func() {
		for _, p := range db.pools() {
			p.Evict()
		}
	}
	if err := db.start(ctx, mode); err != nil {
		_ = db.closePools(context.Background()) // nothing is out
		return nil, err
	}
	return db, nil
}

// pool makes the pool of a mode.
func (db *DB) pool(mode Mode) (*pool.Pool[*Conn], error) {
	o := db.files.options
	settings := pool.Options{
		Name: db.name() + ".readers", MaxSize: o.Readers, Policy: o.ReaderPolicy,
		MaxWaiters: o.MaxWaiters, AcquireTimeout: o.AcquireTimeout, MaintainEvery: o.MaintainEvery,
		LeakAfter: o.LeakAfter, Observer: o.Observer, Figures: db.figures,
	}
	if mode == Writer {
		settings.Name, settings.MaxSize, settings.Policy = db.name()+".writer", 1, o.WriterPolicy
		settings.Figures = nil // the readers' has them
	}
	if db.files.memory {
		mode, settings.Name, settings.MaxSize, settings.Policy = Writer, db.name(), 1, o.WriterPolicy
	}
	if mode == Writer {
		settings.Observer = db.batches.observe(o.Observer)
	}
	hooks := db.files.hooks(mode)
	if mode == Writer {
		hooks = db.log.watch(hooks)
	}
	return pool.New(hooks, settings)
}

// start opens the first connection, brings the schema up to date with it, and gives it to its pool.
func (db *DB) start(ctx context.Context, mode Mode) error {
	first, err := db.files.open(ctx, mode)
	if err != nil {
		return err
	}
	if db.files.memory {
		db.anchor = &anchor{state: first}
		if err := db.files.migrate(ctx, first); err != nil {
			db.anchor.weigh()
			return err
		}
		return nil
	}
	if db.files.options.Schema != nil {
		err := db.files.migrate(ctx, first)
		if endErr := first.end(ctx); err == nil { // a migration may leave what taints
			err = endErr
		}
		if err != nil {
			return err
		}
		if first, err = db.files.open(ctx, mode); err != nil {
			return err
		}
	}
	db.files.first.Store(first)
	p := db.writer
	if mode == Reader {
		p = db.readers
	}
	if err := p.Warm(ctx, 1); err != nil {
		if first := db.files.first.Swap(nil); first != nil {
			_ = first.end(ctx) // nobody used it
		}
		return err
	}
	return nil
}

// name is Options.Name or what it defaults to.
func (db *DB) name() string {
	switch {
	case db.files.options.Name != "":
		return db.files.options.Name
	case db.files.memory:
		return "memory"
	}
	base := filepath.Base(db.files.path)
	return strings.TrimSuffix(base, filepath.Ext(base))
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

// Writer returns the pool of the one connection that writes; nil with Options.ReadOnly.
// A borrower begins and commits by itself, with BEGIN IMMEDIATE; most are better served by Write.
func (db *DB) Writer() *pool.Pool[*Conn] { return db.writer }

// Read calls use with a read-only connection, in one deferred transaction:
// from its first statement on, use sees one snapshot, whatever is written meanwhile.
// A write in use fails at once with SQLite's READONLY; use Write for it.
// It waits for a reader, not for writers; for 100 ms at most also where the write-ahead log is being emptied
// (see Options.JournalSizeLimit). A snapshot that lasts keeps that log from starting over.
//
// Read returns the *pool.Error of the acquire, or the error of use as it is; where SQLite was interrupted
// because ctx ended, it is to errors.Is both that of ctx and SQLite's.
// Inside a Read, with the ctx that use gets, it is pool.ErrNested where every reader is taken;
// on a database in memory, inside Read, Write and Batch, always. A panic in use closes the connection and goes on.
func (db *DB) Read(ctx context.Context, use func(ctx context.Context, conn *Conn) error) error {
	switch outer := db.within(ctx); {
	case outer == nil:
		db.log.admit(ctx)
	case db.files.memory:
		return db.nested(db.readers, "Read", outer)
	}
	return db.readers.Do(ctx, func(ctx context.Context, conn *Conn) error {
		return db.inTurn(ctx, "Read", conn, func(ctx context.Context, s *state) error {
			return s.snapshot(ctx, use)
		})
	})
}

// Write calls use with the one writer, in a transaction of its own: BEGIN IMMEDIATE before,
// COMMIT when use returns nil, ROLLBACK when it returns an error or panics. Use runs exactly once.
// Writers come in the order of their calls, first come, first served; Write blocks until it is its turn,
// and while another process writes.
//
// Write returns nil only when the COMMIT has succeeded. Else nothing of use was committed, and the error is
// the *pool.Error of the acquire, the error of use as it is, that of COMMIT, or ErrRolledBack where the transaction
// ended inside use: by a statement of its own (COMMIT is refused), by OR ROLLBACK, by a full disk.
// Where ctx ends, use is interrupted, and the error is to errors.Is both that of ctx and SQLite's.
// Inside Read, Write or Batch, with the ctx that their function gets, it is pool.ErrNested at once;
// with Options.ReadOnly it is ErrReadOnly.
func (db *DB) Write(ctx context.Context, use func(ctx context.Context, conn *Conn) error) error {
	return db.onWriter(ctx, "Write", func(ctx context.Context, s *state) error {
		return s.transact(ctx, use)
	})
}

// onWriter calls use with the writer, in no transaction, when it is its turn.
// what is for errors. The ctx that use gets carries the mark against nesting.
// A panic in use closes the connection and goes on.
func (db *DB) onWriter(ctx context.Context, what string, use func(ctx context.Context, s *state) error) error {
	if err := db.mayWrite(ctx, what); err != nil {
		return err
	}
	return db.batches.blame(db.writer.Do(ctx, func(ctx context.Context, conn *Conn) error {
		return db.inTurn(ctx, what, conn, use)
	}))
}

// mayWrite returns why ctx can't wait for the writer.
func (db *DB) mayWrite(ctx context.Context, what string) error {
	if db.writer == nil {
		return fmt.Errorf("headpond/sqlite %q: %s: %w", db.name(), what, ErrReadOnly)
	}
	if outer := db.within(ctx); outer != nil {
		return db.nested(db.writer, what, outer)
	}
	if db.closing.Load() {
		return &pool.Error{Pool: db.writer.Name(), Op: pool.Acquire, Stats: db.writer.Stats(), Err: pool.ErrClosed}
	}
	return nil
}

// inTurn calls use with the state of a connection and the mark against nesting.
func (db *DB) inTurn(ctx context.Context, what string, conn *Conn, use func(ctx context.Context, s *state) error) error {
	s, ok := stateOf(conn)
	if !ok {
		return errClosed
	}
	t := &turn{Context: ctx, db: db, what: what}
	defer t.over.Store(true)
	err := use(t, s)
	if err != nil && spoils(sqlite.ErrCode(err)) {
		db.files.spoil(s)
	}
	return err
}

// Stats are a DB's figures.
type Stats struct {
	Readers pool.Stats
	Writer  pool.Stats // zero with Options.ReadOnly; in memory the same as Readers
	Found   Found      // what borrowers left behind, by kind
	Batch   BatchStats
	WAL     WAL
}

// Stats returns the figures of both pools, each of one instant, and of the database.
func (db *DB) Stats() Stats {
	stats := Stats{Readers: db.readers.Stats(), Found: db.files.found.snapshot(), Batch: db.batches.snapshot(), WAL: db.log.snapshot()}
	if db.writer != nil {
		stats.Writer = db.writer.Stats()
	}
	return stats
}

// figures are those that the pools do not have themselves.
func (db *DB) figures() []pool.Figure {
	var all []pool.Figure
	batch := db.batches.snapshot()
	all = append(all,
		pool.Figure{Name: "headpond.sqlite.batches", Unit: "{batch}", Value: float64(batch.Batches)},
		pool.Figure{Name: "headpond.sqlite.batch.works", Unit: "{work}", Value: float64(batch.Works)},
		pool.Figure{Name: "headpond.sqlite.batch.again", Unit: "{work}", Value: float64(batch.Again)},
		pool.Figure{Name: "headpond.sqlite.batch.largest", Unit: "{work}", Value: float64(batch.Largest)},
	)
	all = append(all, db.log.figures()...)
	for kind, count := range db.files.found.snapshot() {
		all = append(all, pool.Figure{Name: "headpond.sqlite.found." + Kind(kind).String(), Unit: "{connection}", Value: float64(count)})
	}
	return all
}

// nested is the error of a call inside another that it would wait for.
func (db *DB) nested(p *pool.Pool[*Conn], what string, outer *turn) error {
	return &pool.Error{Pool: p.Name(), Op: pool.Acquire, Stats: p.Stats(), Err: fmt.Errorf("%w: %s inside %s", pool.ErrNested, what, outer.what)}
}

// turn is the ctx of a function given to Read, Write or Batch.
type turn struct {
	context.Context
	db    *DB
	what  string
	marks context.Context // of the runner's lease, which ctx does not have: see pool.Lease.Context
	over  atomic.Bool     // the function has returned
}

type turnKey struct{ *DB }

// Value returns the turn itself for its own key, and, until it is over, what it knows of the lease.
func (t *turn) Value(key any) any {
	if key == any(turnKey{t.db}) {
		return t
	}
	if t.marks != nil && !t.over.Load() {
		if mark := t.marks.Value(key); mark != nil {
			return mark
		}
	}
	return t.Context.Value(key)
}

// within returns the turn that ctx belongs to, nil where there is none or it is over.
func (db *DB) within(ctx context.Context) *turn {
	if t, ok := ctx.Value(turnKey{db}).(*turn); ok && !t.over.Load() {
		return t
	}
	return nil
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
