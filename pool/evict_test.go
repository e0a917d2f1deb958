package pool_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEvict_DuringAReset evicts a value that is on its way back: it is neither held nor idle.
func TestEvict_DuringAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *pool.Pool[*fake.Value]
		p, maker := newPool(t, pool.Options{MaxSize: 1}, func(h *resource.Hooks[*fake.Value]) {
			h.Reset = func(context.Context, *fake.Value) error {
				p.Evict()
				return nil
			}
		})
		acquire(t, p).Release()
		synctest.Wait()
		assert.Zero(t, p.Stats().Live())
		assert.EqualValues(t, 1, p.Stats().Destroyed[resource.Evicted])
		assert.Equal(t, 1, maker.Made())
	})
}

// Answers brettwooldridge/HikariCP#1060, brettwooldridge/HikariCP#1342, mperham/connection_pool#20.
func TestEvict_RetiresIdleOnesNowAndHeldOnesOnReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2})
		held := acquire(t, p)
		acquire(t, p).Release()
		p.Evict()
		synctest.Wait()
		assert.EqualValues(t, 1, p.Stats().Destroyed[resource.Evicted])
		assert.Equal(t, 1, p.Stats().Live())
		assert.NotPanics(t, func() { held.Value() })
		held.Release()
		synctest.Wait()
		assert.EqualValues(t, 2, p.Stats().Destroyed[resource.Evicted])
		fresh := acquire(t, p)
		assert.Equal(t, 3, fresh.Value().ID)
		fresh.Release()
		assert.Equal(t, 1, p.Stats().Idle, "what was made since stays")
	})
}

// TestEvict_NeverExceedsMaxSize evicts again and again while destructors are slow and others acquire.
func TestEvict_NeverExceedsMaxSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, maker := scripted(t, pool.Options{MaxSize: 2}, fake.Script{Construct: fake.Slow, Destroy: fake.Slow})
		var callers sync.WaitGroup
		for i := range 8 {
			callers.Go(func() {
				for range 20 {
					lease := acquire(t, p)
					<-time.After(time.Duration(i) * 7 * time.Millisecond)
					lease.Release()
				}
			})
		}
		for range 40 {
			p.Evict()
			<-time.After(350 * time.Millisecond)
			assert.LessOrEqual(t, p.Stats().Live(), 2)
		}
		callers.Wait()
		_, most := maker.Live()
		assert.Equal(t, 2, most)
		assert.Greater(t, p.Stats().Destroyed[resource.Evicted], uint64(10))
	})
}

func TestEvict_ReachesWhatIsBeingBuiltForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2}, func(h *resource.Hooks[*fake.Value]) { slow(h, pool.Construct) })
		warm := make(chan error, 1)
		go func() { warm <- p.Warm(context.Background(), 1) }()
		synctest.Wait()
		p.Evict()
		<-time.After(time.Minute)
		assert.NoError(t, <-warm)
		assert.Equal(t, 1, p.Stats().Idle, "the one that was built after it")
		assert.EqualValues(t, 2, p.Stats().Created)
		assert.EqualValues(t, 1, p.Stats().Destroyed[resource.Evicted])
	})
}

func TestEvict_TwoDoNotFailAnAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1}, func(h *resource.Hooks[*fake.Value]) { slow(h, pool.Construct) })
		for n := range 3 {
			time.AfterFunc(time.Second*time.Duration(n)+time.Second/2, p.Evict)
		}
		acquire(t, p).Release()
	})
}

func TestEvictIf_APanicInTheMiddleEvictsNothing(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			p := counting(t, pool.Options{MaxSize: 3})
			require.NoError(t, p.Warm(t.Context(), 3))
			var caller sync.WaitGroup
			caller.Go(func() {
				defer func() { _ = recover() }()
				calls := 0
				p.EvictIf(func(int, resource.Info) bool {
					if calls++; calls == 3 {
						end()
					}
					return calls == 1
				})
			})
			caller.Wait()
			require.Equal(t, 3, p.Stats().Idle)
			var values []int
			for range 3 {
				lease := acquire(t, p)
				defer lease.Release()
				values = append(values, lease.Value())
			}
			assert.ElementsMatch(t, []int{1, 2, 3}, values, "each once")
			assert.Zero(t, p.Stats().Destroying)
		})
	}
}

// TestEvictIf_TakesNothingForIdleThatWasJustInUse has a pool whose releases read no clock.
func TestEvictIf_TakesNothingForIdleThatWasJustInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{})
		<-time.After(time.Hour)
		acquire(t, p).Release()
		p.EvictIf(func(_ *fake.Value, info resource.Info) bool {
			assert.Zero(t, info.Idle)
			return info.Idle > time.Minute
		})
		assert.Equal(t, 1, p.Stats().Idle)
	})
}
