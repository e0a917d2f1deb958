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

// Answers jackc/pgx#906, jackc/puddle#29, gomodule/redigo#403.
func TestStats_OfWaitingAndUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := make(chan time.Duration, 2)
		p, _ := newPool(t, pool.Options{MaxSize: 1, Observer: func(pool.Inspector) pool.Tap {
			return pool.Tap{End: func(_ context.Context, event pool.Event) {
				if event.Op == pool.Release {
					held <- event.Held
				}
			}}
		}})
		lease := acquire(t, p)
		go func() { acquire(t, p).Release() }()
		go func() {
			_, err := p.Acquire(canceledAfter(t, 2*time.Second))
			assert.ErrorIs(t, err, context.Canceled)
		}()
		<-time.After(3 * time.Second)
		stats := p.Stats()
		assert.Equal(t, 1, stats.Waiting)
		assert.Equal(t, 3*time.Second, stats.OldestWait)
		assert.EqualValues(t, 2, stats.Waited)
		assert.EqualValues(t, 1, stats.Cancelled)
		assert.Equal(t, 2*time.Second, stats.WaitTime, "of the one who left")
		lease.Release()
		synctest.Wait()
		stats = p.Stats()
		assert.Equal(t, 5*time.Second, stats.WaitTime, "of both")
		assert.Zero(t, stats.Waiting)
		assert.Zero(t, stats.OldestWait)
		assert.EqualValues(t, 2, stats.Acquired)
		assert.ElementsMatch(t, []time.Duration{3 * time.Second, 0}, []time.Duration{<-held, <-held})
	})
}

func TestStats_OneAcquireWaitsOnceWhateverItIsHanded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var unfit atomic.Pointer[fake.Value]
		p, _ := newPool(t, pool.Options{MaxSize: 1, AcquireTimeout: -1, Policy: resource.Policy{CheckAfterIdle: -1}}, func(h *resource.Hooks[*fake.Value]) {
			slow(h, pool.Destroy)
			h.Check = func(_ context.Context, v *fake.Value) error {
				if unfit.Load() == v {
					return errHook
				}
				return nil
			}
		})
		lease := acquire(t, p)
		unfit.Store(lease.Value())
		time.AfterFunc(10*time.Second, lease.Release)
		second := acquire(t, p) // 10 s for the value, 1 s for its destructor
		assert.EqualValues(t, 1, p.Stats().Waited)
		assert.Equal(t, 11*time.Second, p.Stats().WaitTime)
		second.Release()
	})
}

func TestStats_TheFailedEndOfALateValueIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1, AcquireTimeout: -1, Policy: resource.Policy{ConstructTimeout: time.Millisecond}},
			func(h *resource.Hooks[*fake.Value]) {
				slow(h, pool.Construct)
				destroy := h.Destroy
				h.Destroy = func(ctx context.Context, v *fake.Value) error { return errors.Join(destroy(ctx, v), errHook) }
			})
		_, err := p.Acquire(t.Context())
		require.Error(t, err)
		<-time.After(time.Minute)
		assert.EqualValues(t, 1, p.Stats().DestroyFailed)
	})
}

func TestStats_WhatCloseDestroysIsClosedAndNotEvicted(t *testing.T) {
	for range 1000 {
		p, _ := newPool(t, pool.Options{MaxSize: 1})
		lease := acquire(t, p)
		go lease.Release()
		require.NoError(t, p.Close(context.Background()))
		assert.EqualValues(t, 1, p.Stats().Destroyed[resource.Closed])
	}
}

// TestWaitTime_IsThatOfCallersThatWaited has callers that pass through the queue on their way to a build of their own.
func TestWaitTime_IsThatOfCallersThatWaited(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 100})
	for range 100 {
		defer acquire(t, p).Release()
	}
	assert.Zero(t, p.Stats().Waited)
	assert.Zero(t, p.Stats().WaitTime)
}
