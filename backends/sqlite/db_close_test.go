package sqlite

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"zombiezen.com/go/sqlite"
)

func TestCloseLeavesNothing(t *testing.T) {
	both(t, func(t *testing.T, memory bool) {
		before := goleak.IgnoreCurrent()
		db := open(t, memory, Options{})
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, increment) }))
		count(t, db)
		require.NoError(t, db.Close(t.Context()))
		require.NoError(t, db.Close(t.Context()), "again")
		goleak.VerifyNone(t, before)
		if !memory {
			assert.Zero(t, descriptors(t, db.database.path))
			assert.Equal(t, []string{"app.db"}, files(t, db.database.path), "the log is in the file")
		}
		assert.ErrorIs(t, db.Read(t.Context(), func(context.Context, *Conn) error { return nil }), pool.ErrClosed)
		assert.ErrorIs(t, db.Write(t.Context(), func(context.Context, *Conn) error { return nil }), pool.ErrClosed)
		assert.Empty(t, db.database.live)
	})
}

// What runs when ctx ends is interrupted, and Close comes back.
func TestCloseInterrupts(t *testing.T) {
	db := open(t, false, Options{})
	running, failed := make(chan struct{}, 2), make(chan error, 2)
	query := func(_ context.Context, conn *Conn) error {
		running <- struct{}{}
		_, err := first(conn, forever)
		return err
	}
	go func() { failed <- db.Read(context.Background(), query) }()
	go func() { failed <- db.Write(context.Background(), query) }()
	<-running
	<-running
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	require.NoError(t, db.Close(ctx))
	assert.Less(t, time.Since(began), 50*time.Millisecond+closeGrace)
	for range 2 {
		err := <-failed
		assert.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(err))
		assert.ErrorIs(t, err, pool.ErrClosed)
	}
	assert.Zero(t, descriptors(t, db.database.path))
}

// Close returns at its deadline and names the holders; what they hold is closed when it comes back.
// Answers launchbadge/sqlx#1773, moov-io/base#508, golang/go#42963.
func TestClose_NamesTheHolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, false, Options{LeakAfter: time.Hour})
		reader, err := db.Readers().Acquire(t.Context())
		require.NoError(t, err)
		writer, err := db.Writer().Acquire(t.Context())
		require.NoError(t, err)
		do(t, writer.Value(), "BEGIN IMMEDIATE")
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		began := time.Now()
		err = db.Close(ctx)
		took := time.Since(began)
		assert.Equal(t, 30*time.Millisecond+closeGrace, took)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "app.readers")
		assert.ErrorContains(t, err, "app.writer")
		assert.ErrorContains(t, err, "close_test.go:")

		_, err = first(reader.Value(), "SELECT 1")
		assert.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(err), "its holder learns it, and does not crash")
		reader.Release()
		writer.Release()
		require.NoError(t, db.Close(t.Context()))
		assert.Zero(t, descriptors(t, db.database.path))
	})
}

// Who waits for a lock of another process when Close interrupts is told that it was Close.
func TestCloseInterruptsWhoWaitsForALock(t *testing.T) {
	for _, way := range []string{"Write", "alone", "shared"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := openBatch(t, Options{BusyTimeout: time.Minute})
				do(t, conn(t, db), "BEGIN IMMEDIATE")
				never := func(context.Context, *Conn) error { panic("it ran") }
				failed := make(chan error, 2)
				switch way {
				case "Write":
					go func() { failed <- db.Write(context.Background(), never) }()
				case "alone":
					go func() { failed <- db.Batch(context.Background(), never) }()
				case "shared":
					go func() {
						moment := func() { <-time.After(time.Millisecond) } // BUSY is for who waited before BEGIN, not for who comes in the same instant
						for _, err := range togetherHeld(t, db, moment, never, never) {
							failed <- err
						}
					}()
				}
				<-time.After(time.Second)
				require.Equal(t, 1, db.Writer().Stats().Held)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				require.NoError(t, db.Close(ctx))
				for range map[string]int{"Write": 1, "alone": 1, "shared": 2}[way] {
					err := <-failed
					assert.ErrorIs(t, err, pool.ErrClosed)
					assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(err))
				}
			})
		})
	}
}

func TestCloseInside(t *testing.T) {
	both(t, func(t *testing.T, memory bool) {
		for _, call := range []string{"Read", "Write", "Batch"} {
			db := open(t, memory, Options{})
			do := ways(db)[call]
			require.NoError(t, do(t.Context(), func(ctx context.Context, _ *Conn) error {
				assert.ErrorIs(t, db.Close(ctx), pool.ErrNested)
				return nil
			}))
			for _, p := range []*pool.Pool[*Conn]{db.Readers(), db.Writer()} {
				lease, err := p.Acquire(t.Context())
				assert.ErrorIs(t, err, pool.ErrClosed, "it has begun")
				lease.Release()
			}
			require.NoError(t, db.Close(t.Context()))
		}
	})
}

// A connection that left its pool is closed with Close.
func TestDetached(t *testing.T) {
	db := open(t, false, Options{})
	lease, err := db.Readers().Acquire(t.Context())
	require.NoError(t, err)
	conn := lease.Detach()
	require.NoError(t, db.Close(t.Context()))
	assert.Equal(t, descriptorsShow, descriptors(t, db.database.path) > 0)
	require.NoError(t, Close(conn))
	assert.Zero(t, descriptors(t, db.database.path))
	foreign, err := sqlite.OpenConn(path(t))
	require.NoError(t, err)
	require.NoError(t, Close(foreign))
}

// A Close that finds no writer for the last checkpoint, since the disk fails, says so: what is in the log is not where it should be.
func TestClose_NoWriterCanBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		db, err := Open(t.Context(), path(t), Options{AcquireTimeout: 10 * time.Millisecond, BusyTimeout: time.Millisecond, Setup: func(context.Context, *Conn) error {
			if fails.Load() {
				return sqlite.ResultIOErrRead.ToError()
			}
			return nil
		}})
		require.NoError(t, err)
		fails.Store(true)
		lease, err := db.Writer().Acquire(t.Context())
		require.NoError(t, err)
		lease.Discard()
		for range 5 { // so that the next one waits for longer than AcquireTimeout
			require.Error(t, db.Write(t.Context(), func(context.Context, *Conn) error { return nil }))
		}
		err = db.Close(t.Context())
		assert.Equal(t, sqlite.ResultIOErrRead, sqlite.ErrCode(err))
		assert.ErrorContains(t, err, "close: no writer could be opened for the last checkpoint")
	})
}

// One that is held for too long is not what this is about: it makes no difference to the next process that opens the file.
func TestClose_TheWriterIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(t.Context(), path(t), Options{AcquireTimeout: 10 * time.Millisecond})
		require.NoError(t, err)
		lease, err := db.Writer().Acquire(t.Context())
		require.NoError(t, err)
		time.AfterFunc(time.Second, lease.Release)
		require.NoError(t, db.Close(t.Context()))
	})
}
