package pool_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/agent"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// agentContext is the ctx of a backend's goroutine that acquires for others.
type agentContext struct {
	context.Context
	label string
	stack []uintptr
}

type valueKey struct{}

func (a *agentContext) Holder() (string, []uintptr) { return a.label, a.stack }

func TestAgent_IsNotCountedAndNotObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		told := map[pool.Op]int{}
		p, err := pool.New(resource.Hooks[int]{
			Construct: func(context.Context) (int, error) { return 1, nil },
			Reset:     func(context.Context, int) error { return nil },
		}, pool.Options{MaxSize: 1, MaxWaiters: 1, AcquireTimeout: time.Minute, LeakAfter: time.Hour, Extra: func(stats *pool.Stats) { stats.Cancelled += 1000 },
			Observer: func(pool.Inspector) pool.Tap {
				return pool.Tap{End: func(_ context.Context, event pool.Event) {
					mu.Lock()
					defer mu.Unlock()
					told[event.Op]++
				}}
			}})
		require.NoError(t, err)
		ctx := &agentContext{Context: t.Context(), label: "batch"}
		figures := func() [10]any {
			s := p.Stats()
			return [10]any{s.Acquired, s.Released, s.Waited, s.WaitTime, s.WaitedForBuild, s.BuildWaitTime, s.TimedOut, s.Waiting, s.WaitingForBuild, s.OldestWait}
		}
		none := [10]any{uint64(0), uint64(0), uint64(0), time.Duration(0), uint64(0), time.Duration(0), uint64(0), 0, 0, time.Duration(0)}

		first, err := p.Acquire(ctx)
		require.NoError(t, err)
		assert.Equal(t, none, figures(), "built for it")
		assert.Equal(t, 1, p.Stats().Held)
		assert.EqualValues(t, 1000, p.Stats().Cancelled, "Extra's")
		require.Len(t, p.Holders(), 1)
		assert.Equal(t, "batch", p.Holders()[0].Label, "although the agent's own stack is known")
		assert.Empty(t, p.Holders()[0].Stack.Caller())
		ctx.label = "another batch"
		assert.Equal(t, "another batch", p.Holders()[0].Label, "as it is now")

		_, err = p.Acquire(ctx)
		require.ErrorIs(t, err, pool.ErrAcquireTimeout)
		assert.ErrorContains(t, err, `longest held: #1 for 1m0s as "another batch"`)
		assert.Equal(t, none, figures(), "in vain")

		ended := make(chan error, 3)
		acquire := func(ctx context.Context) {
			lease, err := p.Acquire(ctx)
			lease.Release()
			ended <- err
		}
		go acquire(ctx)
		synctest.Wait()
		<-time.After(time.Second)
		assert.Equal(t, none, figures(), "while it waits")
		go acquire(context.Background())
		synctest.Wait()
		<-time.After(time.Second)
		waiting := none
		waiting[2], waiting[7], waiting[9] = uint64(1), 1, time.Second
		assert.Equal(t, waiting, figures(), "a caller behind it")
		_, err = p.Acquire(t.Context())
		require.ErrorIs(t, err, pool.ErrSaturated, "the caller is the one that may wait")
		go acquire(ctx) // and it is never saturated
		synctest.Wait()
		first.Release()
		for range 3 {
			require.NoError(t, <-ended)
		}
		done := none
		done[0], done[1], done[2], done[3] = uint64(1), uint64(1), uint64(1), time.Second
		assert.Equal(t, done, figures(), "the caller alone")
		mu.Lock()
		assert.Equal(t, map[pool.Op]int{pool.Acquire: 2, pool.Construct: 1, pool.Reset: 1, pool.Release: 1}, told)
		mu.Unlock()
		require.NoError(t, p.Close(context.Background()))
	})
}

// A ctx that is made of an agent's is a caller's, and so is an agent's own where the pool has no Extra.
func TestAgent_OnlyAsItIs(t *testing.T) {
	p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }},
		pool.Options{MaxSize: 1, Extra: func(*pool.Stats) {}})
	require.NoError(t, err)
	ctx := &agentContext{Context: t.Context()}
	require.NoError(t, p.Do(context.WithValue(ctx, valueKey{}, 1), func(context.Context, int) error { return nil }))
	assert.EqualValues(t, 1, p.Stats().Acquired)
	assert.EqualValues(t, 1, p.Stats().Released)
	require.NoError(t, p.Do(ctx, func(context.Context, int) error { return nil }))
	assert.EqualValues(t, 1, p.Stats().Acquired)
	assert.EqualValues(t, 1, p.Stats().Released)
	lease, err := p.Acquire(ctx)
	require.NoError(t, err)
	lease.Discard()
	assert.EqualValues(t, 1, p.Stats().Released)
	require.NoError(t, p.Close(t.Context()))

	p, err = pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }}, pool.Options{MaxSize: 1})
	require.NoError(t, err)
	require.NoError(t, p.Do(ctx, func(context.Context, int) error { return nil }))
	assert.EqualValues(t, 1, p.Stats().Acquired)
	require.NoError(t, p.Close(t.Context()))
}

// The leak of an agent's lease names whose call it is.
func TestAgent_Leaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leaks := make(chan pool.Leak, 2)
		p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }},
			pool.Options{MaxSize: 1, LeakAfter: time.Minute, MaintainEvery: time.Second, Extra: func(*pool.Stats) {}, Observer: func(pool.Inspector) pool.Tap {
				return pool.Tap{Leak: func(leak pool.Leak) { leaks <- leak }}
			}})
		require.NoError(t, err)
		lease, err := p.Acquire(&agentContext{Context: t.Context(), label: "batch"})
		require.NoError(t, err)
		assert.Equal(t, "batch", (<-leaks).Label)
		lease.Release()
		assert.Equal(t, "batch", (<-leaks).Label)
		require.NoError(t, p.Close(t.Context()))
	})
}

func TestNote_LastsAsLongAsItsLease(t *testing.T) {
	p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }}, pool.Options{MaxSize: 2})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, p.Close(context.Background())) })
	key := valueKey{}
	outer, inner := &agent.Note{Key: key, Method: "outer"}, &agent.Note{Key: key, Method: "inner"}
	var kept context.Context
	require.NoError(t, p.Do(t.Context(), func(ctx context.Context, _ int) error {
		assert.Nil(t, ctx.Value(key))
		ctx.(agent.Noted).Note(outer)
		require.NoError(t, p.Do(ctx, func(ctx context.Context, _ int) error {
			assert.Same(t, outer, ctx.Value(key), "that of the ctx around it")
			ctx.(agent.Noted).Note(inner)
			assert.Same(t, inner, ctx.Value(key))
			kept = context.WithoutCancel(ctx)
			return nil
		}))
		assert.Same(t, outer, kept.Value(key), "the inner lease has ended")
		return nil
	}))
	assert.Nil(t, kept.Value(key))
}
