package sqlite

import (
	"context"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// fill2000 leaves some 2,000 pages in the log, twice of what SQLite moves by itself.
const fill2000 = `CREATE TABLE page (id INTEGER PRIMARY KEY, x);
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2000) INSERT INTO page SELECT i, zeroblob(4000) FROM n`

// ofAnother runs a script on a connection that is none of this package's, as another program would.
func ofAnother(t *testing.T, file, script string) {
	t.Helper()
	conn, err := sqlite.OpenConn(file, sqlite.OpenReadWrite)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	require.NoError(t, sqlitex.ExecuteTransient(conn, "PRAGMA wal_autocheckpoint=0", nil))
	require.NoError(t, run(conn, script))
}

func TestForeignCheckpoints_MakesNone(t *testing.T) {
	for name, close := range map[string]func(t *testing.T, db *DB){
		"closed by the writer": func(t *testing.T, db *DB) { require.NoError(t, db.Close(context.Background())) },
		"closed by a reader": func(t *testing.T, db *DB) {
			lease, err := db.Readers().Acquire(t.Context())
			require.NoError(t, err)
			conn := lease.Detach()
			require.NoError(t, db.Close(context.Background()))
			require.NoError(t, Close(conn))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := path(t)
				db, err := Open(t.Context(), file, Options{ForeignCheckpoints: true, JournalSizeLimit: 1, Schema: counters})
				require.NoError(t, err)
				require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, fill2000) }))
				for range 3 {
					require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, increment) }))
					count(t, db)
					<-time.After(time.Minute)
				}
				wal := db.Stats().WAL
				assert.Greater(t, wal.Pages, 2000)
				assert.Equal(t, WAL{Size: wal.Size, Pages: wal.Pages, PinnedFor: wal.PinnedFor}, wal, "nothing is moved, truncated or held back")
				close(t, db)
				log, err := os.Stat(file + walSuffix)
				require.NoError(t, err)
				assert.Equal(t, wal.Size, log.Size(), "Close leaves the log")
				again, err := Open(t.Context(), file, Options{})
				require.NoError(t, err)
				assert.Equal(t, "3", count(t, again))
				require.NoError(t, again.Close(context.Background()))
				assert.Equal(t, []string{"app.db"}, files(t, file))
			})
		})
	}
}

// A failed Open is the last to close, too.
func TestForeignCheckpoints_AFailedOpenLeavesTheLog(t *testing.T) {
	file := path(t)
	db, err := Open(t.Context(), file, Options{ForeignCheckpoints: true, Schema: counters})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, increment) }))
	require.NoError(t, db.Close(context.Background()))
	_, err = Open(t.Context(), file, Options{ForeignCheckpoints: true, Pragmas: []Pragma{{"page_size", "512"}}})
	require.Error(t, err)
	log, err := os.Stat(file + walSuffix)
	require.NoError(t, err)
	assert.NotZero(t, log.Size())
}

func TestForeignCheckpoints_IsAnError(t *testing.T) {
	options := Options{ForeignCheckpoints: true}
	_, err := OpenMemory(t.Context(), options)
	assert.ErrorContains(t, err, "Options.ForeignCheckpoints is true: a database in memory has no log")
	_, err = NewPool(path(t), options)
	assert.ErrorContains(t, err, "Options.ForeignCheckpoints is true: NewPool does not watch the log")
	_, err = Open(t.Context(), path(t), Options{ForeignCheckpoints: true, Pragmas: []Pragma{{"WAL_checkpoint", "TRUNCATE"}}})
	assert.ErrorContains(t, err, "Options.Pragmas[0] is wal_checkpoint: with ForeignCheckpoints")

	db := openBatch(t, options)
	_, err = db.Checkpoint(t.Context())
	assert.ErrorIs(t, err, ErrForeignCheckpoints)
	assert.ErrorContains(t, err, `"batch": Checkpoint: Options.ForeignCheckpoints`)
	assert.NotZero(t, db.Stats().WAL.Size)
}

