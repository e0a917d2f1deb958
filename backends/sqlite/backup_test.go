package sqlite

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

// fillRows inserts enough for several steps of a backup: about 4 MiB, in rows whose sum is known.
func fillRows(t testing.TB, db *DB) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return sqlitex.ExecuteScript(conn, `CREATE TABLE pairs (a INTEGER, b INTEGER, filler BLOB);
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 1000) INSERT INTO pairs SELECT i, -i, zeroblob(4000) FROM n`, nil)
	}))
}

func TestBackupIsOneSnapshotWhileWritersGoOn(t *testing.T) {
	db := openBatch(t, Options{})
	fillRows(t, db)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				assert.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
					return sqlitex.ExecuteScript(conn, "UPDATE pairs SET a = a+1 WHERE rowid = 1; UPDATE pairs SET b = b-1 WHERE rowid = 1000", nil)
				}))
			}
		})
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	var last, total int
	require.NoError(t, db.Backup(t.Context(), path, func(done, all int) {
		assert.GreaterOrEqual(t, done, last, "writers do not start it over")
		last, total = done, all
	}))
	stop()
	all.Wait()
	assert.Equal(t, total, last)
	assert.Greater(t, total, 2*backupPages)

	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode())
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	require.NoError(t, err)
	assert.Equal(t, []string{path}, left)

	copied, err := Open(t.Context(), path, Options{ReadOnly: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, copied.Close(context.Background())) }()
	require.NoError(t, copied.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		verdict, err := sqlitex.ResultText(conn.Prep("PRAGMA integrity_check"))
		require.NoError(t, err)
		assert.Equal(t, "ok", verdict)
		sum, err := sqlitex.ResultInt64(conn.Prep("SELECT sum(a+b) FROM pairs"))
		assert.Zero(t, sum, "no transaction is there by half")
		return err
	}))
}

func TestBackupLeavesNothingWhereItFails(t *testing.T) {
	db := openBatch(t, Options{})
	fillRows(t, db)
	directory := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := db.Backup(ctx, filepath.Join(directory, "cancelled.db"), func(int, int) { cancel() })
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "cancelled.db")

	there := filepath.Join(directory, "there.db")
	require.NoError(t, os.WriteFile(there, []byte("precious"), 0o600))
	require.ErrorIs(t, db.Backup(t.Context(), there, nil), fs.ErrExist)
	require.ErrorIs(t, db.Backup(t.Context(), db.files.path, nil), fs.ErrExist)
	require.ErrorIs(t, db.Backup(t.Context(), filepath.Join(directory, "no", "such.db"), nil), fs.ErrNotExist)
	require.Error(t, db.Backup(t.Context(), "", nil))
	require.Error(t, db.Backup(t.Context(), "a\x00b", nil))
	kept, err := os.ReadFile(there)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(kept))
	left, err := os.ReadDir(directory)
	require.NoError(t, err)
	assert.Len(t, left, 1)
	assert.Zero(t, db.Readers().Stats().Held)
}

func TestBackupFromMemory(t *testing.T) {
	db, err := OpenMemory(t.Context(), Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	fillRows(t, db)
	path := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, db.Backup(t.Context(), path, nil))
	copied, err := Open(t.Context(), path, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, copied.Close(context.Background())) }()
	require.NoError(t, copied.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		rows, err := sqlitex.ResultInt64(conn.Prep("SELECT count(*) FROM pairs"))
		assert.EqualValues(t, 1000, rows)
		return err
	}))
}
