package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/agent"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

// withoutRuns keeps the own checkpoints of the DB away: a busy machine may take so long for a test that one comes in between.
func withoutRuns(db *DB) {
	db.checkpointer.stop()
	db.checkpointer.runs.Wait()
}

// What is left in the log goes to the file a second later, and then there is neither timer nor goroutine.
func TestCheckpointer_MovesTheLogOfAnIdleDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{})
		require.True(t, db.checkpointer.scheduled.Load())
		<-time.After(checkpointDelay + time.Millisecond)
		synctest.Wait()
		assert.False(t, db.checkpointer.scheduled.Load())
		assert.False(t, db.checkpointer.running)
		stats := db.Stats().WAL
		assert.NotZero(t, stats.Pages)
		assert.Equal(t, stats.Pages, stats.Moved)
		assert.Zero(t, stats.Truncated, "it need not be emptied")
		for range 3 {
			require.NoError(t, readFor(t.Context(), db, 0))
		}
		assert.False(t, db.checkpointer.scheduled.Load(), "reading leaves nothing to do")
	})
}

// Whoever writes, by whatever way: a log past its limit is emptied.
func TestJournalSizeLimit_IsKeptInEachWayToWrite(t *testing.T) {
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
func TestJournalSizeLimit_IsTriedLessOftenWhileASnapshotLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{JournalSizeLimit: 1})
		pinned(t, db, func() {
			for began := time.Now(); time.Since(began) < 2*time.Second; <-time.After(time.Millisecond) {
				err := db.Write(context.Background(), func(_ context.Context, conn *Conn) error {
					return sqlitex.Execute(conn, "INSERT INTO work (id) VALUES (NULL)", nil)
				})
				require.NoError(t, err)
			}
			assert.EqualValues(t, 5, db.Stats().WAL.Incomplete, "after 100, 200, 400 and 800 ms")
		})
	})
}

func TestWAL_IsBesideTheFileNotTheLink(t *testing.T) {
	file := path(t)
	link := filepath.Join(t.TempDir(), "link.db")
	if !symlink(t, file, link) {
		t.Skip("no symbolic links here")
	}
	db, err := Open(t.Context(), link, Options{Schema: counters})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, increment) }))
	assert.NotZero(t, db.Stats().WAL.Size)
	require.NoError(t, db.Close(t.Context()))
}

func TestOptions_OfTheLog(t *testing.T) {
	_, err := Open(t.Context(), path(t), Options{PinnedAfter: -1})
	assert.ErrorContains(t, err, "Options.PinnedAfter is -1ns")
	_, err = Open(t.Context(), path(t), Options{Pragmas: []Pragma{{"WAL_autocheckpoint", "0"}}})
	assert.ErrorContains(t, err, "Options.JournalSizeLimit")
}

// When Close has returned, OnPinned is not called any more.
func TestClose_WaitsForOnPinned(t *testing.T) {
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
func TestWAL_IsThatOfTheMainDatabase(t *testing.T) {
	other := openBatch(t, Options{})
	withoutRuns(other) // one could keep the checkpoint below from being complete
	db := openBatch(t, Options{Setup: func(_ context.Context, conn *Conn) error {
		return sqlitex.Execute(conn, "ATTACH ? AS attached", &sqlitex.ExecOptions{Args: []any{other.database.path}})
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

// A run that fails, since the writer is held for too long, is counted and tried again.
func TestCheckpointer_TriesAgainWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{AcquireTimeout: 10 * time.Millisecond})
		lease, err := db.Writer().Acquire(t.Context())
		require.NoError(t, err)
		<-time.After(checkpointDelay + 20*time.Millisecond)
		synctest.Wait()
		assert.EqualValues(t, 1, db.Stats().WAL.Failed)
		assert.Zero(t, db.Stats().WAL.Moved)
		lease.Release()
		<-time.After(checkpointDelay)
		synctest.Wait()
		wal := db.Stats().WAL
		assert.EqualValues(t, 1, wal.Failed)
		assert.NotZero(t, wal.Moved)
		assert.Equal(t, wal.Pages, wal.Moved)
		assert.False(t, db.checkpointer.scheduled.Load(), "nothing is left to do")
	})
}

// If the queue of the writer is full, a run comes as soon as it is not.
func TestCheckpointer_TriesAgainWhatHadNoPlaceInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{JournalSizeLimit: 1, MaxWaiters: 1})
		synctest.Wait() // for the checkpoint after the first commit
		lease, err := db.Writer().Acquire(t.Context())
		require.NoError(t, err)
		var all sync.WaitGroup
		all.Go(func() {
			assert.NoError(t, db.Write(t.Context(), func(context.Context, *Conn) error {
				<-time.After(time.Second)
				return nil
			}))
		})
		synctest.Wait()
		require.NoError(t, run(lease.Value(), "INSERT INTO work VALUES (1)"))
		lease.Release() // over the limit, and one waits
		all.Wait()
		<-time.After(10 * time.Millisecond)
		synctest.Wait()
		wal := db.Stats().WAL
		assert.Zero(t, wal.Failed)
		assert.Zero(t, wal.Size)
	})
}

