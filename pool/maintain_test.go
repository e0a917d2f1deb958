package pool_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
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

func TestMaintenance_ReplacesBeforeItDestroys(t *testing.T) {
	for name, c := range map[string]struct{ size, least int }{"with free slots": {40, 20}, "with none": {20, 19}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { <-time.After(2 * time.Second); return 1, nil }},
					pool.Options{MaxSize: c.size, MinIdle: 20, Policy: resource.Policy{MaxLifetime: time.Minute}})
				require.NoError(t, err)
				require.NoError(t, p.Warm(t.Context(), 20))
				require.NoError(t, p.Do(t.Context(), func(context.Context, int) error { return nil }))
				for range 600 {
					<-time.After(time.Second)
					assert.GreaterOrEqual(t, p.Stats().Idle, c.least)
				}
				assert.Greater(t, p.Stats().Destroyed[resource.MaxLifetime], uint64(60))
				require.NoError(t, p.Close(t.Context()))
			})
		})
	}
}

func TestMaintenance_IdleTimeEndsOnlyWhatMinIdleDoesNotKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := counting(t, pool.Options{MaxSize: 10, MinIdle: 3, Policy: resource.Policy{MaxIdleTime: time.Minute}})
		require.NoError(t, p.Warm(t.Context(), 10))
		require.NoError(t, p.Do(t.Context(), func(context.Context, int) error { return nil }))
		<-time.After(time.Hour)
		synctest.Wait() // for the look of that moment
		stats := p.Stats()
		assert.Equal(t, 3, stats.Idle)
		assert.EqualValues(t, 10, stats.Created, "no churn")
		lease := acquire(t, p)
		assert.Equal(t, time.Hour, lease.Info().Age, "what MinIdle keeps is handed out")
		lease.Release()
	})
}

func TestMaintenance_LimitsAreNoticedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := counting(t, pool.Options{Policy: resource.Policy{MaxIdleTime: time.Second}}) // MaintainEvery is 30s
		require.NoError(t, p.Warm(t.Context(), 1))
		<-time.After(3 * time.Second)
		assert.Zero(t, p.Stats().Live())
	})
}

func TestMaintenance_ASlowDestroyDelaysNoLeakReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reported atomic.Int64
		p, err := pool.New(resource.Hooks[int]{
			Construct: func(context.Context) (int, error) { return 1, nil },
			Destroy:   func(context.Context, int) error { <-time.After(10 * time.Minute); return nil },
		}, pool.Options{MaxSize: 3, LeakAfter: 20 * time.Second, Policy: resource.Policy{MaxIdleTime: 10 * time.Second, DestroyTimeout: time.Hour},
			Observer: func(pool.Inspector) pool.Tap { return pool.Tap{Leak: func(pool.Leak) { reported.Add(1) }} }})
		require.NoError(t, err)
		require.NoError(t, p.Warm(t.Context(), 2))
		lease, err := p.Acquire(t.Context())
		require.NoError(t, err)
		<-time.After(time.Minute)
		assert.EqualValues(t, 1, reported.Load())
		lease.Release()
		require.NoError(t, p.Close(t.Context()))
	})
}

func TestCheckEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var checked []int
		var dead atomic.Int64
		n := 0
		p, err := pool.New(resource.Hooks[int]{
			Construct: func(context.Context) (int, error) { n++; return n, nil },
			Check: func(_ context.Context, value int) error {
				mu.Lock()
				checked = append(checked, value)
				mu.Unlock()
				if int64(value) == dead.Load() {
					return errors.New("dead")
				}
				return nil
			},
		}, pool.Options{MaxSize: 3, Policy: resource.Policy{CheckEvery: 10 * time.Second, CheckAfterIdle: time.Minute}})
		require.NoError(t, err)
		var all []pool.Lease[int]
		for range 3 {
			lease, err := p.Acquire(t.Context())
			require.NoError(t, err)
			all = append(all, lease)
		}
		for _, lease := range all {
			lease.Release() // 1 is the longest idle, 3 the next one taken
		}
		<-time.After(15 * time.Second)
		assert.Equal(t, []int{1, 2, 3}, checked, "the longest idle first, each once")
		lease, err := p.Acquire(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 3, lease.Value(), "the order is as it was")
		assert.Equal(t, 1, lease.Info().Uses, "a Check is no use")
		assert.Len(t, checked, 3, "CheckAfterIdle counts from the Check")
		lease.Release()
		dead.Store(2)
		<-time.After(15 * time.Second)
		synctest.Wait()
		assert.EqualValues(t, 1, p.Stats().Destroyed[resource.CheckFailed])
		assert.Equal(t, 2, p.Stats().Idle)
		require.NoError(t, p.Close(t.Context()))
	})
}

