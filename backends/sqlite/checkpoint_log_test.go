package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

// withoutPasses keeps the DB's own checkpoints away: a busy machine may take so long for a test that one comes in between.
func withoutPasses(db *DB) {
	db.log.stop()
	db.log.passes.Wait()
}

// What is left in the log goes to the file a second later, and then there is neither timer nor goroutine.
func TestTheLogOfAnIdleDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{})
		require.True(t, db.log.armed.Load())
		<-time.After(tick + time.Millisecond)
		synctest.Wait()
		assert.False(t, db.log.armed.Load())
		assert.False(t, db.log.running)
		stats := db.Stats().WAL
		assert.NotZero(t, stats.Pages)
		assert.Equal(t, stats.Pages, stats.Moved)
		assert.Zero(t, stats.Truncated, "it need not be emptied")
		for range 3 {
			require.NoError(t, readFor(t.Context(), db, 0))
		}
		assert.False(t, db.log.armed.Load(), "reading leaves nothing to do")
	})
}

// Whoever writes, by whatever way: a log past its limit is emptied.
func TestTheLogIsEmptiedWhoeverWrites(t *testing.T) {
	const fill = "INSERT INTO work SELECT value FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value+1 FROM n LIMIT 30000) SELECT value FROM n)"
	for name, write := range map[string]func(db *DB) error{
		"Write": func(db *DB) error {
			return db.Write(context.Background(), func(_ context.Context, conn *Conn) error { return run(conn, fill) })
		},
		"Batch": func(db *DB) error {
			return db.Batch(context.Background(), func(_ context.Context, conn *Conn) error { return run(conn, fill) })
		},
		"Writer": func(db *DB) error {
			lease, err := db.Writer().Acquire(context.Background())
			if err != nil {
				return err
			}
			defer lease.Release()
			return run(lease.Value(), fill)
		},
		"Discard": func(db *DB) error { // the connection is gone, and with it what it knew of the log
			lease, err := db.Writer().Acquire(context.Background())
			if err != nil {
				return err
			}
			defer lease.Discard()
			return run(lease.Value(), fill)
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := openBatch(t, Options{JournalSizeLimit: 100_000})
			require.NoError(t, readFor(t.Context(), db, 0)) // so that the writer is not the last to close
			require.NoError(t, write(db))
			require.Eventually(t, func() bool { return db.Stats().WAL.Truncated == 1 }, 10*time.Second, time.Millisecond)
			assert.Zero(t, db.Stats().WAL.Size)
		})
	}
}

// With one that stays, writers and readers are not stopped again and again.
func TestALogThatStaysIsTriedLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{JournalSizeLimit: 1})
		pinned(t, db, func() {
			for began := time.Now(); time.Since(began) < 2*time.Second; <-time.After(time.Millisecond) {
				err := db.Write(context.Background(), func(_ context.Context, conn *Conn) error {
					return sqlitex.Execute(conn, "INSERT INTO work (id) VALUES (NULL)", nil)
				})
				require.NoError(t, err)
			}
			assert.EqualValues(t, 5, db.Stats().WAL.Kept, "after 100, 200, 400 and 800 ms")
		})
	})
}

func TestTheLogIsBesideTheFileNotTheLink(t *testing.T) {
	file := path(t)
	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(file, link))
	db, err := Open(t.Context(), link, Options{Schema: counters})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, increment) }))
	assert.NotZero(t, db.Stats().WAL.Size)
	require.NoError(t, db.Close(t.Context()))
}

func TestOptionsOfTheLog(t *testing.T) {
	_, err := Open(t.Context(), path(t), Options{PinnedAfter: -1})
	assert.ErrorContains(t, err, "Options.PinnedAfter is -1ns")
	_, err = Open(t.Context(), path(t), Options{Pragmas: []Pragma{{"WAL_autocheckpoint", "0"}}})
	assert.ErrorContains(t, err, "Options.JournalSizeLimit")
}

// When Close has returned, nobody is told anything any more.
func TestCloseWaitsForWhoIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entered, leave := make(chan struct{}), make(chan struct{})
		db := openBatch(t, Options{PinnedAfter: 1, OnPinned: func(Pinned) {
			close(entered)
			<-leave
		}})
		pinned(t, db, func() { <-entered })
		closed := make(chan error, 1)
		go func() { closed <- db.Close(context.Background()) }()
		require.Eventually(t, func() bool { return db.Writer().Stats().Closed && db.Writer().Stats().Live() == 0 }, 10*time.Second, time.Millisecond)
		select {
		case err := <-closed:
			t.Error("Close returned before OnPinned did")
			closed <- err
		case <-time.After(20 * time.Millisecond):
		}
		close(leave)
		require.NoError(t, <-closed)
	})
}

// What is committed to a database that Setup attached says nothing of this one's log.
func TestTheLogOfAnotherDatabaseIsNotOurs(t *testing.T) {
	other := openBatch(t, Options{})
	withoutPasses(other) // one could keep the checkpoint below from being complete
	db := openBatch(t, Options{Setup: func(_ context.Context, conn *Conn) error {
		return sqlitex.Execute(conn, "ATTACH ? AS attached", &sqlitex.ExecOptions{Args: []any{other.files.path}})
	}})
	_, err := db.Checkpoint(t.Context())
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return run(conn, "INSERT INTO attached.work VALUES (1)")
	}))
	assert.Zero(t, db.Stats().WAL.Pages)
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return insert(conn, 1) }))
	assert.NotZero(t, db.Stats().WAL.Pages)
}
