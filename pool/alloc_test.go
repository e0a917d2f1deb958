package pool_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Measured with Go 1.26.
func TestAcquireAndReleaseAllocateNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			p, err := pool.New(v.hooks, v.options)
			require.NoError(t, err)
			defer func() { require.NoError(t, p.Close(context.Background())) }()
			require.NoError(t, p.Warm(ctx, 1))
			assert.Zero(t, testing.AllocsPerRun(1000, func() { acquire(t, p).Release() }))
			assert.Zero(t, testing.AllocsPerRun(1000, func() {
				lease, err := p.TryAcquire(ctx)
				if err != nil {
					t.Error(err)
				}
				lease.Release()
			}))
		})
	}
}

func TestBeingObservedAllocatesNothing(t *testing.T) {
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			events := 0
			v.options.Observer = func(pool.Inspector) pool.Tap {
				return pool.Tap{
					Begin: func(ctx context.Context, _ pool.Event) context.Context { return ctx },
					End:   func(context.Context, pool.Event) { events++ },
				}
			}
			p, err := pool.New(v.hooks, v.options)
			require.NoError(t, err)
			defer func() { require.NoError(t, p.Close(context.Background())) }()
			acquire(t, p).Release()
			assert.Zero(t, testing.AllocsPerRun(1000, func() { acquire(t, p).Release() }))
			assert.GreaterOrEqual(t, events, 2000)
		})
	}
}

func TestTwoObserversAllocateThreeTimesALease(t *testing.T) {
	one := func(pool.Inspector) pool.Tap {
		return pool.Tap{
			Begin: func(ctx context.Context, _ pool.Event) context.Context { return ctx },
			End:   func(context.Context, pool.Event) {},
		}
	}
	v := variants()[0]
	v.options.Observer = pool.Observers(one, one)
	p, err := pool.New(v.hooks, v.options)
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close(context.Background())) }()
	acquire(t, p).Release()
	assert.LessOrEqual(t, testing.AllocsPerRun(1000, func() { acquire(t, p).Release() }), 3.0)
}

func TestWaitingAllocatesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			v.options.MaxSize = 1
			p, err := pool.New(v.hooks, v.options)
			require.NoError(t, err)
			defer func() { require.NoError(t, p.Close(context.Background())) }()
			held, done := make(chan struct{}), make(chan struct{})
			go func() { // holds the one value until somebody waits for it
				for range held {
					lease, _ := p.Acquire(ctx)
					held <- struct{}{}
					for p.Stats().Waiting == 0 {
						runtime.Gosched()
					}
					lease.Release()
				}
				close(done)
			}()
			assert.Zero(t, testing.AllocsPerRun(1000, func() {
				held <- struct{}{}
				<-held
				acquire(t, p).Release()
			}))
			close(held)
			<-done
			assert.GreaterOrEqual(t, p.Stats().Waited, uint64(1000))
		})
	}
}

// TestMemoryOfAWaiter measures what 10,000 waiting callers hold
// beyond 10,000 goroutines that wait for a channel.
func TestMemoryOfAWaiter(t *testing.T) {
	const waiters = 10_000
	heap := func(wait func(ctx context.Context), waiting func() int) int64 {
		ctx, cancel := context.WithCancel(context.Background())
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var all sync.WaitGroup
		for range waiters {
			all.Go(func() { wait(ctx) })
		}
		for waiting() < waiters {
			runtime.Gosched()
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		cancel()
		all.Wait()
		return int64(after.HeapAlloc) - int64(before.HeapAlloc)
	}
	plain := func() int64 {
		var blocked atomic.Int64
		return heap(func(ctx context.Context) {
			blocked.Add(1)
			<-ctx.Done()
		}, func() int { return int(blocked.Load()) })
	}
	plain() // the runtime keeps what ended goroutines leave behind, and uses it again
	goroutines := plain()

	p, err := pool.New(variants()[0].hooks, pool.Options{MaxSize: 1, AcquireTimeout: time.Hour}) // all wait until the last has come
	require.NoError(t, err)
	lease := acquire(t, p)
	callers := heap(func(ctx context.Context) {
		_, err := p.Acquire(ctx)
		assert.ErrorIs(t, err, context.Canceled)
	}, func() int { return p.Stats().Waiting })
	lease.Release()
	require.NoError(t, p.Close(t.Context()))
	t.Logf("%d bytes a waiter beyond %d a goroutine", (callers-goroutines)/waiters, goroutines/waiters)
	assert.Less(t, (callers-goroutines)/waiters, int64(1024))
}

func TestLeakAfterAllocatesNothing(t *testing.T) {
	p, err := pool.New(variants()[0].hooks, pool.Options{LeakAfter: time.Hour})
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close(context.Background())) }()
	require.NoError(t, p.Warm(t.Context(), 1))
	assert.Zero(t, testing.AllocsPerRun(1000, func() { acquire(t, p).Release() }))
}
