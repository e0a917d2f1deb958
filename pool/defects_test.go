package pool_test

import (
	"context"
	"errors"
	"sync"
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

// Each of these was a defect once.

// slow makes a hook take a second of the bubble's time.
func slow(hooks *resource.Hooks[*fake.Value], op pool.Op) {
	construct, destroy := hooks.Construct, hooks.Destroy
	switch op {
	case pool.Construct:
		hooks.Construct = func(ctx context.Context) (*fake.Value, error) { <-time.After(time.Second); return construct(ctx) }
	case pool.Destroy:
		hooks.Destroy = func(ctx context.Context, v *fake.Value) error { <-time.After(time.Second); return destroy(ctx, v) }
	}
}

func TestAPanicInATapCostsNothing(t *testing.T) {
	for _, at := range []struct {
		op    pool.Op
		begin bool
	}{
		{pool.Acquire, true}, {pool.Acquire, false}, {pool.Construct, true}, {pool.Construct, false}, {pool.Check, true}, {pool.Check, false},
		{pool.Prepare, true}, {pool.Prepare, false}, {pool.Reset, true}, {pool.Reset, false}, {pool.Release, true}, {pool.Release, false}, {pool.Destroy, true}, {pool.Destroy, false},
	} {
		t.Run(at.op.String(), func(t *testing.T) {
			p, _ := newPool(t, pool.Options{MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1}, Observer: func(pool.Inspector) pool.Tap {
				return pool.Tap{
					Begin: func(ctx context.Context, e pool.Event) context.Context {
						if at.begin && e.Op == at.op {
							panic("tap")
						}
						return ctx
					},
					End: func(_ context.Context, e pool.Event) {
						if !at.begin && e.Op == at.op {
							panic("tap")
						}
					},
				}
			}})
			for range 3 {
				acquire(t, p).Release()
			}
			acquire(t, p).Discard()
			acquire(t, p).Release()
		})
	}
}

func TestWhoWasHandedAnUnfitValueKeepsHisPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks atomic.Int64
		unfit := map[*fake.Value]bool{}
		p, _ := newPool(t, pool.Options{MaxSize: 2, AcquireTimeout: -1, Policy: resource.Policy{CheckAfterIdle: -1}}, func(h *resource.Hooks[*fake.Value]) {
			slow(h, pool.Destroy)
			h.Check = func(_ context.Context, v *fake.Value) error {
				if !unfit[v] {
					return nil
				}
				<-time.After(time.Duration(checks.Add(1)) * time.Millisecond) // the one who came first is back first
				return errHook
			}
		})
		first, second := acquire(t, p), acquire(t, p)
		unfit[first.Value()], unfit[second.Value()] = true, true
		p.Suspend()
		first.Release()
		second.Release()
		var mu sync.Mutex
		var order []int
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				lease := acquire(t, p)
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				<-time.After(10 * time.Second)
				lease.Release()
			})
			synctest.Wait()
			<-time.After(time.Millisecond)
		}
		p.Resume()
		all.Wait()
		assert.Equal(t, 2, order[2], "of %v the last one came last", order)
		assert.EqualValues(t, 2, p.Stats().Unfit)
	})
}

func TestOneAcquireWaitsOnceWhateverItIsHanded(t *testing.T) {
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

func TestAnotherPoolsErrorInCheckMeansTheNextValue(t *testing.T) {
	other, _ := newPool(t, pool.Options{Name: "other"})
	require.NoError(t, other.Close(t.Context()))
	failed := false
	p, _ := newPool(t, pool.Options{MaxSize: 2, Policy: resource.Policy{CheckAfterIdle: -1}}, func(h *resource.Hooks[*fake.Value]) {
		h.Check = func(ctx context.Context, _ *fake.Value) (err error) {
			if !failed {
				failed = true
				_, err = other.Acquire(ctx)
			}
			return err
		}
	})
	acquire(t, p).Release()
	assert.True(t, failed)
}

func TestEvictReachesWhatIsBeingBuiltForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2}, func(h *resource.Hooks[*fake.Value]) { slow(h, pool.Construct) })
		go func() { _ = p.Warm(context.Background(), 1) }()
		synctest.Wait()
		p.Evict()
		<-time.After(time.Minute)
		assert.Zero(t, p.Stats().Idle)
		assert.EqualValues(t, 1, p.Stats().Destroyed[resource.Evicted])
	})
}

