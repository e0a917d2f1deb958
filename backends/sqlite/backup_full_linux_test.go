package sqlite

import (
	"path/filepath"
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
