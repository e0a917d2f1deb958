package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// TestBatchThatCannotBeCommitted fills the disk, which shows at COMMIT: the works run again, each alone,
// and the one that does not fit is told so.
func TestBatchThatCannotBeCommitted(t *testing.T) {
	db, err := Open(t.Context(), filepath.Join(smallDisk(t), "app.db"), Options{Schema: counters, MaxBatchTime: time.Minute, AcquireTimeout: -1})
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
	assert.EqualValues(t, 3, db.Stats().Batch.Retries)

	assert.Equal(t, sqlite.ResultFull, sqlite.ErrCode(db.Batch(t.Context(), big)), "alone")
	assert.NoError(t, db.Batch(t.Context(), small))
	assert.Equal(t, "3", count(t, db))
	require.NoError(t, db.Close(t.Context()))
}

// spoilDescriptors makes every descriptor of this process that is open on file one of /dev/null, opened with flag:
// where that is os.O_RDONLY every write fails, as a broken disk's does, and where it is os.O_WRONLY every read.
func spoilDescriptors(file string, flag int) error {
	null, err := os.OpenFile(os.DevNull, flag, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	spoiled := 0
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if target, linkErr := os.Readlink("/proc/self/fd/" + entry.Name()); err != nil || linkErr != nil || target != resolved(file) {
			continue
		}
		if err := syscall.Dup3(int(null.Fd()), fd, syscall.O_CLOEXEC); err != nil {
			return err
		}
		spoiled++
	}
	if spoiled == 0 {
		return fmt.Errorf("%s is not open", file)
	}
	return nil
}

// TestBatchWhoseCommitFailsOnTheDisk has the log take nothing any more from the connection: what COMMIT wrote can't be overwritten,
// so none of the batch runs again, and all are told that its outcome is unknown. The next call has a new connection,
// which overwrites it first; only then the old one is closed.
func TestBatchWhoseCommitFailsOnTheDisk(t *testing.T) {
	db := openBatch(t, Options{BusyTimeout: 20 * time.Millisecond})
	good := func(id int) func(context.Context, *Conn) error {
		return func(_ context.Context, conn *Conn) error { return insert(conn, id) }
	}
	runs := 0
	bad := func(_ context.Context, conn *Conn) error {
		runs++
		if err := insert(conn, 2); err != nil {
			return err
		}
		return spoilDescriptors(db.database.path+"-wal", os.O_RDONLY)
	}
	unknown := func(err error) {
		t.Helper()
		assert.ErrorIs(t, err, ErrOutcomeUnknown)
		assert.Equal(t, sqlite.ResultIOErrWrite, sqlite.ErrCode(err))
	}
	for _, err := range together(t, db, good(1), bad, good(3)) {
		unknown(err)
	}
	assert.Equal(t, 1, runs)
	assert.Zero(t, db.Stats().Batch.Retries)
	assert.Empty(t, worked(t, db))
	assert.NotNil(t, db.database.doubt.kept)

	assert.NoError(t, db.Batch(t.Context(), good(4)))
	assert.Nil(t, db.database.doubt.kept)
	assert.False(t, db.database.doubt.frames.Load())

	unknown(db.Batch(t.Context(), bad)) // alone
	assert.Equal(t, 2, runs)
	assert.NoError(t, db.Batch(t.Context(), good(5)))
	assert.Equal(t, []int{4, 5}, worked(t, db))
}

// TestBatchThatCannotBeginForTheDisk has BEGIN read what another connection wrote, and the disk not give it:
// nobody runs, all who waited are told why, and the next call has a new connection.
func TestBatchThatCannotBeginForTheDisk(t *testing.T) {
	for _, way := range []string{"alone", "shared"} {
		t.Run(way, func(t *testing.T) {
			db := openBatch(t, Options{})
			withoutRuns(db) // or what is in the log might be read from the file
			other := conn(t, db)
			spoil := func() {
				do(t, other, "CREATE TABLE other (id)") // changes the first page, which every transaction reads
				require.NoError(t, spoilDescriptors(db.database.path+"-wal", os.O_WRONLY))
			}
			never := func(context.Context, *Conn) error { panic("it ran") }
			var errs []error
			if way == "alone" {
				spoil()
				errs = []error{db.Batch(t.Context(), never)}
			} else {
				errs = togetherHeld(t, db, spoil, never, never)
			}
			for _, err := range errs {
				assert.Equal(t, sqlite.ResultIOErr, sqlite.ErrCode(err).ToPrimary(), "%v", err)
			}
			assert.NoError(t, db.Batch(t.Context(), func(_ context.Context, conn *Conn) error { return insert(conn, 1) }))
			assert.Equal(t, []int{1}, worked(t, db))
		})
	}
}
