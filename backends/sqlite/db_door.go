package sqlite

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/headpond/headpond/backends/sqlite/internal/door"
	"github.com/headpond/headpond/pool"
)

func init() {
	door.DBOf = func(db any) door.DB { return doorDB{db.(*DB)} }
	door.Validate = func(options any) error { return options.(Options).withDefaults().validate() }
	door.Figures = func(stats any) []pool.Figure {
		s := stats.(Stats)
		return slices.Concat(s.Batch.figures(), s.WAL.figures(-1), s.Found.figures())
	}
}

// doorDB is a DB as package stdlib sees it.
type doorDB struct{ *DB }

func (db doorDB) AcquireReader(ctx context.Context) (pool.Lease[*Conn], error) {
	switch outer := db.database.within(ctx); {
	case outer == "":
		db.checkpointer.admit(ctx)
	case db.database.memory:
		return pool.Lease[*Conn]{}, db.nested(db.readers, "database/sql", outer)
	}
	return db.readers.Acquire(ctx)
}

func (db doorDB) AcquireWriter(ctx context.Context) (pool.Lease[*Conn], error) {
	if err := db.mayWrite(ctx, "database/sql"); err != nil {
		return pool.Lease[*Conn]{}, err
	}
	began := time.Now()
	lease, err := db.writer.Acquire(ctx)
	if err != nil {
		return lease, db.database.vain(err)
	}
	if c, ok := connectionOf(lease.Value()); ok {
		c.boundWait(began) // until Finish
	}
	return lease, nil
}

func (db doorDB) Keep() bool     { return db.kept.keep() }
func (db doorDB) Unkeep()        { db.kept.unkeep() }
func (db doorDB) Memory() bool   { return db.database.memory }
func (db doorDB) Replaced() bool { return db.database.replaced.Load() }
func (db doorDB) ReadOnly() bool { return db.writer == nil }

func (db doorDB) Report(ctx context.Context, idle bool, text string) {
	kind := FoundTransaction
	if idle {
		kind = FoundIdle
	}
	findings{{kind, Writer, text}}.report(ctx, db.database)
}

// keptReaders are readers that open rows keep: the pool of readers grows by them, so that those
// which are for everyone stay so, and shrinks again when they have not been needed for a while.
type keptReaders struct {
	db *DB

	mu     sync.Mutex // protects the following
	count  int
	extra  int         // by so many the pool is larger than Options.Readers
	shrink *time.Timer // nil: never was one needed
}

// keptFor is for how long the pool stays larger than it needs to be: opening a reader takes some 150 µs.
const keptFor = time.Second

func (k *keptReaders) keep() bool {
	options := &k.db.database.options
	k.mu.Lock()
	defer k.mu.Unlock()
	if options.Readers+k.count >= options.MaxReaders {
		return false
	}
	k.count++
	if k.count > k.extra {
		k.extra = k.count
		_ = k.db.readers.Resize(options.Readers + k.extra) // it is positive
	}
	return true
}

func (k *keptReaders) unkeep() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.count--
	if k.shrink == nil {
		k.shrink = time.AfterFunc(keptFor, k.shrinkNow)
	} else {
		k.shrink.Reset(keptFor)
	}
}

func (k *keptReaders) shrinkNow() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.extra > k.count && !k.db.closing.Load() {
		k.extra = k.count
		_ = k.db.readers.Resize(k.db.database.options.Readers + k.extra)
	}
}

func (k *keptReaders) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.shrink != nil {
		k.shrink.Stop()
	}
}