// Each commit past the limit has the log truncated, also one that leaves as many pages as the one before it.
func TestJournalSizeLimit_IsKeptAfterEachCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{JournalSizeLimit: 1})
		synctest.Wait() // for the checkpoint after the first commit
		for id := range 3 {
			require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return insert(conn, id) }))
			synctest.Wait()
			wal := db.Stats().WAL
			assert.Zero(t, wal.Size)
			assert.Zero(t, wal.Pages)
			assert.EqualValues(t, id+2, wal.Truncated)
		}
	})
}

// A backup needs the log: no caller is delayed for an attempt to truncate it before it ends, and then it is truncated.
func TestJournalSizeLimit_WaitsForABackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{JournalSizeLimit: 1})
		synctest.Wait() // for the checkpoint after the first commit
		first := true
		require.NoError(t, db.Backup(t.Context(), t.TempDir()+"/copy.db", func(int, int) {
			if !first {
				return
			}
			first = false
			var all sync.WaitGroup
			all.Go(func() {
				for id := range 3 {
					assert.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return insert(conn, id) }))
					<-time.After(2 * checkpointDelay)
				}
			})
			all.Wait()
			wal := db.Stats().WAL
			assert.Zero(t, wal.Incomplete)
			assert.Zero(t, wal.HeldBack)
			assert.NotZero(t, wal.Size)
		}))
		<-time.After(2 * maxCheckpointDelay)
		synctest.Wait()
		assert.Zero(t, db.Stats().WAL.Size)
	})
}

func TestCheckpointer_StartsNothingOnceItIsStopped(t *testing.T) {
	db := openBatch(t, Options{})
	db.checkpointer.stop()
	db.checkpointer.runs.Wait()
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return insert(conn, 1) }))
	db.checkpointer.start()
	db.checkpointer.runs.Wait()
	assert.Zero(t, db.Stats().WAL.Moved)
	db.checkpointer.scheduled.Store(false)
	db.checkpointer.schedule(time.Hour)
	assert.False(t, db.checkpointer.scheduled.Load())
}

func TestClose_StopsTheCheckpointer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(t.Context(), path(t), Options{Schema: counters})
		require.NoError(t, err)
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, increment) }))
		require.True(t, db.checkpointer.scheduled.Load())
		require.NoError(t, db.Close(t.Context()))
		<-time.After(3 * checkpointDelay)
		synctest.Wait()
		assert.Zero(t, db.Stats().WAL.Failed)
		assert.False(t, db.checkpointer.running)
	})
}

// A run that Options.LimitCheckpoints puts off moves nothing, delays no caller, and comes again; one that truncates is not asked about.
func TestCheckpointer_LimitCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, running atomic.Int32
		var allowed atomic.Bool
		db, err := Open(t.Context(), path(t), Options{Schema: counters, JournalSizeLimit: 100_000, LimitCheckpoints: func() (func(), bool) {
			asked.Add(1)
			if !allowed.Load() {
				return nil, false
			}
			assert.EqualValues(t, 1, running.Add(1))
			return func() { running.Add(-1) }, true
		}})
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close(context.Background())) }()
		write := func(script string) {
			require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, script) }))
		}
		write(increment)
		<-time.After(checkpointDelay + 10*putOffDelay)
		synctest.Wait()
		assert.Greater(t, asked.Load(), int32(3), "it comes again")
		assert.Less(t, asked.Load(), int32(30), "not all the time")
		assert.Zero(t, db.Stats().WAL.Moved)
		assert.Zero(t, db.Stats().WAL.Failed)
		allowed.Store(true)
		<-time.After(2 * putOffDelay)
		synctest.Wait()
		assert.NotZero(t, db.Stats().WAL.Moved)
		assert.Zero(t, running.Load())

		allowed.Store(false)
		before := asked.Load()
		write("CREATE TABLE large (x); INSERT INTO large VALUES (randomblob(200000))")
		<-time.After(putOffDelay)
		synctest.Wait()
		assert.Zero(t, db.Stats().WAL.Size, "it was over its limit")
		assert.Equal(t, before, asked.Load())
	})
}

