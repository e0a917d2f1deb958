package sqlite

import (
	"context"
	"sync"

	"github.com/headpond/headpond/pool"
)

// Open opens the database file at path, and creates it if there is none: with its mode, its journal mode
// and its schema complete, or not at all (on a file system without links: in place, and empty for a moment).
// It opens the writer first, so that what is wrong shows here: the error is an *OpenError,
// or names the option that is out of range. A failed Open leaves nothing open.
// It blocks while another process holds a lock that it needs, until ctx ends or for [Options.BusyTimeout].
//
// Any number of processes may open one file. In one process, one DB a file is enough.
func Open(ctx context.Context, path string, options Options) (*DB, error) {
	return newDB(ctx, newDatabase(path, options))
}

func newDB(ctx context.Context, files *database) (*DB, error) {
	mode := Writer
	if files.options.ReadOnly {
		mode = Reader
	}
	if files.invalid != nil {
		return nil, files.openError(mode, "options", files.invalid)
	}
	db := &DB{database: files, reading: files.note("Read"), writing: files.note("Write")}
	db.batches.init(files)
	db.checkpointer.init(files, db.onWriter)
	db.kept.db = db
	var err error
	if db.readers, err = db.pool(Reader); err != nil {
		return nil, err
	}
	opened := false
	defer func() {
		if !opened { // an error, or a function of Options has panicked, or called runtime.Goexit
			_ = db.closePools(context.Background()) // no connection is out
		}
	}()
	switch {
	case files.memory:
		db.writer = db.readers
	case mode == Writer:
		if db.writer, err = db.pool(Writer); err != nil {
			return nil, err
		}
	}
	db.batches.tap = files.statements.taps[Writer]
	db.batches.session.writer, db.checkpointer.readers = db.writer, db.readers
	if db.writer != nil {
		if timeout := db.writer.Options().AcquireTimeout; timeout > 0 {
			files.waitLimit = max(timeout, files.options.BusyTimeout)
		}
	}
	files.evict = func() {
		for _, p := range db.pools() {
			p.Evict()
		}
	}
	if err := db.start(ctx, mode); err != nil {
		return nil, err
	}
	opened = true
	files.doubt.own()
	return db, nil
}

// pool makes the pool of a mode.
func (db *DB) pool(mode Mode) (*pool.Pool[*Conn], error) {
	o, name := db.database.options, db.database.name()
	settings := o.poolOptions(name+".readers", o.Readers, o.ReaderPolicy, db.figures)
	if mode == Writer {
		settings = o.poolOptions(name+".writer", 1, o.WriterPolicy, nil) // the readers' has the figures
	}
	if db.database.memory {
		mode = Writer
		settings = o.poolOptions(name, 1, o.WriterPolicy, db.figures)
	}
	if mode == Writer {
		settings.Advice = adviceOfWriter
	}
	if settings.Figures != nil {
		settings.Statements = db.Statements
	}
	settings.Owner, settings.Namespace = name, db.database.namespace()
	if mode == Writer {
		settings.Extra = db.batches.addTo
	}
	settings.Observer = db.database.statements.observe(mode, settings.Observer)
	hooks := db.database.hooks(mode, &db.first)
	if mode == Writer {
		hooks = db.checkpointer.instrument(hooks)
	}
	return pool.New(hooks, settings)
}

// start opens the first connection, brings the schema up to date with it, and gives it to its pool.
func (db *DB) start(ctx context.Context, mode Mode) error {
	first, err := db.database.open(ctx, mode)
	if err != nil {
		return err
	}
	if db.database.memory {
		db.closeAnchor = sync.OnceValue(func() error { return first.close(context.Background()) })
		if _, err := db.database.migrate(ctx, first); err != nil {
			_ = db.closeAnchor() // the first error says more
			return err
		}
		return nil
	}
	migrated, err := db.database.migrate(ctx, first)
	if err != nil || migrated { // a migration may leave what taints
		if endErr := first.close(ctx); err == nil {
			err = endErr
		}
		if err != nil {
			return err
		}
		if first, err = db.database.open(ctx, mode); err != nil {
			return err
		}
	}
	db.first.Store(first)
	p := db.writer
	if mode == Reader {
		p = db.readers
	}
	if err := p.Warm(ctx, 1); err != nil {
		if first := db.first.Swap(nil); first != nil {
			_ = first.close(ctx) // it was not used
		}
		return err
	}
	return nil
}
