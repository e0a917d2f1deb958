package sqlite

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

// readFor reads, and keeps the snapshot for that long.
func readFor(ctx context.Context, db *DB, long time.Duration) error {
	return db.Read(ctx, func(_ context.Context, conn *Conn) error {
		_, err := sqlitex.ResultInt64(conn.Prep("SELECT count(*) FROM (SELECT 1 FROM work LIMIT 1)"))
		<-time.After(long)
		return err
	})
}

// pinned calls use while a reader has a snapshot that is older than the last commit.
func pinned(t *testing.T, db *DB, use func()) {
	t.Helper()
	do := func() {
		require.NoError(t, db.Write(context.Background(), func(_ context.Context, conn *Conn) error {
			return run(conn, "INSERT INTO work (id) VALUES (NULL)")
		}))
	}
	do()
	require.NoError(t, db.Read(context.Background(), func(_ context.Context, conn *Conn) error {
		_, err := first(conn, "SELECT count(*) FROM work")
		do()
		use()
		return err
	}))
}

// TestJournalSizeLimit_WithOverlappingReaders has 8 readers that overlap, each of which reads for 20 ms, back to back,
// and writers that never pause: the log stays below twice its limit, 99 of 100 times that it is looked at,
// and readers are held back for as long as those before them read, not for twice that.
// A busy machine, on which many may commit before the checkpoint that is due has its turn, may show it later;
// one on which readers take longer than they want to shows that the log is truncated still.
func TestJournalSizeLimit_WithOverlappingReaders(t *testing.T) {
	lasts := 5 * time.Second
	if *long {
		lasts = 30 * time.Second
	}
	const limit = 4 << 20
	db := openBatch(t, Options{JournalSizeLimit: limit, Readers: 8})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	var read, slow, took, written atomic.Int64
	for i := range 8 {
		all.Go(func() {
			<-time.After(time.Duration(i) * 20 * time.Millisecond / 8) // never all at once
			for ctx.Err() == nil {
				assert.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
					began := time.Now()
					_, err := first(conn, "SELECT count(*) FROM (SELECT 1 FROM work LIMIT 1)")
					<-time.After(20 * time.Millisecond)
					read.Add(1)
					took.Add(int64(time.Since(began)))
					if time.Since(began) > readerHoldLimit/2 {
						slow.Add(1)
					}
					return err
				}))
			}
		})
	}
	write := func(with func(context.Context, func(context.Context, *Conn) error) error) {
		for ctx.Err() == nil {
			assert.NoError(t, with(t.Context(), func(_ context.Context, conn *Conn) error {
				written.Add(1)
				return sqlitex.Execute(conn, "INSERT INTO work (id) VALUES (NULL)", nil)
			}))
		}
	}
	all.Go(func() { write(db.Write) })
	all.Go(func() { write(db.Batch) })
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	small := false
	for end := time.Now().Add(lasts + time.Minute); !small && time.Now().Before(end); {
		began, before, looks, large := time.Now(), db.Stats().WAL, 0, 0
		read.Store(0)
		slow.Store(0)
		took.Store(0)
		written.Store(0)
		var largest int64
		var emptied, kept uint64
		var held time.Duration
		for (time.Since(began) < lasts || emptied < 5) && time.Now().Before(end) {
			<-tick.C
			now := db.Stats().WAL
			emptied, kept, held = now.Truncated-before.Truncated, now.Incomplete-before.Incomplete, now.HeldBack-before.HeldBack
			largest = max(largest, now.Size)
			if looks++; now.Size >= 2*limit {
				large++
			}
		}
		mean := time.Duration(took.Load() / max(1, read.Load()))
		t.Logf("%d reads of %v, %d of them slow, %d rows written; the log was %d bytes at the most, too large %d times of %d; emptied %d times, kept %d times; readers waited for %v",
			read.Load(), mean, slow.Load(), written.Load(), largest, large, looks, emptied, kept, held)
		small = emptied >= 5 && (slow.Load() > read.Load()/100 ||
			kept < emptied && held < time.Duration(emptied+kept)*mean*3/2 && (kept > 0 || large <= looks/100))
	}
	cancel()
	all.Wait()
	assert.True(t, small)
}

