package pool_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
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

// The tests here are named after the sharp edges of puddle that a user of this package must not feel.

// scripted is newPool with hooks that follow a script.
func scripted(t *testing.T, options pool.Options, script fake.Script) (*pool.Pool[*fake.Value], *fake.Maker) {
	t.Helper()
	maker := &fake.Maker{}
	maker.Follow(script)
	p, err := pool.New(maker.Scripted(), options)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, p.Close(context.Background()))
		maker.Finished(t)
	})
	return p, maker
}

func TestEdgeAPanicOrGoexitInConstructIsAnError(t *testing.T) {
	for way, text := range map[fake.Way]string{fake.Panics: "construct panicked: boom", fake.Exits: "construct called runtime.Goexit"} {
		t.Run(way.String(), func(t *testing.T) {
			p, maker := scripted(t, pool.Options{MaxSize: 1}, fake.Script{Construct: way})
			_, err := p.Acquire(t.Context())
			var thrown *pool.PanicError
			require.ErrorAs(t, err, &thrown)
			assert.Equal(t, pool.Construct, thrown.Op)
			assert.EqualError(t, err, `headpond/pool "pool": construct: `+text)
			assert.Contains(t, string(thrown.Stack), "fake.Way.run")
			maker.Follow(fake.Script{})
			acquire(t, p).Release()
		})
	}
}

func TestEdgeAPanicOrGoexitInDestroyIsCounted(t *testing.T) {
	for _, way := range []fake.Way{fake.Panics, fake.Exits} {
		t.Run(way.String(), func(t *testing.T) {
			p, _ := scripted(t, pool.Options{MaxSize: 1}, fake.Script{Destroy: way})
			acquire(t, p).Discard()
			acquire(t, p).Release() // the slot is free
			assert.EqualValues(t, 1, p.Stats().DestroyFailed)
			require.NoError(t, p.Close(t.Context()), "which hangs nowhere")
		})
	}
}

func TestEdgeHangingConstructsWedgeNeitherAcquireNorClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, maker := scripted(t, pool.Options{MaxSize: 2}, fake.Script{Construct: fake.Hangs})
		began := time.Now()
		for range 2 {
			_, err := p.Acquire(t.Context())
			assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
		}
		assert.Equal(t, 2, p.Stats().Constructing)
		assert.Equal(t, 10*time.Second, time.Since(began))
		maker.Follow(fake.Script{})
		_, err := p.Acquire(t.Context())
		require.ErrorIs(t, err, pool.ErrAcquireTimeout, "both slots are taken")
		<-time.After(21 * time.Second) // both have reached ConstructTimeout, and the rest after it is over
		acquire(t, p).Release()

		maker.Follow(fake.Script{Construct: fake.Hangs})
		held := acquire(t, p)
		go func() {
			_, err := p.Acquire(t.Context())
			assert.ErrorIs(t, err, pool.ErrClosed)
		}()
		synctest.Wait()
		assert.Equal(t, 1, p.Stats().Constructing, "%+v", p.Stats())
		held.Release()
		began = time.Now()
		require.NoError(t, p.Close(t.Context()))
		assert.Zero(t, time.Since(began), "Close ends the ctx of Construct")
	})
}

func TestEdgeCloseGivesUpOnAConstructThatIgnoresItsCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		p, _ := newPool(t, pool.Options{MaxSize: 1, Policy: resource.Policy{ConstructTimeout: -1}}, func(hooks *resource.Hooks[*fake.Value]) {
			construct := hooks.Construct
			hooks.Construct = func(ctx context.Context) (*fake.Value, error) {
				<-stuck
				return construct(ctx)
			}
		})
		_, err := p.Acquire(t.Context())
		require.ErrorIs(t, err, pool.ErrAcquireTimeout)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.EqualError(t, p.Close(ctx), `headpond/pool "pool": close: context deadline exceeded, with no lease out, 0 values in a hook, 1 being built and 0 being destroyed; destroyed when they come back`)
		close(stuck)
	})
}

// TestEdgeCloseWakesAllThatWait has one wait in the queue and one for what is being built.
func TestEdgeCloseWakesAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := scripted(t, pool.Options{MaxSize: 1}, fake.Script{Construct: fake.Hangs})
		var callers sync.WaitGroup
		began := time.Now()
		for range 2 {
			callers.Go(func() {
				_, err := p.Acquire(t.Context())
				assert.ErrorIs(t, err, pool.ErrClosed)
				assert.NotErrorIs(t, err, context.Canceled)
				assert.EqualError(t, err, `headpond/pool "pool": acquire: the pool is closed`)
			})
		}
		synctest.Wait()
		assert.Equal(t, 1, p.Stats().Constructing)
		assert.Equal(t, 1, p.Stats().Waiting)
		require.NoError(t, p.Close(t.Context()))
		callers.Wait()
		assert.Zero(t, time.Since(began))
	})
}

func TestEdgeAStaleLeaseTouchesNobody(t *testing.T) {
	ends := map[string]func(pool.Lease[*fake.Value]){
		"Release": pool.Lease[*fake.Value].Release,
		"Discard": pool.Lease[*fake.Value].Discard,
		"Detach":  func(l pool.Lease[*fake.Value]) { _ = l.Detach() },
	}
	for first, end := range ends {
		for second, again := range ends {
			t.Run(first+" then "+second, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, maker := newPool(t, pool.Options{MaxSize: 1})
					lease := acquire(t, p)
					value := lease.Value()
					end(lease)
					if first == "Detach" {
						maker.Destroy(value)
					}
					next := acquire(t, p)
					if second == "Detach" {
						assert.Panics(t, func() { again(lease) })
					} else {
						again(lease)
					}
					synctest.Wait()
					assert.NotPanics(t, func() { next.Value() })
					assert.Equal(t, 1, p.Stats().Held)
					assert.EqualValues(t, 1, p.Stats().Released)
					next.Release()
					acquire(t, p).Release() // nothing blocks
				})
			})
		}
	}
}

