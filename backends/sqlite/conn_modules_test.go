package sqlite

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

// modules are virtual tables that keep a blob open in a transaction that writes: what makes one, and what writes to it.
var modules = []struct{ name, create, write string }{
	{"rtree, insert", "CREATE VIRTUAL TABLE v USING rtree(id,a,b)", "INSERT INTO v VALUES (NULL,1,2)"},
	{"rtree, update", "CREATE VIRTUAL TABLE v USING rtree(id,a,b); INSERT INTO v VALUES (1,1,2)", "UPDATE v SET b=b+1 WHERE id=1"},
	{"rtree, delete", "CREATE VIRTUAL TABLE v USING rtree(id,a,b); INSERT INTO v VALUES (1,1,2),(2,1,2)", "INSERT INTO v VALUES (NULL,3,4); DELETE FROM v WHERE a=3"},
	{"rtree, read after a write", "CREATE VIRTUAL TABLE v USING rtree(id,a,b)", "INSERT INTO v VALUES (NULL,1,2); SELECT * FROM v"},
	{"geopoly", "CREATE VIRTUAL TABLE v USING geopoly(x)", "INSERT INTO v(_shape) VALUES ('[[0,0],[1,0],[1,1],[0,0]]')"},
	{"fts5, insert", "CREATE VIRTUAL TABLE v USING fts5(x)", "INSERT INTO v VALUES ('one two')"},
	{"fts5, optimize", "CREATE VIRTUAL TABLE v USING fts5(x); INSERT INTO v VALUES ('one two')", "INSERT INTO v(v) VALUES ('optimize')"},
	{"fts5, delete", "CREATE VIRTUAL TABLE v USING fts5(x)", "INSERT INTO v VALUES ('one two'); DELETE FROM v WHERE v MATCH 'two'; INSERT INTO v VALUES ('one')"},
	{"fts5, no content", "CREATE VIRTUAL TABLE v USING fts5(x, content='')", "INSERT INTO v VALUES ('one two')"},
}

// The blobs that modules keep open are not the borrower's: Batch commits, and nothing is found.
func TestModules_AreNoStatementsThatWereLeftOpen(t *testing.T) {
	for _, m := range modules {
		t.Run(m.name, func(t *testing.T) {
			db := openBatch(t, Options{OnFinding: func(_ context.Context, f Finding) { t.Errorf("found %v", f) }})
			require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, m.create) }))
			write := func(_ context.Context, conn *Conn) error { return run(conn, m.write) }
			assert.NoError(t, db.Write(t.Context(), write))
			assert.NoError(t, db.Batch(t.Context(), write), "alone")
			var all sync.WaitGroup
			lease, err := db.Writer().Acquire(t.Context()) // so that they share a transaction
			require.NoError(t, err)
			for range 5 {
				all.Go(func() { assert.NoError(t, db.Batch(t.Context(), write), "shared") })
			}
			waitForWorks(db, 5)
			lease.Release()
			all.Wait()
			assert.NoError(t, db.Writer().Do(t.Context(), func(ctx context.Context, conn *Conn) error {
				return run(conn, "BEGIN IMMEDIATE; "+m.write+"; COMMIT")
			}))
		})
	}
}

// What the borrower leaves open beside a module's blob is found, and the module's own changes are undone, too.
func TestModules_HideNoStatementThatWasLeftOpen(t *testing.T) {
	for _, m := range modules {
		t.Run(m.name, func(t *testing.T) {
			db := openBatch(t, Options{})
			require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
				return run(conn, m.create+"; INSERT INTO work VALUES (1),(2)")
			}))
			for name, leave := range map[string]func(conn *Conn) error{
				"a statement": func(conn *Conn) error { _, err := conn.Prep("SELECT id FROM work").Step(); return err },
				"a blob":      func(conn *Conn) error { _, err := conn.OpenBlob("main", "big", "x", 1, false); return err },
				"a write": func(conn *Conn) error {
					_, err := conn.Prep("INSERT INTO work VALUES (3),(4) RETURNING id").Step()
					return err
				},
			} {
				if name == "a blob" {
					require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
						return run(conn, "CREATE TABLE big (x); INSERT INTO big VALUES (zeroblob(9))")
					}))
				}
				careless := func(_ context.Context, conn *Conn) error {
					if err := run(conn, m.write); err != nil {
						return err
					}
					return leave(conn)
				}
				assert.ErrorContains(t, db.Batch(t.Context(), careless), "a statement was left open", name)
				found := db.Stats().Found[FoundStatement]
				assert.NoError(t, db.Write(t.Context(), careless), name)
				assert.Equal(t, found+1, db.Stats().Found[FoundStatement], name)
			}
			assert.Equal(t, []int{1, 2, 3, 4}, worked(t, db), "of Write alone")
		})
	}
}

// A call that fails after it wrote to a module's table leaves nothing there, beside others that commit.
func TestModules_AreRolledBackWithTheirCall(t *testing.T) {
	db := openBatch(t, Options{})
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return run(conn, "CREATE VIRTUAL TABLE v USING rtree(id,a,b)")
	}))
	lease, err := db.Writer().Acquire(t.Context())
	require.NoError(t, err)
	var all sync.WaitGroup
	for id := range 10 {
		all.Go(func() {
			err := db.Batch(t.Context(), func(_ context.Context, conn *Conn) error {
				err := sqlitex.Execute(conn, "INSERT INTO v VALUES (?,1,2)", &sqlitex.ExecOptions{Args: []any{id}})
				if err == nil && id%3 == 0 {
					err = errResult
				}
				return err
			})
			assert.Equal(t, id%3 == 0, err != nil)
		})
	}
	waitForWorks(db, 10)
	lease.Release()
	all.Wait()
	ids, err := Read(t.Context(), db, func(_ context.Context, conn *Conn) (string, error) {
		return first(conn, "SELECT group_concat(id) FROM (SELECT id FROM v ORDER BY id)")
	})
	require.NoError(t, err)
	assert.Equal(t, "1,2,4,5,7,8", ids)
}