// TestCheckEvery_ASlowCheckDelaysTheNextOneNoLonger has maintenance look while a check is under way.
func TestCheckEvery_ASlowCheckDelaysTheNextOneNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks atomic.Int64
		p, _ := newPool(t, pool.Options{
			MaxSize: 2, MaintainEvery: 30 * time.Second, Policy: resource.Policy{CheckEvery: time.Hour, CheckAfterIdle: 2 * time.Hour, CheckTimeout: time.Minute},
		}, func(h *resource.Hooks[*fake.Value]) {
			h.Check = func(context.Context, *fake.Value) error {
				if checks.Add(1) == 1 {
					<-time.After(40 * time.Second)
				}
				return nil
			}
		})
		require.NoError(t, p.Warm(t.Context(), 2))
		<-time.After(time.Hour + 45*time.Second)
		assert.EqualValues(t, 2, checks.Load(), "the second one begins when the first one is over")
	})
}

// TestCheckEvery_ChecksAllThatAreDueOneAfterTheOther has checks that are over before maintenance has seen them begin.
func TestCheckEvery_ChecksAllThatAreDueOneAfterTheOther(t *testing.T) {
	const values = 1000
	synctest.Test(t, func(t *testing.T) {
		var checks atomic.Int64
		p, _ := newPool(t, pool.Options{
			MaxSize: values, MaintainEvery: 30 * time.Second, Policy: resource.Policy{CheckEvery: time.Hour, CheckAfterIdle: 2 * time.Hour},
		}, func(h *resource.Hooks[*fake.Value]) {
			h.Check = func(context.Context, *fake.Value) error {
				checks.Add(1)
				return nil
			}
		})
		require.NoError(t, p.Warm(t.Context(), values))
		<-time.After(time.Hour + 10*time.Second) // and 20 seconds before the next time that somebody looks
		synctest.Wait()
		assert.EqualValues(t, values, checks.Load())
	})
}

func TestEvictIf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := counting(t, pool.Options{MaxSize: 5})
		require.NoError(t, p.Warm(t.Context(), 4))
		held, err := p.Acquire(t.Context())
		require.NoError(t, err)
		<-time.After(time.Minute)
		seen := 0
		p.EvictIf(func(value int, info resource.Info) bool {
			seen++
			assert.Equal(t, time.Minute, info.Idle)
			return value%2 == 0
		})
		synctest.Wait()
		assert.Equal(t, 3, seen, "not the one that is held")
		stats := p.Stats()
		assert.Equal(t, stats.Destroyed[resource.Evicted], uint64(4-stats.Idle-1))
		assert.NotZero(t, stats.Destroyed[resource.Evicted])
		assert.Panics(t, func() { p.EvictIf(func(int, resource.Info) bool { panic("on purpose") }) })
		assert.Equal(t, stats.Idle, p.Stats().Idle, "nothing is lost")
		held.Release()
	})
}

func TestFailingAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		var told []pool.Event
		p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) {
			if up.Load() {
				return 1, nil
			}
			return 0, errors.New("refused")
		}}, pool.Options{FailingAfter: 10 * time.Second, MinBackoff: time.Second, MaxBackoff: 4 * time.Second, Observer: func(pool.Inspector) pool.Tap {
			return pool.Tap{End: func(_ context.Context, event pool.Event) {
				if event.Op == pool.Failing {
					told = append(told, event)
				}
			}}
		}})
		require.NoError(t, err)
		for range 2 {
			told = nil
			up.Store(false)
			for range 60 {
				_, err := p.Acquire(t.Context())
				require.Error(t, err)
				<-time.After(time.Second)
			}
			require.Len(t, told, 1, "once")
			assert.GreaterOrEqual(t, told[0].Took, 10*time.Second)
			assert.EqualError(t, told[0].Err, "refused")
			up.Store(true)
			<-time.After(5 * time.Second)
			require.NoError(t, p.Do(t.Context(), func(context.Context, int) error { return nil }))
			p.Evict()
			synctest.Wait()
		}
		require.NoError(t, p.Close(t.Context()))
	})
}

func TestBackoffOptions(t *testing.T) {
	for want, options := range map[string]pool.Options{
		"Options.MinBackoff is -1s": {MinBackoff: -time.Second}, "Options.MaxBackoff is 1s": {MinBackoff: time.Minute, MaxBackoff: time.Second}, "Options.FailingAfter is -1ns": {FailingAfter: -1},
		"Options.Policy.CheckEvery is -1ns": {Policy: resource.Policy{CheckEvery: -1}},
	} {
		_, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }}, options)
		require.ErrorContains(t, err, want)
	}
}

