package tenants

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := fake(t, Options{MaxOpen: 8, MaxOpening: 2})
		for _, tenant := range []string{"a", "b", "c"} {
			p.release(holdOn(t, p, tenant))
		}
		held := holdOn(t, p, "d")
		var all sync.WaitGroup
		store.openFor = time.Minute
		all.Go(func() {
			_, err := p.acquire(t.Context(), "opening", kindUse)
			assert.ErrorIs(t, err, pool.ErrClosed)
		})
		exclusive, err := p.acquire(t.Context(), "e", kindExclusive)
		require.NoError(t, err)
		all.Go(func() {
			_, err := p.acquire(t.Context(), "e", kindUse)
			assert.ErrorIs(t, err, pool.ErrClosed)
		})
		synctest.Wait()
		began := time.Now()
		all.Go(func() {
			assert.NoError(t, p.Close(t.Context()))
			assert.Equal(t, 2*time.Second+store.closeFor, time.Since(began), "it waits for the calls, and interrupts the opening")
		})
		synctest.Wait()
		assert.Equal(t, 0, p.Stats().Waiting, "callers that wait are told at once")
		_, err = p.acquire(t.Context(), "a", kindUse)
		assert.ErrorIs(t, err, pool.ErrClosed)
		assert.EqualError(t, err, `headpond/tenants "tenants": "a": acquire: the pool is closed`)
		inner, err := p.acquire(held, "d", kindUse)
		require.NoError(t, err, "inside a call that goes on")
		p.release(inner)
		time.Sleep(time.Second)
		p.release(exclusive)
		time.Sleep(time.Second)
		p.release(held)
		all.Wait()
		assert.Empty(t, store.now())
		assert.True(t, p.Stats().Closed)
		assert.NoError(t, p.Close(t.Context()), "again")
	})
}

func TestClose_NamesWhoHoldsWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := fake(t, Options{})
		h := holdOn(t, p, "a")
		time.Sleep(time.Minute)
		err := p.Close(ending(t, time.Second))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.EqualError(t, err, `headpond/tenants "tenants": close: context deadline exceeded `+
			`(1 of 100 open, 1 of them held, 0 opening, 0 closing, 0 calls waiting, longest held: "a" for 1m1s)`)
		db := h.db.(*fakeOpen)
		db.mu.Lock()
		assert.True(t, db.interrupted, "what runs is interrupted")
		db.mu.Unlock()
		p.release(h)
		assert.NoError(t, p.Close(t.Context()))
		assert.Empty(t, store.now())
	})
}

func TestClose_InsideACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := fake(t, Options{})
		h := holdOn(t, p, "a")
		assert.ErrorIs(t, p.Close(h), pool.ErrNested)
		assert.True(t, p.Stats().Closed, "it has begun")
		p.release(h)
		assert.NoError(t, p.Close(h), "the call has returned")
	})
}

// TestClose_InsideACallTellsOfSQL closes a *sql.DB whose Close fails: no later Close would say so.
func TestClose_InsideACallTellsOfSQL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := fake(t, Options{})
		h := holdOn(t, p, "a")
		p.sqls["a"] = sql.OpenDB(brokenConnector{})
		err := p.Close(h)
		assert.ErrorIs(t, err, pool.ErrNested)
		assert.ErrorIs(t, err, errBroken)
		p.release(h)
		shut(t, p)
	})
}

// brokenConnector fails to close.
type brokenConnector struct{ driver.Connector }

func (brokenConnector) Close() error { return errBroken }

func TestClose_TellsOfClosesThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := fake(t, Options{MaxOpen: 2, MaxOpening: 1})
		store.onClosing = func(string) error { return errBroken }
		for _, tenant := range []string{"a", "b"} {
			p.release(holdOn(t, p, tenant))
		}
		err := p.Close(t.Context())
		assert.ErrorIs(t, err, errBroken)
		assert.EqualError(t, err, `headpond/tenants "tenants": "b": close: broken`, "a was evicted before")
		assert.NoError(t, p.Close(t.Context()))
	})
}

// TestClose_ConnectionNotReleased evicts a database of which a connection is still out: it keeps its place until that is back.
func TestClose_ConnectionNotReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan error, 2)
		p, store := fake(t, Options{MaxOpen: 1, AcquireTimeout: time.Minute, OnClose: func(_ string, _ time.Duration, err error) { told <- err }})
		h := holdOn(t, p, "a")
		stuck := make(chan struct{})
		h.db.(*fakeOpen).stuck = stuck
		p.release(h)
		_, err := p.acquire(ending(t, time.Second), "b", kindUse)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 1, p.Stats().Closing)
		assert.Empty(t, told)
		time.Sleep(closeTimeout)
		synctest.Wait()
		require.Len(t, told, 1)
		assert.ErrorIs(t, <-told, context.DeadlineExceeded)
		time.AfterFunc(time.Second, func() { close(stuck) })
		p.release(holdOn(t, p, "b"))
		assert.Error(t, <-told, "when it is closed at last")
		assert.EqualValues(t, 1, p.Stats().CloseFailed)
		require.NoError(t, p.Close(t.Context()))
		assert.Empty(t, store.now())
	})
}
