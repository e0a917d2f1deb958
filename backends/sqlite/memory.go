package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
)

// OpenMemory makes an empty database in memory. It lives until Close, whatever the limits of the pool;
// no two calls share one.
//
// In memory, readers and the writer would keep each other out, and starve: so Read and Write share one connection
// and take turns, first come, first served. Readers and Writer return the same pool.
// Read inside Write, and any other nesting, fails with [pool.ErrNested].
//
// Of the options, ReadOnly, ForeignCheckpoints and Restore are an error, and Readers, ReaderPolicy, FileMode and JournalSizeLimit have no effect.
func OpenMemory(ctx context.Context, options Options) (*DB, error) {
	return newDB(ctx, newMemoryDatabase(newMemoryURI(), options))
}

// newMemoryDatabase is newDatabase for one in memory.
func newMemoryDatabase(uri string, options Options) *database {
	d := newDatabase("memory", options)
	d.memory, d.path = true, uri
	if d.options.ReadOnly {
		d.invalid = errors.Join(d.invalid, errors.New("Options.ReadOnly is true: a new database in memory is empty"))
	}
	if d.options.ForeignCheckpoints {
		d.invalid = errors.Join(d.invalid, errors.New("Options.ForeignCheckpoints is true: a database in memory has no log"))
	}
	if d.options.Restore != nil {
		d.invalid = errors.Join(d.invalid, errors.New("Options.Restore is set: a database in memory has no file that could be restored; use Open"))
	}
	return d
}

// newMemoryURI is that of a new database in memory. SQLite shares one whose name begins with a slash among connections.
func newMemoryURI() string {
	return fmt.Sprintf("file:/headpond-%016x%016x?vfs=memdb", rand.Uint64(), rand.Uint64())
}
