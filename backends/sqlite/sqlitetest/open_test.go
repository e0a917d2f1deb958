package sqlitetest_test

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/sqlitetest"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

var schema = &sqlitemigration.Schema{Migrations: []string{"CREATE TABLE stock (item TEXT PRIMARY KEY, n INTEGER NOT NULL)"}}

func add(_ context.Context, conn *sqlite.Conn) (int, error) {
	err := sqlitex.Execute(conn, "INSERT INTO stock VALUES ('pear', 2)", nil)
	return conn.Changes(), err
}

// opens are the ways to open a database for a test.
var opens = map[string]func(testing.TB, *sqlitemigration.Schema) *sqlite.DB{"file": sqlitetest.Open, "memory": sqlitetest.OpenMemory}

func TestOpen_HasItsSchemaAndIsClosedAtTheEnd(t *testing.T) {
	for name, open := range opens {
		t.Run(name, func(t *testing.T) {
			r := recorder{TB: t}
			var db *sqlite.DB
			r.run(func() {
				db = open(&r, schema)
				n, err := sqlite.Write(t.Context(), db, add)
				assert.NoError(t, err)
				assert.Equal(t, 1, n, "no other test's row is there")
				assert.NoError(t, db.Ping(t.Context()))
			})
			assert.Empty(t, r.errors)
			assert.ErrorIs(t, db.Ping(t.Context()), pool.ErrClosed)
		})
	}
}

func TestOpen_TakesNoSchema(t *testing.T) {
	for name, open := range opens {
		t.Run(name, func(t *testing.T) { assert.NoError(t, open(t, nil).Ping(t.Context())) })
	}
}

func TestOpen_NamesWhatIsOut(t *testing.T) {
	for name, open := range opens {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := recorder{TB: t}
				var lease pool.Lease[*sqlite.Conn]
				r.run(func() {
					var err error
					lease, err = open(&r, schema).Writer().Acquire(context.Background())
					assert.NoError(t, err)
				})
				lease.Release()
				require.Len(t, r.errors, 1, "once, though the pools can't be closed either")
				assert.Contains(t, r.errors[0], "1 of 1 leases did not end with the test")
				assert.Contains(t, r.errors[0], "open_test.go")
			})
		})
	}
}

func TestOpen_NamesAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := recorder{TB: t}
		var lease pool.Lease[*sqlite.Conn]
		r.run(func() {
			var err error
			lease, err = sqlitetest.Open(&r, schema).Readers().Acquire(context.Background())
			assert.NoError(t, err)
		})
		lease.Release()
		require.Len(t, r.errors, 1)
		assert.Contains(t, r.errors[0], `pool "test.readers": 1 of 1 leases did not end with the test`)
	})
}

// What the test itself defers, and gives to Cleanup later, runs before it is looked.
func TestOpen_LooksLast(t *testing.T) {
	r := recorder{TB: t}
	r.run(func() {
		lease, err := sqlitetest.Open(&r, schema).Writer().Acquire(t.Context())
		assert.NoError(t, err)
		r.Cleanup(lease.Release)
	})
	assert.Empty(t, r.errors)
}

func TestOpen_FailsAtOnce(t *testing.T) {
	r, went := recorder{TB: t}, false
	r.run(func() {
		sqlitetest.Open(&r, &sqlitemigration.Schema{Migrations: []string{"CREATE nothing"}})
		went = true
	})
	assert.True(t, r.fatal)
	assert.False(t, went)
	require.Len(t, r.errors, 1)
	assert.Contains(t, r.errors[0], `near "nothing": syntax error`)
}

// A test may open the database itself, read-only, and may close it.
func TestCloseAtEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.db")
	r := recorder{TB: t}
	var db *sqlite.DB
	var err error
	r.run(func() {
		db, err = sqlite.Open(t.Context(), file, sqlite.Options{})
		require.NoError(t, err)
		sqlitetest.CloseAtEnd(&r, db)
		assert.NoError(t, db.Close(t.Context()))
	})
	assert.Empty(t, r.errors)
	r.run(func() {
		db, err = sqlite.Open(t.Context(), file, sqlite.Options{ReadOnly: true})
		require.NoError(t, err)
		sqlitetest.CloseAtEnd(&r, db)
		assert.NoError(t, db.Ping(t.Context()))
	})
	assert.Empty(t, r.errors)
	assert.ErrorIs(t, db.Ping(t.Context()), pool.ErrClosed)
}
