package sqlite

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

func init() {
	// The arguments are a file and a script, which another process runs.
	children["script"] = func(args []string) error {
		ctx := context.Background()
		db, err := Open(ctx, args[0], Options{})
		if err != nil {
			return err
		}
		err = db.Write(ctx, func(_ context.Context, conn *Conn) error { return run(conn, args[1]) })
		return errors.Join(err, db.Close(ctx))
	}
}

// columns reads all of t with a cached statement, by the names that its Stmt has.
func columns(t testing.TB, conn *Conn) (all map[string]string) {
	t.Helper()
	require.NoError(t, sqlitex.Execute(conn, "SELECT * FROM t", &sqlitex.ExecOptions{ResultFunc: func(stmt *Stmt) error {
		all = make(map[string]string)
		for i := range stmt.ColumnCount() {
			all[stmt.ColumnName(i)] = stmt.GetText(stmt.ColumnName(i))
		}
		return nil
	}}))
	return all
}

// changes are scripts that change t, and what its columns are afterwards.
var schemaChanges = []struct {
	script string
	want   map[string]string
}{
	{"CREATE TABLE t (a, b); INSERT INTO t VALUES ('A', 'B')", map[string]string{"a": "A", "b": "B"}},
	{"ALTER TABLE t ADD COLUMN c DEFAULT 'C'", map[string]string{"a": "A", "b": "B", "c": "C"}},
	{"ALTER TABLE t DROP COLUMN a", map[string]string{"b": "B", "c": "C"}},
	{"ALTER TABLE t RENAME COLUMN b TO a", map[string]string{"a": "B", "c": "C"}},
	{"DROP TABLE t; CREATE TABLE t (c, a); INSERT INTO t VALUES ('1', '2')", map[string]string{"c": "1", "a": "2"}},
	{"DROP TABLE t; CREATE VIEW t AS SELECT 1 AS x, 2 AS y", map[string]string{"x": "1", "y": "2"}},
}

// ways are all ways to a connection of a DB.
func ways(db *DB) map[string]func(context.Context, func(context.Context, *Conn) error) error {
	return map[string]func(context.Context, func(context.Context, *Conn) error) error{
		"Read": db.Read, "Write": db.Write, "Batch": db.Batch, "a reader by hand": db.Readers().Do, "the writer by hand": db.Writer().Do,
	}
}

// After a change of the schema by whatever way, a cached statement has the columns of now on every way.
func TestCachedStatementsHaveTheColumnsOfNow(t *testing.T) {
	both(t, func(t *testing.T, memory bool) {
		for name := range ways(open(t, memory, Options{})) {
			if name == "Read" || name == "a reader by hand" {
				continue
			}
			db := open(t, memory, Options{Readers: 3})
			require.NoError(t, db.Readers().Warm(t.Context(), db.Readers().Options().MaxSize))
			for _, change := range schemaChanges {
				require.NoError(t, ways(db)[name](t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, change.script) }))
				for way, call := range ways(db) {
					for range 2 {
						require.NoError(t, call(t.Context(), func(_ context.Context, conn *Conn) error {
							assert.Equal(t, change.want, columns(t, conn), "%s, after %s: %s", way, name, change.script)
							return nil
						}))
					}
				}
			}
			assert.Equal(t, Found{}, db.Stats().Found)
		}
	})
}

// A change of the schema that is rolled back leaves no names either, though the next one has the same cookie.
func TestCachedStatementsAfterAChangeThatWasRolledBack(t *testing.T) {
	both(t, func(t *testing.T, memory bool) {
		db := open(t, memory, Options{})
		mine := errors.New("mine")
		write := func(script string, result error) {
			require.Equal(t, result, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
				if script != schemaChanges[0].script {
					columns(t, conn)
				}
				do(t, conn, script)
				return result
			}))
		}
		write(schemaChanges[0].script, nil)
		write("ALTER TABLE t ADD COLUMN lost", mine)
		write("ALTER TABLE t ADD COLUMN c DEFAULT 'C'", nil)
		for way, call := range ways(db) {
			require.NoError(t, call(t.Context(), func(_ context.Context, conn *Conn) error {
				assert.Equal(t, schemaChanges[1].want, columns(t, conn), way)
				return nil
			}))
		}
	})
}

