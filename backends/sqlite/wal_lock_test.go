package sqlite

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// foreign opens another connection to the file of db, of which the DB knows no more than of one of another process.
func foreign(t testing.TB, db *DB) *Conn {
	t.Helper()
	return construct(t, db.database.path, Writer, Options{BusyTimeout: -1}).conn
}

// A lock of another process is waited for, is no snapshot, and holds no reader back.
func TestCheckpoint_WaitsForTheLockOfAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{})
		other := foreign(t, db)
		do(t, other, "BEGIN IMMEDIATE")
		var all sync.WaitGroup
		all.Go(func() { // held all the while
			assert.NoError(t, readFor(context.Background(), db, time.Second))
		})
		synctest.Wait()

		began := time.Now()
		done, err := db.Checkpoint(t.Context())
		require.NoError(t, err)
		assert.Equal(t, lockWaitLimit, time.Since(began))
		assert.True(t, done.Locked)
		assert.False(t, done.Complete)
		assert.NotZero(t, done.Pages)
		assert.Equal(t, done.Pages, done.Moved, "what can be moved without the lock is")
		assert.Nil(t, done.Pinned, "the reader is not to blame")
		assert.Zero(t, done.HeldBack)
		wal := db.Stats().WAL
		assert.EqualValues(t, 1, wal.Locked)
		assert.EqualValues(t, 1, wal.Incomplete)
		assert.Zero(t, wal.PinnedFor)

		all.Wait() // or it would be in the way
		began = time.Now()
		all.Go(func() {
			<-time.After(50*time.Millisecond - checkpointPoll/2) // not when the checkpoint looks: a COMMIT is a reader still when it unlocks
			assert.NoError(t, run(other, "COMMIT"))
		})
		done, err = db.Checkpoint(t.Context())
		require.NoError(t, err)
		assert.Equal(t, Checkpoint{Complete: true}, done)
		assert.InDelta(t, 50*time.Millisecond, time.Since(began), float64(checkpointPoll))
		all.Wait()
	})
}

// After the lock it waits for readers, and for these in full.
func TestCheckpoint_WaitsForReadersWithTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{})
		other := foreign(t, db)
		pinned(t, db, func() {
			do(t, other, "BEGIN IMMEDIATE")
			began := time.Now()
			var all sync.WaitGroup
			all.Go(func() {
				<-time.After(60 * time.Millisecond)
				assert.NoError(t, run(other, "COMMIT"))
				<-time.After(40 * time.Millisecond)
				assert.ErrorContains(t, run(other, "BEGIN IMMEDIATE"), "locked", "no process writes meanwhile, so that no new snapshot needs the log")
			})
			done, err := db.Checkpoint(context.Background())
			require.NoError(t, err)
			assert.InDelta(t, 60*time.Millisecond+readerHoldLimit, time.Since(began), float64(2*checkpointPoll))
			assert.False(t, done.Complete)
			assert.False(t, done.Locked)
			assert.Equal(t, readerHoldLimit, done.HeldBack)
			assert.NotNil(t, done.Pinned)
			all.Wait()
			assert.NoError(t, run(other, "BEGIN IMMEDIATE; ROLLBACK"))
		})
	})
}

// While another process makes a checkpoint, nothing can be said of the log.
func TestCheckpoint_WaitsForTheCheckpointOfAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{})
		other := construct(t, db.database.path, Writer, Options{})
		var all sync.WaitGroup
		checkpointFor := func(long time.Duration) {
			began := time.Now()
			ready := make(chan struct{})
			once := sync.OnceFunc(func() { close(ready) })
			other.busy = func(int) bool { // it waits for the reader below, with both locks
				once()
				return other.pause(time.Millisecond, long-time.Since(began))
			}
			all.Go(func() {
				_, err := other.checkpoint(truncating)
				assert.NoError(t, err)
			})
			<-ready
		}
		withoutRuns(db)
		pinned(t, db, func() {
			checkpointFor(time.Second)
			began := time.Now()
			done, err := db.Checkpoint(context.Background())
			require.NoError(t, err)
			assert.Equal(t, lockWaitLimit, time.Since(began))
			assert.Equal(t, Checkpoint{Locked: true, Size: done.Size}, done)
			assert.NotZero(t, done.Size)
			<-time.After(time.Millisecond)
			assert.Zero(t, db.Stats().WAL.PinnedFor)
			all.Wait()

			began = time.Now()
			checkpointFor(50 * time.Millisecond)
			done, err = db.Checkpoint(context.Background())
			require.NoError(t, err)
			assert.InDelta(t, 50*time.Millisecond+readerHoldLimit, time.Since(began), float64(3*time.Millisecond), "then it is the reader that it waits for")
			assert.False(t, done.Locked)
			<-time.After(time.Millisecond)
			assert.Equal(t, time.Millisecond, db.Stats().WAL.PinnedFor)
			all.Wait()
		})
	})
}

// If another process has truncated the log meanwhile, a run leaves it at that.
func TestCheckpoint_OfAnotherProcessIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{})
		withoutRuns(db)
		other := construct(t, db.database.path, Writer, Options{})
		var began time.Time
		pinned := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			assert.NoError(t, db.Read(context.Background(), func(_ context.Context, conn *Conn) error {
				_, err := first(conn, "SELECT count(*) FROM work")
				close(pinned)
				<-time.After(50 * time.Millisecond)
				return err
			}))
		})
		<-pinned
		began = time.Now()
		ready := make(chan struct{})
		once := sync.OnceFunc(func() { close(ready) })
		other.busy = func(int) bool {
			once()
			return other.pause(time.Millisecond, time.Second)
		}
		all.Go(func() {
			done, err := other.checkpoint(truncating)
			assert.NoError(t, err)
			assert.True(t, done.Complete)
		})
		<-ready
		require.NoError(t, db.onWriter(context.Background(), db.database.note("Checkpoint"), func(ctx context.Context, s *connection) error {
			done, mode, err := db.checkpointer.truncate(ctx, s, 1<<20)
			assert.Equal(t, Checkpoint{Complete: true}, done)
			assert.Equal(t, passive, mode)
			return err
		}))
		assert.InDelta(t, 50*time.Millisecond, time.Since(began), float64(2*time.Millisecond))
		all.Wait()
	})
}

// It ends with its ctx, and with Close, whatever it waits for.
func TestCheckpoint_ThatWaitsForALockIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{})
		other := foreign(t, db)
		do(t, other, "BEGIN IMMEDIATE")
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := db.Checkpoint(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 30*time.Millisecond, time.Since(began))
		do(t, other, "COMMIT")
	})
}
