package pool_test

import (
	"context"
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

// TestHookTable has all five hooks misbehave in every way, in every combination,
// each in a bubble of its own, whose end proves that no goroutine was left.
func TestHookTable(t *testing.T) {
	tried := 0
	for construct := range fake.Ways {
		for check := range fake.Ways {
			for prepare := range fake.Ways {
				for reset := range fake.Ways {
					for destroy := range fake.Ways {
						script := fake.Script{Construct: construct, Check: check, Prepare: prepare, Reset: reset, Destroy: destroy}
						synctest.Test(t, func(t *testing.T) { survives(t, script) })
						if tried++; t.Failed() {
							t.Fatalf("with %+v", script)
						}
					}
				}
			}
		}
	}
	assert.Equal(t, 7776, tried)
}

const tableSize = 2

// survives lets three callers use a pool of two whose hooks follow script, then has the hooks work again.
func survives(t *testing.T, script fake.Script) {
	maker := &fake.Maker{}
	p, err := pool.New(maker.Scripted(), pool.Options{
		MaxSize: tableSize, AcquireTimeout: 20 * time.Second,
		Policy: resource.Policy{
			CheckAfterIdle: -1, ConstructTimeout: time.Second, CheckTimeout: time.Second, ResetTimeout: time.Second, DestroyTimeout: time.Second,
		},
	})
	require.NoError(t, err)
	maker.Follow(script)
	works := script.Construct.IsFine() && script.Check.IsFine() && script.Prepare.IsFine()
	var given atomic.Uint64
	use := func(fails bool) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if fails {
			_ = p.Do(ctx, func(context.Context, *fake.Value) error {
				given.Add(1)
				return fake.ErrFailed
			})
			return
		}
		lease, err := p.Acquire(ctx)
		if err != nil {
			var failure *pool.Error
			assert.ErrorAs(t, err, &failure)
			assert.False(t, works, "%v", err)
			return
		}
		assert.True(t, works)
		given.Add(1)
		lease.Release()
	}
	var callers sync.WaitGroup // Goexit of a hook ends the goroutine, and counts as done
	for i := range tableSize + 1 {
		callers.Go(func() { use(i == 0) })
	}
	callers.Wait()

	maker.Follow(fake.Script{})
	var leases []pool.Lease[*fake.Value]
	for range tableSize {
		lease, err := p.Acquire(t.Context())
		require.NoError(t, err)
		leases = append(leases, lease)
	}
	require.Equal(t, tableSize, p.Stats().Held, "every slot is still there")
	for _, lease := range leases {
		lease.Release()
	}
	synctest.Wait()
	atRest(t, p.Stats())

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.NoError(t, p.Close(ctx))
	maker.Finished(t)
	now, most := maker.Live()
	assert.Zero(t, now)
	assert.LessOrEqual(t, most, tableSize)
	stats := p.Stats()
	atRest(t, stats)
	assert.Zero(t, stats.Live())
	assert.Zero(t, stats.Abandoned)
	assert.EqualValues(t, maker.Made(), stats.Created)
	assert.Equal(t, given.Load()+tableSize, stats.Released)
}

// atRest checks the figures of a pool of which nothing is held or on its way.
func atRest(t *testing.T, s pool.Stats) {
	t.Helper()
	assert.Equal(t, s.Idle, s.Live(), "all that live are idle: %+v", s)
	assert.Zero(t, s.Waiting)
	assert.Equal(t, s.Acquired, s.Released)
	var destroyed uint64
	for _, n := range s.Destroyed {
		destroyed += n
	}
	assert.Equal(t, s.Created, destroyed+s.Detached+uint64(s.Live()), "%+v", s)
	assert.LessOrEqual(t, s.DestroyFailed, destroyed)
}

// TestHooksThatNeverReturnAreAbandoned has Construct and Destroy ignore their ctx.
func TestHooksThatNeverReturnAreAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		var mu sync.Mutex
		constructs, destroys := 0, 0
		first := func(n *int) bool {
			mu.Lock()
			defer mu.Unlock()
			*n++
			return *n == 1
		}
		p, maker := newPool(t, pool.Options{
			MaxSize: 1, Policy: resource.Policy{ConstructTimeout: time.Second, DestroyTimeout: 2 * time.Second},
		}, func(hooks *resource.Hooks[*fake.Value]) {
			construct, destroy := hooks.Construct, hooks.Destroy
			hooks.Construct = func(ctx context.Context) (*fake.Value, error) {
				if first(&constructs) {
					<-stuck
				}
				return construct(ctx)
			}
			hooks.Destroy = func(ctx context.Context, v *fake.Value) error {
				_ = destroy(ctx, v)
				if first(&destroys) {
					<-stuck
				}
				return nil
			}
		})

		began := time.Now()
		_, err := p.Acquire(t.Context())
		assert.ErrorContains(t, err, "construct: context deadline exceeded: it did not return when its ctx ended after 1s, and was abandoned")
		assert.Equal(t, 1100*time.Millisecond, time.Since(began), "timeout and grace")
		stats := p.Stats()
		assert.EqualValues(t, 1, stats.Abandoned)
		assert.EqualValues(t, 1, stats.CreateFailed)
		assert.Zero(t, stats.Live(), "the slot is free")

		lease := acquire(t, p)
		began = time.Now()
		lease.Discard()
		lease = acquire(t, p) // waits for the slot
		assert.Equal(t, 2100*time.Millisecond, time.Since(began), "timeout and grace")
		stats = p.Stats()
		assert.EqualValues(t, 2, stats.Abandoned)
		assert.EqualValues(t, 1, stats.DestroyFailed)
		assert.EqualValues(t, 1, stats.Destroyed[resource.Discarded])
		assert.Equal(t, 1, stats.Live())
		lease.Release()

		assert.Equal(t, 2, maker.Made())
		close(stuck)
		synctest.Wait()
		assert.Equal(t, 3, maker.Made(), "the late one")
		now, _ := maker.Live()
		assert.Equal(t, 1, now, "was destroyed at once")
		assert.Equal(t, 1, p.Stats().Idle)
	})
}
