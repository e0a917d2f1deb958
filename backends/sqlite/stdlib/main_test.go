package stdlib

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/headpond/headpond/backends/sqlite"
)

// TestMain runs the tests, or if the environment asks for it, a process that is to be killed, or whose disk fails.
func TestMain(m *testing.M) {
	if file := os.Getenv("HEADPOND_TEST_CHILD"); file != "" {
		writeForEver(file)
	}
	goleak.VerifyTestMain(m)
}

// open opens a database in the test's directory, and a *sql.DB over it. At the end of the test nothing may be held.
func open(t testing.TB, database sqlite.Options, options Options) (*sql.DB, *sqlite.DB) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "app.db"), database)
	require.NoError(t, err)
	sqlDB := OpenDB(db, options)
	t.Cleanup(func() {
		assert.NoError(t, sqlDB.Close())
		settled(t, db)
		assert.NoError(t, db.Close(context.Background()))
	})
	return sqlDB, db
}

// do runs statements, each of which must succeed.
func do(t testing.TB, db interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		_, err := db.ExecContext(context.Background(), statement)
		require.NoError(t, err, statement)
	}
}

// value returns the first column of the first row.
func value[T any](t testing.TB, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, query string, args ...any) (v T) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(context.Background(), query, args...).Scan(&v), query)
	return v
}

// openMemory is open for a database in memory.
func openMemory(t testing.TB, database sqlite.Options, options Options) *sql.DB {
	t.Helper()
	db, err := sqlite.OpenMemory(t.Context(), database)
	require.NoError(t, err)
	sqlDB := OpenDB(db, options)
	t.Cleanup(func() {
		assert.NoError(t, sqlDB.Close())
		settled(t, db)
		assert.NoError(t, db.Close(context.Background()))
	})
	return sqlDB
}

// settled fails the test if a connection stays held: a checkpoint of the DB's own may hold the writer for a moment.
func settled(t testing.TB, db *sqlite.DB) {
	t.Helper()
	assert.Eventually(t, func() bool {
		stats := db.Stats()
		return stats.Readers.Held == 0 && stats.Writer.Held == 0
	}, time.Minute, time.Millisecond, "what is held stays held")
}

// keptForTest is for how long readers that rows have kept stay when they are not needed any more.
const keptForTest = time.Second
