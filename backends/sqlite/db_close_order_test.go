package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Calls of Batch that wait when Close is called have their turn.
func TestClose_LetsBatchesThatWaitHaveTheirTurn(t *testing.T) {
	file := path(t)
	db, err := Open(t.Context(), file, Options{AcquireTimeout: time.Minute})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return run(conn, "CREATE TABLE work (id INTEGER PRIMARY KEY)")
	}))
	lease, err := db.Writer().Acquire(t.Context())
	require.NoError(t, err)
	done := make(chan error, 5)
	for range cap(done) {
		go func() {
			done <- db.Batch(context.Background(), func(_ context.Context, conn *Conn) error { return run(conn, "INSERT INTO work VALUES (NULL)") })
		}()
	}
	waitForWorks(db, cap(done))
	closed := make(chan error, 1)
	go func() { closed <- db.Close(context.Background()) }()
	for !db.closing.Load() {
		<-time.After(time.Millisecond)
	}
	lease.Release()
	for range cap(done) {
		assert.NoError(t, <-done)
	}
	require.NoError(t, <-closed)
	db, err = Open(t.Context(), file, Options{})
	require.NoError(t, err)
	assert.Len(t, worked(t, db), 5)
	require.NoError(t, db.Close(t.Context()))
}

// A lock that somebody else holds keeps the last checkpoint from being made, and Close from nothing.
func TestClose_WaitsForNobodysLock(t *testing.T) {
	file := path(t)
	db, err := Open(t.Context(), file, Options{BusyTimeout: time.Hour})
	require.NoError(t, err)
	other, err := Open(t.Context(), file, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close(context.Background())) }()
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "CREATE TABLE t (x)") }))
	require.NoError(t, other.Write(t.Context(), func(context.Context, *Conn) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		assert.NoError(t, db.Close(ctx))
		assert.NoError(t, ctx.Err(), "it did not wait until it was told to end")
		return nil
	}))
}

// Close runs PRAGMA optimize, which gathers what the planner needs to know of an index.
func TestClose_Optimizes(t *testing.T) {
	file := path(t)
	db, err := Open(t.Context(), file, Options{})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return run(conn, "CREATE TABLE t (x); CREATE INDEX i ON t (x); INSERT INTO t VALUES (1); ANALYZE; "+
			"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 5000) INSERT INTO t SELECT i FROM n; SELECT * FROM t WHERE x = 7")
	}))
	require.NoError(t, db.Close(t.Context()))
	db, err = Open(t.Context(), file, Options{})
	require.NoError(t, err)
	stat, err := Read(t.Context(), db, func(_ context.Context, conn *Conn) (string, error) {
		return first(conn, "SELECT stat FROM sqlite_stat1")
	})
	require.NoError(t, err)
	assert.NotEqual(t, "1 1", stat)
	require.NoError(t, db.Close(t.Context()))
}

// A relative link leads from where it stands, wherever the program runs.
func TestOpen_CreatesThroughARelativeLink(t *testing.T) {
	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, "data"), 0o700))
	if !symlink(t, filepath.Join("data", "target.db"), filepath.Join(home, "link.db")) {
		t.Skip("no symbolic links here")
	}
	t.Chdir(t.TempDir())
	db, err := Open(t.Context(), filepath.Join(home, "link.db"), Options{})
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
	_, err = os.Stat(filepath.Join(home, "data", "target.db"))
	assert.NoError(t, err)
}
