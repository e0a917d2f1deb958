package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
)

// OpenMemory makes an empty database in memory. It lives until Close, whatever the limits of the pool;
// no two calls share one.
//
// In memory, readers and the writer would keep each other out, and starve: so Read and Write share one connection
// and take turns, first come, first served. Readers and Writer return the same pool.
// Read inside Write, and any other nesting, is pool.ErrNested.
//
// Of the options, ReadOnly is an error, and Readers, ReaderPolicy, FileMode and JournalSizeLimit have no effect.
func OpenMemory(ctx context.Context, options Options) (*DB, error) {
	files := newDatabase("memory", options)
	files.memory = true
	files.path = fmt.Sprintf("file:/headpond-%016x%016x?vfs=memdb", rand.Uint64(), rand.Uint64())
	if files.options.ReadOnly {
		files.invalid = errors.Join(files.invalid, errors.New("Options.ReadOnly is true: a new database in memory is empty"))
	}
	return newDB(ctx, files)
}

// anchor is a connection that nobody uses, and that keeps a database in memory alive.
type anchor struct {
	state *state
	once  sync.Once
	err   error
}

// weigh closes it, once.
func (a *anchor) weigh() error {
	a.once.Do(func() { a.err = a.state.end(context.Background()) })
	return a.err
}
