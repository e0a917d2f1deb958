package pool_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheZeroLeaseHasEnded(t *testing.T) {
	var lease pool.Lease[int]
	lease.Release()
	lease.Discard()
	assert.Zero(t, lease.Info())
	assert.PanicsWithValue(t, "headpond/pool: Value of the zero Lease: Acquire returned an error, or was never called", func() { lease.Value() })
	assert.PanicsWithValue(t, "headpond/pool: Detach of the zero Lease: Acquire returned an error, or was never called", func() { lease.Detach() })
}

func TestCopiesAreOneLease(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 1})
	lease := acquire(t, p)
	other := lease
	other.Release()
	assert.Panics(t, func() { lease.Value() })
	lease.Release()
	assert.EqualValues(t, 1, p.Stats().Released)
}

func TestDetachGivesTheValueAwayAndItsSlotBack(t *testing.T) {
	p, maker := newPool(t, pool.Options{MaxSize: 1})
	detached := acquire(t, p).Detach()
	assert.Zero(t, p.Stats().Live())
	assert.EqualValues(t, 1, p.Stats().Detached)
	acquire(t, p).Release()
	assert.Zero(t, detached.Destroyed)
	maker.Destroy(detached)
}

func TestInfoSaysHowOldAndHowUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1})
		for uses := range 3 {
			lease := acquire(t, p)
			assert.Equal(t, resource.Info{Age: time.Duration(uses) * time.Minute, Uses: uses}, lease.Info())
			<-time.After(time.Minute)
			lease.Release()
		}
	})
}

func TestDo_EndsItsLeaseOnGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1})
		go func() {
			_ = p.Do(t.Context(), func(context.Context, *fake.Value) error {
				runtime.Goexit()
				return nil
			})
		}()
		synctest.Wait()
		assert.Zero(t, p.Stats().Live())
		assert.EqualValues(t, 1, p.Stats().Destroyed[resource.Panicked])
		acquire(t, p).Release()
	})
}

func TestALeaseHasTheNumberThatHoldersShow(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 2})
	acquire(t, p).Discard()
	lease := acquire(t, p)
	assert.EqualValues(t, 2, lease.ID())
	assert.Equal(t, p.Holders()[0].ID, lease.ID())
	lease.Release()
	assert.EqualValues(t, 2, lease.ID(), "to the end and beyond")
	assert.Zero(t, pool.Lease[int]{}.ID())
}

// TestDetach_LeavesNothingBehind has a detached value be garbage, though its pool lives on.
func TestDetach_LeavesNothingBehind(t *testing.T) {
	type big [1 << 10]byte
	p, err := pool.New(resource.Hooks[*big]{Construct: func(context.Context) (*big, error) { return new(big), nil }}, pool.Options{})
	require.NoError(t, err)
	kept := weak.Make(acquire(t, p).Detach())
	assert.True(t, collected(kept))
	require.NoError(t, p.Close(t.Context()))
}

func TestInfo_OfAnOldLeaseStaysWhatItWas(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 1})
	first := acquire(t, p)
	first.Release()
	second := acquire(t, p)
	assert.Equal(t, 1, second.Info().Uses)
	second.Release()
	assert.Zero(t, first.Info().Uses)
	assert.Equal(t, 1, second.Info().Uses)
}

func TestDo_EndsItsLease(t *testing.T) {
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

func TestLease_IsNeverHeldForLessThanNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where the clock stands still
		p, _ := newPool(t, pool.Options{MaxSize: 1, Observer: func(pool.Inspector) pool.Tap {
			return pool.Tap{End: func(_ context.Context, e pool.Event) { assert.GreaterOrEqual(t, e.Held, time.Duration(0)) }}
		}})
		for range 1000 {
			acquire(t, p).Release()
		}
		lease := acquire(t, p)
		assert.Zero(t, p.Holders()[0].Held)
		lease.Release()
	})
}

func TestDo_ReturnsAResult(t *testing.T) {
	p := counting(t, pool.Options{MaxSize: 1})
	got, err := pool.Do(t.Context(), p, func(_ context.Context, value int) (string, error) { return fmt.Sprint("value ", value), nil })
	require.NoError(t, err)
	assert.Equal(t, "value 1", got)
	failed := errors.New("failed")
	got, err = pool.Do(t.Context(), p, func(context.Context, int) (string, error) { return "half", pool.Discard(failed) })
	assert.Equal(t, failed, err)
	assert.Equal(t, "half", got)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	got, err = pool.Do(ended, p, func(context.Context, int) (string, error) { return "never", nil })
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, got)
}
