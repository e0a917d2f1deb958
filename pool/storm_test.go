package pool_test

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var long = flag.Bool("long", false, "run the long versions of tests")

// TestStorm_OfCancelsLosesNoSlot cancels acquires at random moments, from 64 goroutines,
// while values are evicted, discarded and detached, the size changes, and constructs fail.
// Answers ClickHouse/clickhouse-go#1759, djc/bb8#59, launchbadge/sqlx#3513.
func TestStorm_OfCancelsLosesNoSlot(t *testing.T) {
	acquires := 100_000
	if *long {
		acquires = 1_000_000
	}
	const size, goroutines = 4, 64
	var constructs atomic.Int64
	p, maker := newPool(t, pool.Options{MaxSize: size, AcquireTimeout: -1, Policy: resource.Policy{MaxUses: 100}},
		func(h *resource.Hooks[*fake.Value]) {
			construct := h.Construct
			h.Construct = func(ctx context.Context) (*fake.Value, error) {
				runtime.Gosched()
				if constructs.Add(1)%500 == 0 {
					return nil, errHook
				}
				return construct(ctx)
			}
		})
	var left, given, owned atomic.Int64
	left.Store(int64(acquires))
	held := make(map[*fake.Value]bool)
	var mu sync.Mutex // protects held
	var work sync.WaitGroup
	for range goroutines {
		work.Go(func() {
			for left.Add(-1) >= 0 {
				ctx, cancel := context.WithCancel(context.Background())
				var cancelled sync.WaitGroup
				switch rand.IntN(3) {
				case 0:
					cancelled.Go(cancel)
				case 1:
					cancelled.Go(func() {
						runtime.Gosched()
						cancel()
					})
				}
				lease, err := p.Acquire(ctx)
				if err == nil {
					given.Add(1)
					value := lease.Value()
					mu.Lock()
					if held[value] {
						t.Error("one value has two holders")
					}
					held[value] = true
					mu.Unlock()
					if rand.IntN(8) == 0 {
						runtime.Gosched()
					}
					mu.Lock()
					delete(held, value)
					mu.Unlock()
					switch n := rand.IntN(1000); {
					case n < 10:
						lease.Discard()
					case n == 10:
						maker.Destroy(lease.Detach())
						owned.Add(1)
					case n == 11:
						p.Evict()
					case n == 12:
						_ = p.Resize(1 + rand.IntN(size))
					}
					lease.Release()
				}
				cancelled.Wait()
				cancel()
			}
		})
	}
	work.Wait()
	require.NoError(t, p.Resize(size))
	stats := p.Stats()
	assert.Zero(t, stats.Held)
	assert.Zero(t, stats.Waiting)
	assert.EqualValues(t, given.Load(), stats.Acquired)
	assert.EqualValues(t, given.Load(), stats.Released)
	assert.EqualValues(t, owned.Load(), stats.Detached)
	_, most := maker.Live()
	assert.LessOrEqual(t, most, size+int(owned.Load()), "live values at any instant")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range size { // every slot is still there
		lease, err := p.Acquire(ctx)
		for errors.Is(err, errHook) {
			lease, err = p.Acquire(ctx)
		}
		require.NoError(t, err)
		defer lease.Release()
	}
}
