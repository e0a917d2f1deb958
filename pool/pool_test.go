package pool_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newPool returns a pool of fakes, which is closed, and every fake destroyed once, when the test ends.
func newPool(t testing.TB, options pool.Options, change ...func(*resource.Hooks[*fake.Value])) (*pool.Pool[*fake.Value], *fake.Maker) {
	t.Helper()
	maker := &fake.Maker{}
	hooks := maker.Hooks()
	for _, change := range change {
		change(&hooks)
	}
	p, err := pool.New(hooks, options)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, p.Close(context.Background()))
		maker.Finished(t)
		stats := p.Stats()
		assert.Zero(t, stats.Live())
	})
	return p, maker
}

func acquire[T any](t testing.TB, p *pool.Pool[T]) pool.Lease[T] {
	t.Helper()
	lease, err := p.Acquire(context.Background())
	require.NoError(t, err)
	return lease
}

func TestAcquireBuildsThenReuses(t *testing.T) {
	p, maker := newPool(t, pool.Options{MaxSize: 2})
	first := acquire(t, p)
	second := acquire(t, p)
	assert.NotSame(t, first.Value(), second.Value())
	assert.Equal(t, 2, p.Stats().Held)
	value := first.Value()
	first.Release()
	again := acquire(t, p)
	assert.Same(t, value, again.Value())
	again.Release()
	second.Release()
	assert.EqualValues(t, 2, maker.Made())
	stats := p.Stats()
	assert.EqualValues(t, 3, stats.Acquired)
	assert.EqualValues(t, 3, stats.Released)
	assert.Equal(t, 2, stats.Idle)
}

func TestAcquireTimeoutSaysWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{Name: "orders", MaxSize: 1, LeakAfter: time.Hour})
		lease := acquire(t, p)
		began := time.Now()
		_, err := p.Acquire(t.Context())
		assert.Equal(t, 5*time.Second, time.Since(began))
		require.ErrorIs(t, err, pool.ErrAcquireTimeout)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var failure *pool.Error
		require.ErrorAs(t, err, &failure)
		assert.Len(t, failure.Holders, 1)
		assert.Regexp(t, `^headpond/pool "orders": acquire: no resource within 5s \(1 of 1 held, 0 waiting, 0 being built, longest held: #1 for 5s by .*pool_test.go:\d+ .*\): release sooner or raise MaxSize$`, err.Error())
		lease.Release()
	})
}

func TestDoEndsItsLease(t *testing.T) {
	p, maker := newPool(t, pool.Options{MaxSize: 1})
	failure := errors.New("use failed")
	assert.Equal(t, failure, p.Do(t.Context(), func(context.Context, *fake.Value) error { return failure }))
	assert.Equal(t, 1, p.Stats().Idle)
	assert.PanicsWithValue(t, "boom", func() {
		_ = p.Do(t.Context(), func(context.Context, *fake.Value) error { panic("boom") })
	})
	lease := acquire(t, p) // waits for the destructor: the slot is free then
	assert.EqualValues(t, 2, maker.Made())
	assert.EqualValues(t, 1, p.Stats().Destroyed[resource.Panicked])
	lease.Release()
}

func TestCloseWakesWaitersAndNamesHolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1})
		lease := acquire(t, p)
		var woken atomic.Bool
		go func() {
			_, err := p.Acquire(context.Background())
			assert.ErrorIs(t, err, pool.ErrClosed)
			woken.Store(true)
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := p.Close(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "1 still held: #1 for 1s")
		assert.True(t, woken.Load())
		lease.Release()
		require.NoError(t, p.Close(t.Context()))
		_, err = p.Acquire(t.Context())
		assert.ErrorIs(t, err, pool.ErrClosed)
	})
}
