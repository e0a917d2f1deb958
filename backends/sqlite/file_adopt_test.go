package sqlite

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

// goosed is a database as goose leaves it, with two migrations applied.
func goosed(t *testing.T) string {
	t.Helper()
	file := path(t)
	db, err := Open(t.Context(), file, Options{})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return run(conn, `CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')));
			INSERT INTO goose_db_version (version_id, is_applied) VALUES (0,1),(1,1),(2,1);
			CREATE TABLE a (x); CREATE TABLE b (x)`)
	}))
	require.NoError(t, db.Close(t.Context()))
	return file
}

// gooseVersion is the Baseline of a database that goose has migrated, whose versions count from 1.
func gooseVersion(_ context.Context, conn *Conn) (int, error) {
	return sqlitex.ResultInt(conn.Prep("SELECT max(version_id) FROM goose_db_version WHERE is_applied"))
}

var adopting = &sqlitemigration.Schema{AppID: 7, Migrations: []string{"CREATE TABLE a (x)", "CREATE TABLE b (x)", "CREATE TABLE c (x)"}}

func TestBaseline_AdoptsWhatAnotherToolHasMigrated(t *testing.T) {
	file, calls := goosed(t), 0
	options := Options{Schema: adopting, Baseline: func(ctx context.Context, conn *Conn) (int, error) {
		calls++
		return gooseVersion(ctx, conn)
	}}
	for range 2 {
		db, err := Open(t.Context(), file, options)
		require.NoError(t, err)
		reader, writer := reads(t, db, "user_version")
		assert.Equal(t, "3", reader)
		assert.Equal(t, "3", writer)
		id, _ := reads(t, db, "application_id")
		assert.Equal(t, "7", id)
		assert.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "INSERT INTO c VALUES (1)") }))
		require.NoError(t, db.Close(t.Context()))
	}
	assert.Equal(t, 1, calls)
	db, err := Open(t.Context(), path(t), options)
	require.NoError(t, err, "a new file has no baseline")
	require.NoError(t, db.Close(t.Context()))
	assert.Equal(t, 1, calls)
}

func TestBaseline_OfAllMigrationsRunsNone(t *testing.T) {
	file := goosed(t)
	db, err := Open(t.Context(), file, Options{Schema: &sqlitemigration.Schema{Migrations: adopting.Migrations[:2]}, Baseline: gooseVersion})
	require.NoError(t, err)
	version, _ := reads(t, db, "user_version")
	assert.Equal(t, "2", version)
	require.NoError(t, db.Close(t.Context()))
}

func TestBaseline_Fails(t *testing.T) {
	for want, baseline := range map[string]func(context.Context, *Conn) (int, error){
		"Options.Baseline: not this one":                       func(context.Context, *Conn) (int, error) { return 2, errResult },
		"Options.Baseline returned 4: it must be from 0 to 3":  func(context.Context, *Conn) (int, error) { return 4, nil },
		"Options.Baseline returned -1: it must be from 0 to 3": func(context.Context, *Conn) (int, error) { return -1, nil },
		"Options.Baseline: it has ended the transaction":       func(_ context.Context, conn *Conn) (int, error) { return 2, run(conn, "COMMIT") },
		"it is another application's":                          func(context.Context, *Conn) (int, error) { return 0, nil },
		"the connection was closed by its borrower":            func(_ context.Context, conn *Conn) (int, error) { _ = conn.Close(); return 0, nil },
	} {
		file := goosed(t)
		_, err := Open(t.Context(), file, Options{Schema: adopting, Baseline: baseline})
		assert.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, "as writer: migrate: ")
		assert.Zero(t, descriptors(t, file))
		db, err := Open(t.Context(), file, Options{})
		require.NoError(t, err)
		version, _ := reads(t, db, "user_version")
		assert.Equal(t, "0", version, want)
		require.NoError(t, db.Close(t.Context()))
	}
	_, err := Open(t.Context(), path(t), Options{Baseline: gooseVersion})
	assert.ErrorContains(t, err, "Options.Baseline is set: it needs a Schema")
}

// Without a baseline, the first migration meets the tables that are there.
func TestBaseline_NoneRunsEveryMigration(t *testing.T) {
	_, err := Open(t.Context(), goosed(t), Options{Schema: &sqlitemigration.Schema{Migrations: adopting.Migrations}})
	assert.ErrorContains(t, err, "table a already exists")
}