func TestMinIdleStartsWithTryAcquire(t *testing.T) {
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

func TestWarmSaysWhenItFallsShort(t *testing.T) {
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

func TestAMarkEndsWithItsHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept context.Context
		p, _ := newPool(t, pool.Options{MaxSize: 1}, func(h *resource.Hooks[*fake.Value]) {
			construct := h.Construct
			h.Construct = func(ctx context.Context) (*fake.Value, error) {
				kept = context.WithoutCancel(ctx)
				return construct(ctx)
			}
		})
		lease := acquire(t, p)
		time.AfterFunc(time.Second, lease.Release)
		second, err := p.Acquire(kept)
		require.NoError(t, err)
		second.Release()
	})
}

func TestAnInnerDoDoesNotHideTheOuterOne(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 2})
	require.NoError(t, p.Do(t.Context(), func(ctx context.Context, _ *fake.Value) error {
		var escaped context.Context
		require.NoError(t, p.Do(ctx, func(ctx context.Context, _ *fake.Value) error {
			escaped = ctx
			return nil
		}))
		require.NoError(t, p.Resize(1))
		_, err := p.Acquire(escaped)
		assert.ErrorIs(t, err, pool.ErrNested)
		return nil
	}))
}

func TestAnotherPoolsAbandonedHookIsNotOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, _ := newPool(t, pool.Options{MaxSize: 1, AcquireTimeout: -1, Policy: resource.Policy{ConstructTimeout: time.Millisecond}},
			func(h *resource.Hooks[*fake.Value]) { slow(h, pool.Construct) })
		outer, _ := newPool(t, pool.Options{MaxSize: 1, AcquireTimeout: -1}, func(h *resource.Hooks[*fake.Value]) {
			h.Construct = func(ctx context.Context) (*fake.Value, error) {
				_, err := inner.Acquire(ctx)
				return nil, err
			}
		})
		_, err := outer.Acquire(t.Context())
		require.Error(t, err)
		assert.Zero(t, outer.Stats().Abandoned)
		assert.EqualValues(t, 1, inner.Stats().Abandoned)
		<-time.After(time.Minute)
	})
}

func TestTheFailedEndOfALateValueIsCounted(t *testing.T) {
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

func TestWhatCloseDestroysIsClosedAndNotEvicted(t *testing.T) {
	for range 1000 {
		p, _ := newPool(t, pool.Options{MaxSize: 1})
		lease := acquire(t, p)
		go lease.Release()
		require.NoError(t, p.Close(context.Background()))
		assert.EqualValues(t, 1, p.Stats().Destroyed[resource.Closed])
	}
}

func TestALeaseIsNeverHeldForLessThanNothing(t *testing.T) {
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

func TestLeakAfterAllocatesNothing(t *testing.T) {
	p, err := pool.New(variants()[0].hooks, pool.Options{LeakAfter: time.Hour})
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close(context.Background())) }()
	require.NoError(t, p.Warm(t.Context(), 1))
	assert.Zero(t, testing.AllocsPerRun(1000, func() { acquire(t, p).Release() }))
}

func TestTwoEvictsDoNotFailAnAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1}, func(h *resource.Hooks[*fake.Value]) { slow(h, pool.Construct) })
		for n := range 3 {
			time.AfterFunc(time.Second*time.Duration(n)+time.Second/2, p.Evict)
		}
		acquire(t, p).Release()
	})
}
