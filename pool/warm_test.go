package pool_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWarmBuildsWhatIsMissingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, maker := scripted(t, pool.Options{MaxSize: 5}, fake.Script{Construct: fake.Slow})
		lease := acquire(t, p)
		began := time.Now()
		require.NoError(t, p.Warm(t.Context(), 4))
		assert.Equal(t, fake.SlowTime, time.Since(began), "all at the same time")
		assert.Equal(t, 4, p.Stats().Live())
		assert.Equal(t, 3, p.Stats().Idle)
		require.NoError(t, p.Warm(t.Context(), 2), "there are more already")
		require.NoError(t, p.Warm(t.Context(), 0))
		require.NoError(t, p.Warm(t.Context(), -1))
		assert.Equal(t, 4, maker.Made())
		lease.Release()
	})
}

func TestWarmOfMoreThanMaxSizeIsAnError(t *testing.T) {
	p, maker := newPool(t, pool.Options{MaxSize: 2})
	assert.EqualError(t, p.Warm(t.Context(), 3), `headpond/pool "pool": warm: n is 3: it must not exceed MaxSize, which is 2`)
	assert.Zero(t, maker.Made())
}

func TestWarmReturnsTheFirstFailure(t *testing.T) {
	p, maker := scripted(t, pool.Options{MaxSize: 2}, fake.Script{Construct: fake.Fails})
	err := p.Warm(t.Context(), 2)
	require.ErrorIs(t, err, fake.ErrFailed)
	assert.EqualError(t, err, `headpond/pool "pool": warm: fake: the hook failed`)
	maker.Follow(fake.Script{})
	require.NoError(t, p.Warm(t.Context(), 2), "it does not wait for the rest after a failure")
	assert.Equal(t, 2, p.Stats().Idle)
}

func TestWarmEndsWithItsCtxAndWhatIsBuiltStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := scripted(t, pool.Options{MaxSize: 2}, fake.Script{Construct: fake.Slow})
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(fake.SlowTime/2, func() { cancel(cause) })
		err := p.Warm(ctx, 2)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, cause)
		assert.Equal(t, 2, p.Stats().Constructing)
		require.ErrorIs(t, p.Warm(ctx, 2), context.Canceled, "it has ended before")
		<-time.After(fake.SlowTime)
		assert.Equal(t, 2, p.Stats().Idle)
	})
}

func TestWarmServesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down outage
		p, _ := newPool(t, pool.Options{MaxSize: 1, AcquireTimeout: -1}, down.hooks)
		_, err := p.Acquire(t.Context())
		require.ErrorIs(t, err, errOutage)
		down.over.Store(true)
		began := time.Now()
		got := make(chan pool.Lease[*fake.Value], 1)
		go func() { got <- acquire(t, p) }() // waits in the rest after the failure
		synctest.Wait()
		require.NoError(t, p.Warm(t.Context(), 1))
		(<-got).Release()
		assert.Equal(t, 5*time.Millisecond, time.Since(began))
	})
}

func TestWarm_SaysWhenItFallsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2}, func(h *resource.Hooks[*fake.Value]) {
			slow(h, pool.Construct)
			slow(h, pool.Destroy)
		})
		require.NoError(t, p.Warm(t.Context(), 2))
		p.Evict()
		assert.ErrorContains(t, p.Warm(t.Context(), 2), "0 of 2 values are live, and 2 being destroyed")
		<-time.After(time.Minute)
		done := make(chan error, 1)
		go func() { done <- p.Warm(context.Background(), 1) }()
		synctest.Wait()
		require.NoError(t, p.Close(t.Context()))
		assert.ErrorIs(t, <-done, pool.ErrClosed)
	})
}