// A function of Options that panics in a run, where no caller could recover, or that ends the run's goroutine, costs that run alone:
// the next one comes, and a log past its limit is emptied.
func TestCheckpointer_OutlivesFunctionsThatDoNotReturn(t *testing.T) {
	for ending, end := range map[string]func(){"a panic": func() { panic("in a run") }, "runtime.Goexit": runtime.Goexit} {
		for hook, limit := range map[string]func() (done func(), ok bool){
			"LimitCheckpoints": func() (func(), bool) { end(); return func() {}, true },
			"its done":         func() (func(), bool) { return end, true },
		} {
			t.Run(hook+", "+ending, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var calls, told atomic.Int32
					db := openBatch(t, Options{JournalSizeLimit: 100_000,
						LimitCheckpoints: func() (func(), bool) {
							if calls.Add(1) == 1 {
								return limit()
							}
							return func() {}, true
						},
						Observer: func(pool.Inspector) pool.Tap {
							return pool.Tap{End: func(_ context.Context, event pool.Event) {
								if event.Op == pool.Checkpoint && event.Err != nil {
									told.Add(1)
									assert.ErrorContains(t, event.Err, "Options.LimitCheckpoints panicked: in a run")
								}
							}}
						}})
					<-time.After(checkpointDelay + time.Millisecond)
					synctest.Wait()
					assert.EqualValues(t, 1, calls.Load())
					assert.EqualValues(t, 1, db.Stats().WAL.Failed)
					assert.Equal(t, ending == "a panic", told.Load() == 1)
					<-time.After(checkpointDelay)
					synctest.Wait()
					assert.EqualValues(t, 2, calls.Load(), "the next run has come")
					assert.EqualValues(t, 1, db.Stats().WAL.Failed)
					wal := db.Stats().WAL
					assert.Equal(t, wal.Pages, wal.Moved)
					require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
						return run(conn, "CREATE TABLE large (x); INSERT INTO large VALUES (randomblob(200000))")
					}))
					synctest.Wait()
					assert.Zero(t, db.Stats().WAL.Size)
				})
			})
		}
	}
}

// Whatever ends the goroutine of a run, be it one that only looks at the log of another program: there is a next one.
func TestCheckpointer_OutlivesTheGoroutineOfARun(t *testing.T) {
	for name, options := range map[string]Options{
		"a run":  {},
		"a look": {ForeignCheckpoints: true, JournalSizeLimit: 1, PinnedAfter: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := make(chan Pinned, 10)
				options.OnPinned = func(pinned Pinned) { told <- pinned }
				db := openBatch(t, options)
				cp := &db.checkpointer
				var runs atomic.Int32
				cp.mu.Lock() // which a run takes before it looks
				use := cp.onWriter
				cp.onWriter = func(ctx context.Context, note *agent.Note, do func(ctx context.Context, c *connection) error) error {
					if runs.Add(1) == 1 {
						runtime.Goexit()
					}
					return use(ctx, note, do)
				}
				cp.mu.Unlock()
				<-time.After(3 * checkpointDelay)
				synctest.Wait()
				assert.Greater(t, runs.Load(), int32(1))
				if options.ForeignCheckpoints {
					assert.Len(t, told, 1)
					assert.Zero(t, db.Stats().WAL.Failed, "it makes no checkpoint")
				} else {
					assert.EqualValues(t, 1, db.Stats().WAL.Failed)
				}
			})
		})
	}
}

// Without any run, each commit moves what it can once the log has 1000 pages: the log starts over, and stays small.
func TestWAL_IsMovedByCommits(t *testing.T) {
	db := openBatch(t, Options{JournalSizeLimit: -1})
	withoutRuns(db)
	do(t, foreign(t, db), "CREATE TABLE page (x)")
	for range 30 {
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
			return run(conn, "INSERT INTO page VALUES (randomblob(400000))") // a hundred pages
		}))
	}
	assert.Less(t, db.Stats().WAL.Size, int64(2000*4120))
	file, err := os.Stat(db.database.path)
	require.NoError(t, err)
	assert.Greater(t, file.Size(), int64(1000*4096))
}
