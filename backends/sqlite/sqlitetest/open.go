package sqlitetest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/pooltest"
	"zombiezen.com/go/sqlite/sqlitemigration"
)

// closeTimeout is how long a test waits at its end for connections to be closed.
const closeTimeout = 10 * time.Second

// Open opens a new database with that schema, which may be nil, in a directory of the test's own.
// It ends with the test, as [CloseAtEnd] says. A test whose database can't be opened fails at once.
//
// Its options are the zero ones, but for Synchronous, which is SyncOff, since the file does not outlast the test,
// and LeakAfter and SlowAfter, which are an hour, so that the line that acquired a lease is known, and statements are seen. For other options open it with
// sqlite.Open, and call CloseAtEnd.
func Open(t testing.TB, schema *sqlitemigration.Schema) *sqlite.DB {
	t.Helper()
	return end(t)(sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "test.db"), options(schema)))
}

// OpenMemory is Open for a database in memory: see [sqlite.OpenMemory].
func OpenMemory(t testing.TB, schema *sqlitemigration.Schema) *sqlite.DB {
	t.Helper()
	return end(t)(sqlite.OpenMemory(context.Background(), options(schema)))
}

func options(schema *sqlitemigration.Schema) sqlite.Options {
	return sqlite.Options{Schema: schema, Synchronous: sqlite.SyncOff, LeakAfter: time.Hour, SlowAfter: time.Hour}
}

// end returns what takes the results of an open: it closes the DB at the end of the test, or fails the test.
func end(t testing.TB) func(db *sqlite.DB, err error) *sqlite.DB {
	t.Helper()
	return func(db *sqlite.DB, err error) *sqlite.DB {
		t.Helper()
		if err != nil {
			t.Fatalf("headpond/sqlitetest: %v", err)
		}
		CloseAtEnd(t, db)
		return db
	}
}

// CloseAtEnd closes db when the test ends, unless the test did, and fails it if a lease of a reader or of the writer is out then:
// it names each, with sqlite.Options.LeakAfter also by the file and line that acquired it.
// Goroutines of the test that are still at work have a second to release. An error of Close fails the test, too.
//
// Call it right after the open: what t.Cleanup is given later, and what the test defers, runs before.
func CloseAtEnd(t testing.TB, db *sqlite.DB) {
	t.Helper()
	t.Cleanup(func() { // runs last
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		leaked := false
		for _, p := range pools(db) {
			leaked = leaked || len(p.Holders()) > 0
		}
		if leaked {
			cancel() // it was reported: Close does not wait for it
		}
		if err := db.Close(ctx); err != nil && !leaked {
			t.Errorf("headpond/sqlitetest: %v", err)
		}
	})
	for _, p := range pools(db) {
		pooltest.Check(t, p)
	}
}

// pools are those of db, each once.
func pools(db *sqlite.DB) []*pool.Pool[*sqlite.Conn] {
	all := []*pool.Pool[*sqlite.Conn]{db.Readers()}
	if writer := db.Writer(); writer != nil && writer != db.Readers() {
		all = append(all, writer)
	}
	return all
}