func TestEdgeOnlyOneOfManyEndsALease(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 1})
	for range 200 {
		lease := acquire(t, p)
		var enders sync.WaitGroup
		for i := range 4 {
			enders.Go(func() {
				if i%2 == 0 {
					lease.Release()
				} else {
					lease.Discard()
				}
			})
		}
		enders.Wait()
	}
	stats := p.Stats()
	assert.EqualValues(t, 200, stats.Acquired)
	assert.EqualValues(t, 200, stats.Released)
}

// TestEdgeEvictNeverExceedsMaxSize evicts again and again while destructors are slow and others acquire.
func TestEdgeEvictNeverExceedsMaxSize(t *testing.T) {
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

func TestEdgeTryAcquireNeverConstructs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var misses []error
		p, maker := newPool(t, pool.Options{MaxSize: 1, Observer: func(pool.Inspector) pool.Tap {
			return pool.Tap{End: func(_ context.Context, event pool.Event) {
				if event.Op == pool.Acquire && event.Err != nil {
					misses = append(misses, event.Err)
				}
			}}
		}})
		_, err := p.TryAcquire(t.Context())
		require.ErrorIs(t, err, pool.ErrUnavailable)
		assert.EqualError(t, err, `headpond/pool "pool": acquire: no resource is idle`)
		synctest.Wait()
		assert.Zero(t, maker.Made())
		assert.Equal(t, []error{err}, misses, "a miss is observed")

		acquire(t, p).Release()
		lease, err := p.TryAcquire(t.Context())
		require.NoError(t, err)
		_, err = p.TryAcquire(t.Context())
		require.ErrorIs(t, err, pool.ErrUnavailable)
		lease.Release()
		require.NoError(t, p.Close(t.Context()))
		_, err = p.TryAcquire(t.Context())
		assert.ErrorIs(t, err, pool.ErrClosed)
	})
}

func TestEdgeTryAcquireRetiresWhatIsNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, maker := scripted(t, pool.Options{MaxSize: 2, Policy: resource.Policy{CheckAfterIdle: -1}}, fake.Script{})
		hold(t, p, 2)
		maker.Follow(fake.Script{Check: fake.Fails})
		_, err := p.TryAcquire(t.Context())
		require.ErrorIs(t, err, pool.ErrUnavailable)
		synctest.Wait()
		assert.EqualValues(t, 2, p.Stats().Destroyed[resource.CheckFailed])
		assert.Equal(t, 2, maker.Made())
	})
}

// TestEdgeMaintenanceRetiresOneAtATime looks while it does: there is always at most one less to take.
func TestEdgeMaintenanceRetiresOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := scripted(t, pool.Options{
			MaxSize: 5, MaintainEvery: time.Minute, Policy: resource.Policy{MaxIdleTime: time.Minute},
		}, fake.Script{Destroy: fake.Slow})
		hold(t, p, 5)
		<-time.After(time.Minute + fake.SlowTime/2)
		for left := 4; left >= 0; left-- {
			stats := p.Stats()
			assert.Equal(t, left, stats.Idle)
			assert.Equal(t, 1, stats.Destroying)
			<-time.After(fake.SlowTime)
		}
		assert.Zero(t, p.Stats().Live())
	})
}

// TestEdgeIdleIsLIFOAndMaintenanceSeesTheOthers uses one value all the time.
func TestEdgeIdleIsLIFOAndMaintenanceSeesTheOthers(t *testing.T) {
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

func TestEdgeAValueHoldsItsSlotUntilItsDestructorReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, maker := scripted(t, pool.Options{MaxSize: 1}, fake.Script{Destroy: fake.Slow})
		began := time.Now()
		acquire(t, p).Discard()
		assert.Zero(t, time.Since(began), "Discard does not wait")
		assert.Equal(t, 1, p.Stats().Destroying)
		acquire(t, p).Release()
		assert.Equal(t, fake.SlowTime, time.Since(began))
		_, most := maker.Live()
		assert.Equal(t, 1, most, "a pool of one is a lock")
	})
}

func TestEdgeTheCauseOfACancelIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := scripted(t, pool.Options{MaxSize: 1}, fake.Script{Construct: fake.Slow})
		cause := errors.New("the user left")
		for _, where := range []string{"building", "queue"} {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Millisecond, func() { cancel(cause) })
			_, err := p.Acquire(ctx)
			assert.ErrorIs(t, err, context.Canceled, where)
			assert.ErrorIs(t, err, cause, where)
			assert.ErrorContains(t, err, "acquire: no resource within 1ms: context canceled: the user left (0 of 1 held")
		}
		assert.EqualValues(t, 2, p.Stats().Cancelled)
		assert.EqualValues(t, 1, p.Stats().Waited)
		assert.Equal(t, time.Millisecond, p.Stats().WaitTime, "the failed ones included")
	})
}

func TestEdgeAnIdlePoolOwnsNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	p, _ := newPool(t, pool.Options{MaxSize: 4, Policy: resource.Policy{MaxLifetime: time.Hour, MaxIdleTime: time.Hour}})
	hold(t, p, 4)
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, // Eventually's own
		20*time.Second, time.Millisecond)
}

// TestEdgeAnIdlePoolOwnsNoTimer drops a pool that was used, and never closed: whatever would
// wake it up later would keep it alive.
func TestEdgeAnIdlePoolOwnsNoTimer(t *testing.T) {
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
