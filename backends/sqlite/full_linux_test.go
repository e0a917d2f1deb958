package sqlite

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// smallDisk returns a directory on a disk of 1 MiB.
func smallDisk(t *testing.T) string { return diskOf(t, "1m") }

// diskOf returns a directory on a disk of that size.
func diskOf(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("this machine lets nobody mount a small disk: %v", err)
	}
	t.Cleanup(func() { // not while somebody else just looks around in it
		assert.Eventually(t, func() bool { return syscall.Unmount(dir, 0) == nil }, 10*time.Second, 10*time.Millisecond)
	})
	return dir
}

// The transaction is lost, wherever the disk fills up, and what follows is not committed.
// Answers mattn/go-sqlite3#769, mattn/go-sqlite3#681, superseriousbusiness/gotosocial#2731.
func TestFullDisk_TheTransactionIsLost(t *testing.T) {
	for name, fill := range map[string]string{
		"at COMMIT":    "INSERT INTO blobs SELECT randomblob(10000) FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT 120) SELECT n FROM c)",
		"in the midst": "INSERT INTO blobs SELECT randomblob(10000) FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT 9999) SELECT n FROM c)",
	} {
		t.Run(name, func(t *testing.T) {
			db, err := Open(t.Context(), filepath.Join(smallDisk(t), "app.db"), Options{Schema: counters})
			require.NoError(t, err)
			require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
				return run(conn, "CREATE TABLE blobs (x)")
			}))
			err = db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
				do(t, conn, increment)
				err := run(conn, fill)
				if name == "in the midst" {
					assert.Equal(t, sqlite.ResultFull, sqlite.ErrCode(err))
				}
				_ = run(conn, increment)
				return nil // noticed nothing
			})
			require.Error(t, err)
			if name == "in the midst" {
				assert.ErrorIs(t, err, ErrRolledBack)
			} else {
				assert.Equal(t, sqlite.ResultFull, sqlite.ErrCode(err))
			}
			assert.Equal(t, "0", count(t, db))
			require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, increment) }))
			assert.Equal(t, "1", count(t, db))
			require.NoError(t, db.Close(t.Context()))
		})
	}
}

// A database that does not fit leaves nothing behind.
func TestOpenOnAFullDisk(t *testing.T) {
	dir := smallDisk(t)
	_, err := Open(t.Context(), filepath.Join(dir, "app.db"), Options{Setup: func(_ context.Context, conn *Conn) error {
		return run(conn, "CREATE TABLE blobs (x); INSERT INTO blobs SELECT randomblob(2000000)")
	}})
	require.Equal(t, sqlite.ResultFull, sqlite.ErrCode(err))
	assert.Empty(t, files(t, filepath.Join(dir, "app.db")))
}