// What Setup attached is nobody else's: its log is moved with commits.
func TestForeignCheckpoints_IsOfTheMainDatabase(t *testing.T) {
	other := openBatch(t, Options{})
	withoutRuns(other)
	db := openBatch(t, Options{ForeignCheckpoints: true, Setup: func(_ context.Context, conn *Conn) error {
		return sqlitex.Execute(conn, "ATTACH ? AS attached", &sqlitex.ExecOptions{Args: []any{other.database.path}})
	}})
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return run(conn, `CREATE TABLE attached.page (x);
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2000) INSERT INTO attached.page SELECT zeroblob(4000) FROM n`)
	}))
	require.NoError(t, other.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		c, _ := connectionOf(conn)
		pages, moved := c.LogNow()
		assert.Greater(t, pages, 1000)
		assert.Equal(t, pages, moved)
		return nil
	}))
}

// OnPinned is told once that the log stays past its limit, and again after somebody has emptied it; which is noticed without a commit.
func TestForeignCheckpoints_OnPinnedPastTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan Pinned, 10)
		db := openBatch(t, Options{ForeignCheckpoints: true, JournalSizeLimit: 1 << 20, PinnedAfter: 5 * time.Second,
			OnPinned: func(pinned Pinned) { told <- pinned }})
		write := func(script string) {
			require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, script) }))
		}
		pinned(t, db, func() { <-time.After(time.Minute) })
		assert.Empty(t, told, "a snapshot that pins a small log is nobody's concern")
		assert.False(t, db.checkpointer.scheduled.Load())

		write(fill2000)
		<-time.After(5*time.Second - time.Millisecond)
		assert.Equal(t, 5*time.Second-time.Millisecond, db.Stats().WAL.PinnedFor)
		write("INSERT INTO work VALUES (NULL)")
		assert.Empty(t, told)
		<-time.After(2 * time.Millisecond)
		require.Len(t, told, 1)
		first := <-told
		assert.True(t, first.Foreign)
		assert.Equal(t, 5*time.Second, first.For)
		assert.Greater(t, first.Pages, 2000)
		assert.Zero(t, first.Moved)
		assert.Equal(t, db.Stats().WAL.Size, first.Size)
		assert.Nil(t, first.Reader)
		assert.Contains(t, first.String(), "larger than Options.JournalSizeLimit for 5s (0 of ")
		assert.Contains(t, first.String(), "has the replicator (Options.ForeignCheckpoints) stopped?")
		<-time.After(10 * time.Minute)
		assert.Empty(t, told, "once")
		assert.Equal(t, 10*time.Minute+5*time.Second+time.Millisecond, db.Stats().WAL.PinnedFor)

		ofAnother(t, db.database.path, "PRAGMA wal_checkpoint(TRUNCATE)")
		<-time.After(maxCheckpointDelay)
		synctest.Wait()
		assert.Equal(t, WAL{}, db.Stats().WAL)
		assert.False(t, db.checkpointer.scheduled.Load())

		lease, err := db.Readers().Acquire(t.Context())
		require.NoError(t, err)
		do(t, lease.Value(), "BEGIN; SELECT * FROM work")
		write("UPDATE page SET x=zeroblob(3999)")
		<-time.After(5*time.Second + time.Millisecond)
		require.Len(t, told, 1)
		second := <-told
		require.NotNil(t, second.Reader)
		assert.Contains(t, second.String(), "or is this in its way: reader #")
		assert.NotNil(t, db.Stats().WAL.Pinned)
		lease.Release()
	})
}

// The writer is held when it is time to look: that is done as soon as it is free.
func TestForeignCheckpoints_LooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan Pinned, 10)
		db := openBatch(t, Options{ForeignCheckpoints: true, JournalSizeLimit: 1, PinnedAfter: time.Second, AcquireTimeout: time.Second,
			OnPinned: func(pinned Pinned) { told <- pinned }})
		lease, err := db.Writer().Acquire(t.Context())
		require.NoError(t, err)
		<-time.After(time.Minute)
		assert.Empty(t, told)
		lease.Release()
		<-time.After(2 * time.Second)
		require.Len(t, told, 1)
	})
}

func TestForeignCheckpoints_NoLimitNoAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{ForeignCheckpoints: true, JournalSizeLimit: -1, OnPinned: func(pinned Pinned) { t.Error(pinned) }})
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, fill2000) }))
		<-time.After(time.Hour)
		assert.Zero(t, db.Stats().WAL.PinnedFor)
	})
}
