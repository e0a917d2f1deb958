package sqlite

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// A copy that does not fit leaves nothing behind, and what was there goes on.
func TestBackupToAFullDisk(t *testing.T) {
	db := openFiller(t, Options{})
	fill(t, db, 8)
	copied := filepath.Join(smallDisk(t), "copy.db")
	err := db.Backup(t.Context(), copied, nil)
	assert.Equal(t, sqlite.ResultFull, sqlite.ErrCode(err))
	assert.ErrorContains(t, err, copied)
	assert.Empty(t, files(t, copied))
	assert.Zero(t, db.Stats().Readers.Held)
	require.NoError(t, readFor(t.Context(), db, 0))
	assert.EqualValues(t, 1, db.Stats().Readers.Created)
}

// A copy for read-only media opens there, where one in WAL mode can't.
func TestBackupWith_ReadOnlyMedia(t *testing.T) {
	db := openFiller(t, Options{})
	fill(t, db, 1)
	directory := diskOf(t, "8m")
	plain, copied := filepath.Join(directory, "plain.db"), filepath.Join(directory, "copy.db")
	require.NoError(t, db.Backup(t.Context(), plain, nil))
	require.NoError(t, db.BackupWith(t.Context(), copied, BackupOptions{ReadOnlyMedia: true}))
	require.NoError(t, syscall.Mount("", directory, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	_, err := Open(t.Context(), plain, Options{ReadOnly: true})
	assert.ErrorIs(t, err, syscall.EROFS)
	other, err := Open(t.Context(), copied, Options{ReadOnly: true})
	require.NoError(t, err)
	n, err := Read(t.Context(), other, func(_ context.Context, conn *Conn) (string, error) { return first(conn, "SELECT count(*) FROM filler") })
	require.NoError(t, err)
	assert.Equal(t, "256", n)
	require.NoError(t, other.Close(t.Context()))
}