func TestTap_GoexitLosesNothing(t *testing.T) {
	nop := func(context.Context, int) error { return nil }
	for _, op := range []pool.Op{pool.Acquire, pool.Release, pool.Construct, pool.Destroy, pool.Reset, pool.Check, pool.Prepare} {
		for _, end := range []bool{false, true} {
			t.Run(fmt.Sprint(op, end), func(t *testing.T) {
				var armed atomic.Bool
				var others atomic.Int64
				hit := func(at bool, event pool.Event) {
					if at == end && event.Op == op && armed.CompareAndSwap(true, false) {
						runtime.Goexit()
					}
				}
				first := func(pool.Inspector) pool.Tap {
					return pool.Tap{Begin: func(ctx context.Context, event pool.Event) context.Context { hit(false, event); return ctx }, End: func(_ context.Context, event pool.Event) { hit(true, event) }}
				}
				second := func(pool.Inspector) pool.Tap {
					return pool.Tap{Begin: func(ctx context.Context, _ pool.Event) context.Context { others.Add(1); return ctx }, End: func(context.Context, pool.Event) { others.Add(-1) }}
				}
				p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }, Reset: nop, Check: nop, Prepare: nop, Destroy: nop},
					pool.Options{MaxSize: 1, AcquireTimeout: time.Minute, Observer: pool.Observers(first, second), Policy: resource.Policy{CheckAfterIdle: -1, MaxUses: 2}})
				require.NoError(t, err)
				armed.Store(true)
				for range 6 {
					done := make(chan struct{})
					go func() {
						defer close(done)
						lease, err := p.Acquire(context.Background())
						if assert.NoError(t, err) {
							lease.Release()
						}
					}()
					<-done
				}
				require.NoError(t, p.Close(context.Background()))
				assert.Zero(t, p.Stats().Live())
				assert.False(t, armed.Load(), "it was hit")
				_ = others.Load()
			})
		}
	}
}

func TestTap_LeakMayAskHolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *pool.Pool[int]
		var held []pool.Holder
		p = counting(t, pool.Options{LeakAfter: time.Second, Observer: func(inspector pool.Inspector) pool.Tap {
			return pool.Tap{Leak: func(pool.Leak) { held = inspector.Holders() }}
		}})
		lease, err := p.Acquire(t.Context())
		require.NoError(t, err)
		<-time.After(10 * time.Second)
		assert.Len(t, held, 1)
		lease.Release()
	})
}

func TestTap_APanicInLeakIsSwallowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reported atomic.Int64
		p := counting(t, pool.Options{LeakAfter: time.Second, Observer: func(pool.Inspector) pool.Tap {
			return pool.Tap{Leak: func(pool.Leak) { reported.Add(1); panic("on purpose") }}
		}})
		for range 2 {
			lease, err := p.Acquire(t.Context())
			require.NoError(t, err)
			<-time.After(10 * time.Second)
			lease.Release()
		}
		assert.EqualValues(t, 4, reported.Load(), "each is reported, and its return")
	})
}

func TestMaintenance_AnIdlePoolOwnsNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	p, _ := newPool(t, pool.Options{MaxSize: 4, Policy: resource.Policy{MaxLifetime: time.Hour, MaxIdleTime: time.Hour}})
	hold(t, p, 4)
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, // Eventually's own
		20*time.Second, time.Millisecond)
}

// TestMaintenance_AnIdlePoolOwnsNoTimer drops a pool that was used, and never closed: whatever would
// wake it up later would keep it alive.
func TestMaintenance_AnIdlePoolOwnsNoTimer(t *testing.T) {
	dropped := func() weak.Pointer[pool.Pool[*fake.Value]] {
		maker := &fake.Maker{}
		p, err := pool.New(maker.Hooks(), pool.Options{MaxSize: 2, AcquireTimeout: time.Hour, MaintainEvery: time.Hour, Policy: resource.Policy{
			MaxUses: 3, CheckAfterIdle: -1, ConstructTimeout: time.Hour, DestroyTimeout: time.Hour,
		}})
		require.NoError(t, err)
		hold(t, p, 2)
		lease := acquire(t, p)
		other := acquire(t, p)
		waits := make(chan struct{})
		go func() { // needs a timer, for a while
			defer close(waits)
			acquire(t, p).Release()
		}()
		for p.Stats().Waiting == 0 {
			runtime.Gosched()
		}
		lease.Release()
		<-waits
		other.Discard()
		for p.Stats().Destroying > 0 {
			runtime.Gosched()
		}
		return weak.Make(p)
	}()
	assert.True(t, collected(dropped))
}

