package sqlite

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// TestBatchThatCannotBeCommitted fills the disk, which shows at COMMIT: the works run again, each alone,
// and the one that does not fit is told so.
func TestBatchThatCannotBeCommitted(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(smallDisk(t), "app.db"), Options{Schema: counters, MaxBatchTime: time.Minute})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return run(conn, "CREATE TABLE blobs (x)")
	}))
	small := func(_ context.Context, conn *Conn) error { return run(conn, increment) }
	big := func(_ context.Context, conn *Conn) error {
		return run(conn, "INSERT INTO blobs SELECT randomblob(10000) FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT 120) SELECT n FROM c)")
	}
	errs := together(t, db, small, big, small)
	assert.NoError(t, errs[0])
	assert.Equal(t, sqlite.ResultFull, sqlite.ErrCode(errs[1]))
	assert.NoError(t, errs[2])
	assert.Equal(t, "2", count(t, db))
	assert.EqualValues(t, 3, db.Stats().Batch.Again)

	assert.Equal(t, sqlite.ResultFull, sqlite.ErrCode(db.Batch(t.Context(), big)), "alone")
	assert.NoError(t, db.Batch(t.Context(), small))
	assert.Equal(t, "3", count(t, db))
	require.NoError(t, db.Close(t.Context()))
}
