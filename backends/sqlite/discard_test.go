package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

// TestDiscard returns pool.Discard from the functions of Read, Write and Batch: the connection ends,
// and the transaction does what the error without the mark says.
func TestDiscard(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "app.db"), Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	execute := func(sql string) func(ctx context.Context, conn *Conn) error {
		return func(_ context.Context, conn *Conn) error { return sqlitex.ExecuteTransient(conn, sql, nil) }
	}
	require.NoError(t, db.Write(t.Context(), execute("CREATE TABLE t (x)")))
	count := func() (n int64) {
		require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
			return sqlitex.ExecuteTransient(conn, "SELECT count(*) FROM t", &sqlitex.ExecOptions{ResultFunc: func(stmt *Stmt) error {
				n = stmt.ColumnInt64(0)
				return nil
			}})
		}))
		return n
	}
	discarded := func(p *pool.Pool[*Conn]) uint64 { return p.Stats().Destroyed[resource.Discarded] }
	broken := errors.New("broken")
	ways := map[string]func(ctx context.Context, use func(ctx context.Context, conn *Conn) error) error{"Write": db.Write, "Batch": db.Batch}
	want := int64(0)
	for name, way := range ways {
		before := discarded(db.Writer())
		require.NoError(t, way(t.Context(), func(ctx context.Context, conn *Conn) error {
			require.NoError(t, execute("INSERT INTO t VALUES (1)")(ctx, conn))
			return pool.Discard(nil)
		}), name)
		want++
		assert.Equal(t, broken, way(t.Context(), func(ctx context.Context, conn *Conn) error {
			require.NoError(t, execute("INSERT INTO t VALUES (2)")(ctx, conn))
			return pool.Discard(broken)
		}), name)
		require.NoError(t, db.Write(t.Context(), execute("SELECT 1"))) // waits until the connection is gone
		assert.Equal(t, before+2, discarded(db.Writer()), name)
		assert.Equal(t, want, count(), name)
	}
	assert.Equal(t, broken, db.Read(t.Context(), func(context.Context, *Conn) error { return pool.Discard(broken) }))
	require.Eventually(t, func() bool { return discarded(db.Readers()) == 1 }, 10*time.Second, time.Millisecond)
}

// TestDiscard_InASharedBatch has one call of many say that the connection is broken: the others are committed.
func TestDiscard_InASharedBatch(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "app.db"), Options{AcquireTimeout: -1})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return sqlitex.ExecuteTransient(conn, "CREATE TABLE t (x)", nil)
	}))
	broken := errors.New("broken")
	var calls sync.WaitGroup
	for n := range 50 {
		calls.Go(func() {
			err := db.Batch(context.Background(), func(_ context.Context, conn *Conn) error {
				if err := sqlitex.ExecuteTransient(conn, "INSERT INTO t VALUES (1)", nil); err != nil || n != 25 {
					return err
				}
				return pool.Discard(broken)
			})
			if n == 25 {
				assert.Equal(t, broken, err)
			} else {
				assert.NoError(t, err)
			}
		})
	}
	calls.Wait()
	require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		return sqlitex.ExecuteTransient(conn, "SELECT count(*) FROM t", &sqlitex.ExecOptions{ResultFunc: func(stmt *Stmt) error {
			assert.EqualValues(t, 49, stmt.ColumnInt64(0))
			return nil
		}})
	}))
	require.NoError(t, db.Write(t.Context(), func(context.Context, *Conn) error { return nil }))
	assert.EqualValues(t, 1, db.Writer().Stats().Destroyed[resource.Discarded])
}