func TestCheckpoint_NamesTheReaderThatPinsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{LeakAfter: time.Hour})
		pinned(t, db, func() {
			began := time.Now()
			done, err := db.Checkpoint(context.Background())
			require.NoError(t, err)
			assert.InDelta(t, readerHoldLimit, time.Since(began), float64(2*time.Millisecond))
			assert.Equal(t, readerHoldLimit, done.HeldBack)
			assert.False(t, done.Complete)
			assert.NotZero(t, done.Pages)
			assert.NotZero(t, done.Size)
			require.NotNil(t, done.Pinned)
			assert.Contains(t, done.Pinned.Stack.Caller(), "checkpoint_test.go")
			<-time.After(time.Millisecond)
			stats := db.Stats().WAL
			assert.Equal(t, time.Millisecond, stats.PinnedFor)
			assert.EqualValues(t, 1, stats.Incomplete)
			require.NotNil(t, stats.Pinned)
			assert.Equal(t, done.Pinned.ID, stats.Pinned.ID)
		})
		done, err := db.Checkpoint(t.Context())
		require.NoError(t, err)
		assert.Equal(t, Checkpoint{Complete: true}, done)
		stats := db.Stats().WAL
		assert.Zero(t, stats.Size)
		assert.Zero(t, stats.PinnedFor)
		assert.Nil(t, stats.Pinned)
		assert.EqualValues(t, 1, stats.Truncated)
	})
}

// Nobody calls Checkpoint: the DB finds out, and tells it once.
func TestOnPinned_IsCalledOnceForASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan Pinned, 8)
		db := openBatch(t, Options{LeakAfter: time.Hour, PinnedAfter: 500 * time.Millisecond, OnPinned: func(p Pinned) { told <- p }})
		pinned(t, db, func() {
			p := <-told
			assert.Equal(t, 500*time.Millisecond, p.For)
			assert.Greater(t, p.Pages, p.Moved)
			require.NotNil(t, p.Reader)
			assert.Contains(t, p.String(), "most likely reader #")
			assert.Contains(t, p.String(), "checkpoint_test.go")
			_, err := db.Checkpoint(context.Background())
			assert.NoError(t, err)
		})
		_, err := db.Checkpoint(context.Background())
		require.NoError(t, err)
		assert.Empty(t, told, "once")
		assert.Zero(t, db.Stats().WAL.PinnedFor)
	})
}

// On a goroutine of the DB no caller could recover it, and the process would end.
func TestOnPinned_MayPanic(t *testing.T) {
	for name, options := range map[string]Options{
		"of our own runs": {PinnedAfter: time.Millisecond},
		"of a look":       {PinnedAfter: time.Millisecond, ForeignCheckpoints: true, JournalSizeLimit: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := make(chan Pinned, 8)
				options.OnPinned = func(pinned Pinned) {
					told <- pinned
					panic("OnPinned")
				}
				db := openBatch(t, options)
				pinned(t, db, func() { <-told })
				withoutRuns(db)
			})
		})
	}
}

func TestCheckpoint_InMemoryDoesNothing(t *testing.T) {
	db, err := OpenMemory(t.Context(), Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(t.Context())) }()
	done, err := db.Checkpoint(t.Context())
	require.NoError(t, err)
	assert.Equal(t, Checkpoint{}, done)
	assert.Zero(t, db.Stats().WAL)
	_, err = os.Stat("memory-wal")
	assert.Error(t, err)
}

// Errors of Checkpoint, by name.
func TestCheckpoint_Fails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{})
		for _, inside := range []func(context.Context, func(context.Context, *Conn) error) error{db.Read, db.Write, db.Batch} {
			require.NoError(t, inside(t.Context(), func(ctx context.Context, _ *Conn) error {
				_, err := db.Checkpoint(ctx)
				assert.ErrorIs(t, err, pool.ErrNested)
				return nil
			}))
		}
		pinned(t, db, func() {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
			defer cancel()
			began := time.Now()
			_, err := db.Checkpoint(ctx)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, 30*time.Millisecond, time.Since(began))
			assert.Nil(t, db.checkpointer.held.Load(), "readers are held back no more")
		})
		readOnly, err := Open(t.Context(), db.database.path, Options{ReadOnly: true})
		require.NoError(t, err)
		_, err = readOnly.Checkpoint(t.Context())
		assert.ErrorIs(t, err, ErrReadOnly)
		require.NoError(t, readOnly.Close(t.Context()))
		_, err = readOnly.Checkpoint(t.Context())
		assert.Error(t, err)
		require.NoError(t, db.Close(t.Context()))
		_, err = db.Checkpoint(t.Context())
		assert.ErrorIs(t, err, pool.ErrClosed)
	})
}

