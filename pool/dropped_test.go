package pool_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDropped_APoolWithoutMaintenanceIsCollected uses one and forgets it, without a Close.
func TestDropped_APoolWithoutMaintenanceIsCollected(t *testing.T) {
	dropped := func() weak.Pointer[pool.Pool[int]] {
		p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }}, pool.Options{})
		require.NoError(t, err)
		require.NoError(t, p.Do(t.Context(), func(context.Context, int) error { return nil }))
		return weak.Make(p)
	}()
	for tries := 0; tries < 100 && dropped.Value() != nil; tries++ {
		runtime.GC()
		runtime.Gosched()
	}
	assert.Nil(t, dropped.Value())
}

// TestDropped_AfterAWaitItIsNotKeptForAsLongAsThatCouldHaveTaken has a caller wait, with a long AcquireTimeout, before it forgets the pool.
func TestDropped_AfterAWaitItIsNotKeptForAsLongAsThatCouldHaveTaken(t *testing.T) {
	dropped := func() weak.Pointer[pool.Pool[int]] {
		p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }},
			pool.Options{MaxSize: 1, AcquireTimeout: time.Hour})
		require.NoError(t, err)
		lease := acquire(t, p)
		var waits sync.WaitGroup
		waits.Go(func() { acquire(t, p).Release() })
		for p.Stats().Waiting == 0 {
			runtime.Gosched()
		}
		lease.Release()
		waits.Wait()
		return weak.Make(p)
	}()
	assert.True(t, collected(dropped))
}