// TestMaintenance_SeesWhatLIFOLeavesIdle uses one value all the time.
func TestMaintenance_SeesWhatLIFOLeavesIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, maker := newPool(t, pool.Options{MaxSize: 3, MaintainEvery: time.Second, Policy: resource.Policy{MaxIdleTime: 10 * time.Second}})
		hold(t, p, 3)
		var used []int
		for range 20 {
			lease := acquire(t, p)
			used = append(used, lease.Value().ID)
			lease.Release()
			<-time.After(time.Second)
		}
		assert.Len(t, slices.Compact(used), 1, "the last one released is the next one taken")
		assert.Equal(t, 1, p.Stats().Live(), "the others were idle for too long")
		assert.EqualValues(t, 2, p.Stats().Destroyed[resource.MaxIdleTime])
		assert.Equal(t, 3, maker.Made())
	})
}

// TestMaintenance_RetiresNoMoreThanThereAreFreeSlots looks while it does: one at first, and never more than there are free slots.
func TestMaintenance_RetiresNoMoreThanThereAreFreeSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := scripted(t, pool.Options{
			MaxSize: 5, MaintainEvery: time.Minute, Policy: resource.Policy{MaxIdleTime: time.Minute},
		}, fake.Script{Destroy: fake.Slow})
		hold(t, p, 5)
		<-time.After(time.Minute + fake.SlowTime/2)
		assert.Equal(t, 1, p.Stats().Destroying)
		for stats := p.Stats(); stats.Live() > 0; stats = p.Stats() {
			assert.LessOrEqual(t, stats.Destroying, max(1, stats.MaxSize-stats.Live()))
			<-time.After(fake.SlowTime)
		}
		assert.Zero(t, p.Stats().Live())
	})
}

func TestMinIdle_StartsWithTryAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2, MinIdle: 1})
		_, err := p.TryAcquire(t.Context())
		require.ErrorIs(t, err, pool.ErrUnavailable)
		synctest.Wait()
		lease, err := p.TryAcquire(t.Context())
		require.NoError(t, err)
		lease.Release()
	})
}

// TestMinIdle_IsRefilledWhileTheEvictedAreDestroyed has a Destroy that takes its time, and slots that are free.
func TestMinIdle_IsRefilledWhileTheEvictedAreDestroyed(t *testing.T) {
	for name, evict := range map[string]func(*pool.Pool[*fake.Value]){
		"Evict":   func(p *pool.Pool[*fake.Value]) { p.Evict() },
		"EvictIf": func(p *pool.Pool[*fake.Value]) { p.EvictIf(func(*fake.Value, resource.Info) bool { return true }) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, _ := newPool(t, pool.Options{MaxSize: 5, MinIdle: 2}, func(h *resource.Hooks[*fake.Value]) { slow(h, pool.Destroy) })
				acquire(t, p).Release()
				synctest.Wait()
				require.Equal(t, 3, p.Stats().Idle)
				evict(p)
				synctest.Wait()
				assert.Equal(t, 2, p.Stats().Idle)
				assert.Equal(t, 3, p.Stats().Destroying)
			})
		})
	}
}

// TestMinIdle_IsRefilledByEvent looks at the very instant after each event: no time passes.
// Answers jackc/pgx#969, djc/bb8#224.
func TestMinIdle_IsRefilledByEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, maker := newPool(t, pool.Options{MaxSize: 4, MinIdle: 2, Policy: resource.Policy{MaxUses: 2}})
		began := time.Now()
		idle := func(want int, after string) {
			t.Helper()
			synctest.Wait()
			assert.Equal(t, want, p.Stats().Idle, after)
		}
		first := acquire(t, p)
		idle(2, "the first use")
		second := acquire(t, p)
		idle(2, "another")
		third := acquire(t, p)
		idle(1, "as far as MaxSize allows")
		first.Discard()
		idle(2, "a discard")
		detached := second.Detach()
		idle(2, "a detach: the pool has room for another, but needs none")
		maker.Destroy(detached)
		third.Release()
		idle(3, "a release")
		p.Evict()
		idle(2, "an evict")
		fourth, fifth := acquire(t, p), acquire(t, p)
		idle(2, "two were taken")
		fourth.Release()
		fifth.Release()
		idle(4, "and came back")
		hold(t, p, 2)
		idle(2, "their uses ended")
		assert.Zero(t, time.Since(began))
	})
}