// What Suspend would break: readers are held back without it.
func TestCheckpoint_ReadersThatItDelaysDoNotFail(t *testing.T) {
	db := openBatch(t, Options{Readers: 2, MaxWaiters: 1})
	var held sync.WaitGroup
	pinned(t, db, func() {
		db.Readers().Suspend() // the user's own stays
		_, err := db.Checkpoint(context.Background())
		assert.NoError(t, err)
		assert.True(t, db.Readers().Stats().Suspended)
		db.Readers().Resume()
	})
	admit := db.checkpointer.holdBack()
	defer admit()
	var begun atomic.Int64
	for range 3 { // Readers + MaxWaiters: as many as may come at once; with Suspend it would be MaxWaiters
		held.Go(func() {
			assert.NoError(t, db.Read(t.Context(), func(context.Context, *Conn) error { begun.Add(1); return nil }))
		})
	}
	lease, err := db.Readers().TryAcquire(t.Context())
	require.NoError(t, err)
	lease.Release()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errBank)
	assert.ErrorIs(t, db.Read(ctx, nil), errBank, "it hears its ctx")
	assert.NoError(t, db.Write(t.Context(), func(ctx context.Context, _ *Conn) error {
		return db.Read(ctx, func(ctx context.Context, _ *Conn) error {
			return db.Read(ctx, func(context.Context, *Conn) error { return nil })
		})
	}), "what is inside can't wait")
	assert.Zero(t, begun.Load())
	admit()
	admit()
	held.Wait()
	assert.EqualValues(t, 3, begun.Load())
}

// A checkpoint that can't be complete keeps readers for 100 ms, whatever it is doing then.
func TestCheckpoint_DelaysReadersNoLongerThanItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{})
		pinned(t, db, func() {
			var all sync.WaitGroup
			began := time.Now()
			all.Go(func() {
				_, err := db.Checkpoint(context.Background())
				assert.NoError(t, err)
			})
			for db.checkpointer.held.Load() == nil {
				<-time.After(time.Millisecond)
			}
			assert.NoError(t, db.Read(context.Background(), func(context.Context, *Conn) error { return nil }))
			assert.Equal(t, readerHoldLimit, time.Since(began))
			all.Wait()
		})
	})
}

func init() {
	children["pin"] = func(args []string) error {
		db, err := Open(context.Background(), args[0], Options{ReadOnly: true})
		if err != nil {
			return err
		}
		err = db.Read(context.Background(), func(_ context.Context, conn *Conn) error {
			if _, err := first(conn, "SELECT count(*) FROM work"); err != nil {
				return err
			}
			if _, err := os.Stdout.WriteString("."); err != nil {
				return err
			}
			_, err := os.Stdin.Read(make([]byte, 1)) // until the parent closes it
			_ = err
			return nil
		})
		return errors.Join(err, db.Close(context.Background()))
	}
}

// A snapshot of another process is not taken for one of ours.
func TestOnPinned_KnowsNoReaderOfAnotherProcess(t *testing.T) {
	told := make(chan Pinned, 1)
	db := openBatch(t, Options{PinnedAfter: time.Millisecond, OnPinned: func(p Pinned) { told <- p }})
	other := child(t, "pin", db.database.path)
	in, err := other.StdinPipe()
	require.NoError(t, err)
	out, err := other.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	_, err = out.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return insert(conn, 1) }))
	p := <-told
	assert.Nil(t, p.Reader)
	assert.Contains(t, p.String(), "another process")
	require.NoError(t, in.Close())
	require.NoError(t, other.Wait())
	done, err := db.Checkpoint(t.Context())
	require.NoError(t, err)
	assert.True(t, done.Complete)
}
