package pool_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
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

func TestDoEndsItsLeaseOnGoexit(t *testing.T) {
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
