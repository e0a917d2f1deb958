package pool_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorded makes a pool of numbers, whose lives are recorded; every one in failing of its Constructs fails (0: none).
func recorded(t *testing.T, h *history, size, failing int) *pool.Pool[int] {
	t.Helper()
	var last atomic.Int64
	var began sync.Map // of each value
	p, err := pool.New(resource.Hooks[int]{
		Construct: func(context.Context) (int, error) {
			stamp := h.now()
			runtime.Gosched()
			value := int(last.Add(1))
			if failing > 0 && value%failing == 0 {
				h.lived(life{began: stamp, ended: h.now()})
				return 0, errHook
			}
			began.Store(value, stamp)
			return value, nil
		},
		Destroy: func(_ context.Context, value int) error {
			dying := h.now()
			runtime.Gosched()
			stamp, _ := began.Load(value)
			h.lived(life{value, stamp.(int64), dying, h.now()})
			return nil
		},
	}, pool.Options{MaxSize: size, AcquireTimeout: -1})
	require.NoError(t, err)
	return p
}

// TestHistoryOfAStorm records 32 callers who acquire, release, discard, evict and are cancelled as they like.
func TestHistoryOfAStorm(t *testing.T) {
	const size, callers = 3, 32
	rounds := 300
	if *long {
		rounds = 50_000
	}
	var h history
	p := recorded(t, &h, size, 1000)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			uses := make([]use, 0, rounds)
			for range rounds {
				ctx, cancel := context.WithCancel(context.Background())
				var cancelled sync.WaitGroup
				if rand.IntN(4) == 0 {
					cancelled.Go(cancel)
				}
				lease, err := p.Acquire(ctx)
				if err == nil {
					u := use{value: lease.Value(), returned: h.now()}
					if rand.IntN(4) == 0 {
						runtime.Gosched()
					}
					u.ending = h.now()
					uses = append(uses, u)
					switch rand.IntN(64) {
					case 0:
						lease.Discard()
					case 1:
						p.Evict()
					}
					lease.Release()
					runtime.Gosched()
					lease.Discard() // too late: another holds the value
				} else if !errors.Is(err, errHook) {
					assert.ErrorIs(t, err, context.Canceled)
				}
				cancelled.Wait()
				cancel()
			}
			h.used(uses...)
		})
	}
	all.Wait()
	require.NoError(t, p.Close(context.Background()))
	require.NoError(t, h.oneHolder())
	require.NoError(t, h.neverMore(size))
	assert.Greater(t, len(h.uses), callers*rounds/2)
	t.Logf("%d leases of %d values", len(h.uses), len(h.lives))
}

// TestHistoryOfAQueue records callers who come one after the other, each when the one before him is in the queue or has been served,
// while those who have a value release it, and some of those who wait are cancelled: so that their order is certain.
func TestHistoryOfAQueue(t *testing.T) {
	callers := 3000
	if *long {
		callers = 300_000
	}
	const deep = 8 // the queue, which is what there is to see
	for _, size := range []int{1, 3} {
		var h history
		p := recorded(t, &h, size, 0)
		require.NoError(t, p.Warm(t.Context(), size)) // nothing is built later on
		h.uses = make([]use, callers)
		var all sync.WaitGroup
		var came atomic.Bool
		crowded := func() bool { return came.Load() || p.Stats().Waiting >= deep }
		for i := range h.uses {
			u := &h.uses[i] // whoever runs has it
			waited := p.Stats().Waited
			var served atomic.Bool
			ctx, cancel := context.WithCancel(context.Background())
			var cancelling int64
			var cancelled sync.WaitGroup
			if rand.IntN(4) == 0 {
				cancelled.Go(func() {
					for !crowded() && !served.Load() {
						runtime.Gosched()
					}
					cancelling = h.now()
					cancel()
				})
			}
			all.Go(func() {
				defer cancel()
				lease, err := p.Acquire(ctx)
				u.returned = h.now()
				served.Store(true)
				if err == nil {
					u.value = lease.Value()
					for !crowded() {
						runtime.Gosched()
					}
					u.ending = h.now()
					lease.Release()
				}
				cancelled.Wait()
				if err != nil {
					assert.ErrorIs(t, err, context.Canceled)
					u.ending = cancelling
				}
			})
			for p.Stats().Waited == waited && !served.Load() {
				runtime.Gosched()
			}
		}
		came.Store(true)
		all.Wait()
		stats := p.Stats()
		require.NoError(t, p.Close(context.Background()))
		require.NoError(t, h.oneHolder())
		require.NoError(t, h.neverMore(size))
		require.NoError(t, h.inOrder())
		assert.Greater(t, stats.Waited, uint64(callers/2))
		assert.NotZero(t, stats.Cancelled)
		t.Logf("size %d: %d came, %d waited, %d were cancelled", size, callers, stats.Waited, stats.Cancelled)
	}
}
