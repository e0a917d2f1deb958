package pool_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAcquire_ACancelLeaksNoSlot cancels where it hurts: while it waits, while its value is being built,
// checked and prepared. In every case the pool of one has its slot afterwards.
// Answers ClickHouse/clickhouse-go#1759, djc/bb8#59, launchbadge/sqlx#3513.
func TestAcquire_ACancelLeaksNoSlot(t *testing.T) {
	for name, script := range map[string]fake.Script{
		"before it begins": {},
		"while building":   {Construct: fake.Slow},
		"while failing":    {Construct: fake.Hangs},
		"while checking":   {Check: fake.Slow},
		"while preparing":  {Prepare: fake.Hangs},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				maker := &fake.Maker{}
				p, err := pool.New(maker.Scripted(), pool.Options{MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1}})
				require.NoError(t, err)
				maker.Follow(script)
				reason := errors.New("the user left")
				ctx, cancel := context.WithCancelCause(t.Context())
				if name == "before it begins" {
					cancel(reason)
				} else {
					time.AfterFunc(fake.SlowTime/2, func() { cancel(reason) })
				}
				if lease, err := p.Acquire(ctx); err != nil {
					assert.ErrorIs(t, err, reason)
				} else {
					assert.Equal(t, "while checking", name, "Check has a ctx of its own")
					lease.Release()
				}
				maker.Follow(fake.Script{})
				patient, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				p.Suspend() // wait for what is still being built without taking it
				<-time.After(40 * time.Second)
				p.Resume()
				lease, err := p.Acquire(patient)
				require.NoError(t, err)
				assert.Equal(t, 1, p.Stats().Held)
				lease.Release()
				atRest(t, p.Stats())
				require.NoError(t, p.Close(t.Context()))
				maker.Finished(t)
			})
		})
	}
}

func canceledAfter(t *testing.T, after time.Duration) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(after, cancel)
	return ctx
}

// Answers brettwooldridge/HikariCP#580, reactor/reactor-pool#18.
func TestAcquire_PastMaxWaitersFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1, MaxWaiters: 2})
		lease := acquire(t, p)
		for range 2 {
			go func() { acquire(t, p).Release() }()
		}
		synctest.Wait()
		began := time.Now()
		_, err := p.Acquire(t.Context())
		require.ErrorIs(t, err, pool.ErrSaturated)
		assert.Zero(t, time.Since(began))
		assert.EqualError(t, err, `headpond/pool "pool": acquire: wait queue is full (MaxWaiters) (1 of 1 held, 2 waiting, 0 being built): release sooner or raise MaxSize`)
		assert.EqualValues(t, 1, p.Stats().Saturated)
		lease.Release()
		synctest.Wait()
		acquire(t, p).Release() // there is room in the queue again
	})
}

func TestAcquire_BuildsThenReuses(t *testing.T) {
	p, maker := newPool(t, pool.Options{MaxSize: 2})
	first := acquire(t, p)
	second := acquire(t, p)
	assert.NotSame(t, first.Value(), second.Value())
	assert.Equal(t, 2, p.Stats().Held)
	value := first.Value()
	first.Release()
	again := acquire(t, p)
	assert.Same(t, value, again.Value())
	again.Release()
	second.Release()
	assert.EqualValues(t, 2, maker.Made())
	stats := p.Stats()
	assert.EqualValues(t, 3, stats.Acquired)
	assert.EqualValues(t, 3, stats.Released)
	assert.Equal(t, 2, stats.Idle)
}

func TestTryAcquire_NeverConstructs(t *testing.T) {
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

func TestTryAcquire_RetiresWhatIsNotFit(t *testing.T) {
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

// TestAcquire_ATurnThatComesBeforeTheWait has a value come back just before its caller joins the queue:
// while the pool asks the ctx whether it is nested.
func TestAcquire_ATurnThatComesBeforeTheWait(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 1})
	lease := acquire(t, p)
	next, err := p.Acquire(onValue{t.Context(), lease.Release})
	require.NoError(t, err)
	assert.Zero(t, p.Stats().Waited)
	next.Release()
}