// Calls of Batch that share a transaction see the columns of what those before them did.
func TestCachedStatementsInABatch(t *testing.T) {
	db := open(t, false, Options{})
	require.NoError(t, db.Batch(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, schemaChanges[0].script) }))
	results := make(chan error, 3)
	require.NoError(t, db.Write(t.Context(), func(context.Context, *Conn) error { // all wait
		for i, want := range []int{0, 1, 1} {
			go func() {
				results <- db.Batch(t.Context(), func(_ context.Context, conn *Conn) error {
					if i == 1 {
						if err := run(conn, schemaChanges[1].script); err != nil {
							return err
						}
						return nil
					}
					assert.Equal(t, schemaChanges[want].want, columns(t, conn))
					return nil
				})
			}()
			waitForWorks(db, i+1)
		}
		return nil
	}))
	for range 3 {
		require.NoError(t, <-results)
	}
	assert.EqualValues(t, 3, db.Stats().Batch.Largest)
}

// What another process changes is seen at once by Read, Write and Batch, and within a second by leases by hand.
func TestCachedStatementsAfterAnotherProcesssChange(t *testing.T) {
	db := open(t, false, Options{Readers: 2})
	for _, change := range schemaChanges {
		out, err := child(t, "script", db.database.path, change.script).CombinedOutput()
		require.NoError(t, err, string(out))
		for _, way := range []string{"Read", "Write", "Batch"} {
			require.NoError(t, ways(db)[way](t.Context(), func(_ context.Context, conn *Conn) error {
				assert.Equal(t, change.want, columns(t, conn), "%s: %s", way, change.script)
				return nil
			}))
		}
		db.database.spotChecked.Store(-int64(spotCheckEvery)) // a second later
		for _, way := range []string{"a reader by hand", "the writer by hand"} {
			require.NoError(t, ways(db)[way](t.Context(), func(_ context.Context, conn *Conn) error {
				assert.Equal(t, change.want, columns(t, conn), "%s: %s", way, change.script)
				return nil
			}))
		}
	}
}

// The two readers above may be one: here both have the statement cached, and by hand neither is asked for a transaction.
func TestEveryReaderByHandSeesAnotherProcesssChange(t *testing.T) {
	db := open(t, false, Options{Readers: 4})
	each := func(want map[string]string) {
		var leases []func()
		for range 4 {
			lease, err := db.Readers().Acquire(t.Context())
			require.NoError(t, err)
			leases = append(leases, lease.Release)
			assert.Equal(t, want, columns(t, lease.Value()))
		}
		for _, release := range leases {
			release()
		}
	}
	for _, change := range schemaChanges {
		out, err := child(t, "script", db.database.path, change.script).CombinedOutput()
		require.NoError(t, err, string(out))
		db.database.spotChecked.Store(-int64(spotCheckEvery))
		each(change.want)
	}
}

// A database that Setup attached is looked at as well.
func TestCachedStatementsOfAnAttachedDatabase(t *testing.T) {
	other := path(t)
	options := Options{Readers: 1, Setup: func(_ context.Context, conn *Conn) error {
		return sqlitex.ExecuteTransient(conn, "ATTACH ? AS other", &sqlitex.ExecOptions{Args: []any{other}})
	}}
	created, err := Open(t.Context(), other, Options{})
	require.NoError(t, err)
	require.NoError(t, created.Close(t.Context()))
	db := open(t, false, options)
	for _, change := range schemaChanges[:4] {
		out, err := child(t, "script", other, change.script).CombinedOutput()
		require.NoError(t, err, string(out))
		db.database.spotChecked.Store(-int64(spotCheckEvery))
		for way, call := range ways(db) {
			require.NoError(t, call(t.Context(), func(_ context.Context, conn *Conn) error {
				assert.Equal(t, change.want, columns(t, conn), "%s: %s", way, change.script)
				return nil
			}))
		}
	}
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return run(conn, "ALTER TABLE other.t ADD COLUMN d DEFAULT 'D'")
	}))
	for way, call := range ways(db) {
		require.NoError(t, call(t.Context(), func(_ context.Context, conn *Conn) error {
			assert.Equal(t, "D", columns(t, conn)["d"], way)
			return nil
		}))
	}
}
