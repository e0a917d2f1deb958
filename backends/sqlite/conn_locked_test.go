package sqlite

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// TestLocked_OneLimitForTurnAndLock has another process hold the write lock. One call gets the writer and waits for the lock,
// another one comes later and waits for the writer first: each ends within max(AcquireTimeout, BusyTimeout) and 20 ms.
func TestLocked_OneLimitForTurnAndLock(t *testing.T) {
	never := func(context.Context, *Conn) error { panic("it ran") }
	for _, limits := range []struct{ acquire, busy time.Duration }{
		{5 * time.Second, 5 * time.Second}, {8 * time.Second, 5 * time.Second}, {time.Second, 5 * time.Second}, {5 * time.Second, time.Second},
	} {
		for name, methods := range map[string][2]string{
			"Write and Write": {"Write", "Write"}, "Batch and Batch": {"Batch", "Batch"},
			"Write and Batch": {"Write", "Batch"}, "Batch and Write": {"Batch", "Write"},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					db := openBatch(t, Options{BusyTimeout: limits.busy, AcquireTimeout: limits.acquire, Name: "orders"})
					other := conn(t, db)
					do(t, other, "BEGIN IMMEDIATE")
					most := max(limits.acquire, limits.busy)
					done := make(chan error)
					call := func(method string) {
						began := time.Now()
						err := map[string]func(context.Context, func(context.Context, *Conn) error) error{"Write": db.Write, "Batch": db.Batch}[method](context.Background(), never)
						took := time.Since(began)
						assert.LessOrEqual(t, took, most+20*time.Millisecond, "%s: %v", method, err)
						assert.GreaterOrEqual(t, took, min(limits.acquire, limits.busy), "%s: %v", method, err)
						done <- err
					}
					go call(methods[0])
					time.Sleep(600 * time.Millisecond)
					go call(methods[1])
					for range 2 {
						err := <-done
						require.Error(t, err)
						assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(err))
						assert.ErrorContains(t, err, `headpond/sqlite "orders": `)
						assert.ErrorContains(t, err, "another process, or another DB or pool in this one, holds the write lock of "+db.database.path)
						assert.NotContains(t, err.Error(), "MaxSize")
						assert.NotContains(t, err.Error(), "LeakAfter")
					}
					do(t, other, "ROLLBACK")
				})
			})
		}
	}
}

// What the error says, and is.
func TestLocked_SaysHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{BusyTimeout: 3 * time.Second, AcquireTimeout: 2 * time.Second})
		other := conn(t, db)
		do(t, other, "BEGIN IMMEDIATE")
		never := func(context.Context, *Conn) error { panic("it ran") }
		first := make(chan error)
		go func() { first <- db.Write(context.Background(), never) }()
		time.Sleep(500 * time.Millisecond)
		err := db.Write(context.Background(), never)
		assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
		var failed *pool.Error
		assert.ErrorAs(t, err, &failed)
		assert.ErrorContains(t, err, "no turn within 2s")
		assert.ErrorContains(t, err, "which the writer has tried to get for 2.5s")
		err = <-first
		assert.NotErrorIs(t, err, pool.ErrAcquireTimeout)
		assert.ErrorContains(t, err, "which was tried for 3s: ")

		lease, err := db.Writer().Acquire(context.Background()) // this process's own
		require.NoError(t, err)
		err = db.Write(context.Background(), never)
		assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
		assert.NotContains(t, err.Error(), "another process")
		assert.NotEqual(t, sqlite.ResultBusy, sqlite.ErrCode(err))
		lease.Release()

		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = db.Write(ctx, never)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "which was tried for 1s")
		do(t, other, "ROLLBACK")
		assert.NoError(t, db.Write(context.Background(), func(_ context.Context, conn *Conn) error { return insert(conn, 1) }))
	})
}

// Without an AcquireTimeout only the ctx bounds the wait for the turn, and BusyTimeout that for the lock.
func TestLocked_WithoutAcquireTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{BusyTimeout: time.Second, AcquireTimeout: -1})
		other := conn(t, db)
		do(t, other, "BEGIN IMMEDIATE")
		lease, err := db.Writer().Acquire(context.Background())
		require.NoError(t, err)
		time.AfterFunc(time.Minute, lease.Release)
		began := time.Now()
		err = db.Write(context.Background(), func(context.Context, *Conn) error { panic("it ran") })
		assert.Equal(t, time.Minute+time.Second, time.Since(began))
		assert.ErrorContains(t, err, "which was tried for 1s, after 1m0s in line")
		do(t, other, "ROLLBACK")
	})
}
