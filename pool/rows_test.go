package pool_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests here are named after what users of other pools complain about most,
// by its row in the list that this library was made from. See also outage_test.go and limits_test.go.

func TestRow02AForgottenLeaseIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1, LeakAfter: time.Minute})
		forgotten := forget(t, p)
		<-time.After(7 * time.Second)
		holders := p.Holders()
		require.Len(t, holders, 1)
		assert.EqualValues(t, 1, holders[0].ID)
		assert.Equal(t, 7*time.Second, holders[0].Held)
		assert.Regexp(t, `rows_test\.go:\d+ .*\.forget$`, holders[0].Stack.Caller())

		_, err := p.Acquire(t.Context())
		require.ErrorIs(t, err, pool.ErrAcquireTimeout)
		assert.Regexp(t, `1 of 1 held, .* longest held: #1 for 12s by .*rows_test\.go:\d+ .*\.forget\): release sooner`, err.Error())
		forgotten.Release()
		assert.Empty(t, p.Holders())
	})
}

//go:noinline
func forget(t *testing.T, p *pool.Pool[*fake.Value]) pool.Lease[*fake.Value] {
	lease, err := p.Acquire(t.Context())
	require.NoError(t, err)
	return lease
}

func TestRow03AcquireInsideAcquireFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1})
		began := time.Now()
		require.NoError(t, p.Do(t.Context(), func(ctx context.Context, _ *fake.Value) error {
			_, err := p.Acquire(ctx)
			assert.ErrorIs(t, err, pool.ErrNested)
			return nil
		}))
		assert.Zero(t, time.Since(began))
	})
}

func TestRow05AValueWhoseResetFailedIsNeverSeenAgain(t *testing.T) {
	p, maker := newPool(t, pool.Options{MaxSize: 1}, func(hooks *resource.Hooks[*fake.Value]) {
		hooks.Reset = func(_ context.Context, v *fake.Value) error {
			if v.ID == 1 {
				return fake.ErrFailed
			}
			return nil
		}
	})
	acquire(t, p).Release()
	next := acquire(t, p)
	assert.Equal(t, 2, next.Value().ID)
	next.Release()
	again := acquire(t, p)
	assert.Equal(t, 2, again.Value().ID)
	again.Release()
	assert.Equal(t, 2, maker.Made())
	assert.EqualValues(t, 1, p.Stats().Destroyed[resource.ResetFailed])
}

func TestRow06APanicInTheMiddleLosesNoSlot(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 1}, func(hooks *resource.Hooks[*fake.Value]) {
		hooks.Reset = func(_ context.Context, v *fake.Value) error {
			if v.ID == 1 {
				panic("in the middle of rows")
			}
			return nil
		}
	})
	lease := acquire(t, p)
	assert.NotPanics(t, lease.Release)
	next := acquire(t, p)
	assert.Equal(t, 2, next.Value().ID)
	next.Release()
	assert.EqualValues(t, 1, p.Stats().Destroyed[resource.Panicked])
}

func TestRow07CloseReturnsAtItsDeadlineAndNamesTheHolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2, LeakAfter: time.Hour})
		leaked := forget(t, p)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		err := p.Close(ctx)
		assert.Equal(t, 3*time.Second, time.Since(began))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Regexp(t, `^headpond/pool "pool": close: context deadline exceeded, with 1 still held: #1 for 3s by .*rows_test\.go:\d+ .*\.forget; destroyed when they come back$`, err.Error())
		leaked.Release()
	})
}

// TestRow13ACancelledAcquireLeaksNoSlot cancels where it hurts: while it waits, while its value is being built,
// checked and prepared. In every case the pool of one has its slot afterwards.
func TestRow13ACancelledAcquireLeaksNoSlot(t *testing.T) {
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

func TestRow14ErrorsAreTypedAndCarryNameAndFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{Name: "orders", MaxSize: 1, AcquireTimeout: 2 * time.Second})
		lease := acquire(t, p)
		_, err := p.Acquire(t.Context())
		var failure *pool.Error
		require.ErrorAs(t, err, &failure)
		assert.Equal(t, "orders", failure.Pool)
		assert.Equal(t, pool.Acquire, failure.Op)
		assert.Equal(t, pool.ErrAcquireTimeout, failure.Err)
		assert.Equal(t, 1, failure.Stats.Held)
		assert.EqualValues(t, 1, failure.Stats.TimedOut)
		require.Len(t, failure.Holders, 1)
		assert.Equal(t, 2*time.Second, failure.Holders[0].Held)
		lease.Release()
	})
}

func TestRow15WaitingAndUseHaveFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := make(chan time.Duration, 2)
		p, _ := newPool(t, pool.Options{MaxSize: 1, Observer: func(pool.Inspector) pool.Tap {
			return pool.Tap{End: func(_ context.Context, event pool.Event) {
				if event.Op == pool.Release {
					held <- event.Held
				}
			}}
		}})
		lease := acquire(t, p)
		go func() { acquire(t, p).Release() }()
		go func() {
			_, err := p.Acquire(canceledAfter(t, 2*time.Second))
			assert.ErrorIs(t, err, context.Canceled)
		}()
		<-time.After(3 * time.Second)
		stats := p.Stats()
		assert.Equal(t, 1, stats.Waiting)
		assert.Equal(t, 3*time.Second, stats.OldestWait)
		assert.EqualValues(t, 2, stats.Waited)
		assert.EqualValues(t, 1, stats.Cancelled)
		assert.Equal(t, 2*time.Second, stats.WaitTime, "of the one who left")
		lease.Release()
		synctest.Wait()
		stats = p.Stats()
		assert.Equal(t, 5*time.Second, stats.WaitTime, "of both")
		assert.Zero(t, stats.Waiting)
		assert.Zero(t, stats.OldestWait)
		assert.EqualValues(t, 2, stats.Acquired)
		assert.ElementsMatch(t, []time.Duration{3 * time.Second, 0}, []time.Duration{<-held, <-held})
	})
}

func canceledAfter(t *testing.T, after time.Duration) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(after, cancel)
	return ctx
}

func TestRow16NothingIsCalledForALeaseThatIsNotEnabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		called := func(what string) { t.Error(what, "for a lease that is not enabled") }
		asked := 0
		p, _ := newPool(t, pool.Options{LeakAfter: time.Second, Policy: resource.Policy{CheckAfterIdle: -1}, Observer: func(pool.Inspector) pool.Tap {
			return pool.Tap{
				Enabled: func(context.Context) bool { asked++; return false },
				Begin: func(ctx context.Context, event pool.Event) context.Context {
					if event.Op != pool.Destroy { // which belongs to no lease
						called(fmt.Sprint("Begin ", event.Op))
					}
					return ctx
				},
				End: func(_ context.Context, event pool.Event) {
					if event.Op != pool.Destroy {
						called(fmt.Sprint("End ", event.Op))
					}
				},
			}
		}})
		acquire(t, p).Release()
		acquire(t, p).Discard()
		require.NoError(t, p.Do(t.Context(), func(context.Context, *fake.Value) error { return nil }))
		assert.Equal(t, 3, asked, "once for a lease")
	})
}

func TestRow17ASecondReleaseIsNothing(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 1})
	first := acquire(t, p)
	first.Release()
	second := acquire(t, p)
	first.Release()
	first.Discard()
	assert.Equal(t, 1, p.Stats().Held, "a stale lease does not touch the next holder")
	assert.NotPanics(t, func() { second.Value() })
	assert.PanicsWithValue(t, `headpond/pool "pool": Value of a lease that has ended: resource #1 was released, discarded or detached before`, func() { first.Value() })
	assert.Panics(t, func() { first.Detach() })
	second.Release()
}

func TestRow22PastMaxWaitersAcquireFailsAtOnce(t *testing.T) {
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
		assert.EqualError(t, err, `headpond/pool "pool": acquire: as many callers wait as MaxWaiters allows (1 of 1 held, 2 waiting, 0 being built): release sooner or raise MaxSize`)
		assert.EqualValues(t, 1, p.Stats().Saturated)
		lease.Release()
		synctest.Wait()
		acquire(t, p).Release() // there is room in the queue again
	})
}

func TestRow28SuspendHoldsAcquireBackUntilResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2})
		held := acquire(t, p)
		acquire(t, p).Release()
		p.Suspend()
		assert.True(t, p.Stats().Suspended)
		held.Release() // a lease may end
		assert.Equal(t, 2, p.Stats().Idle)
		_, err := p.TryAcquire(t.Context())
		assert.ErrorIs(t, err, pool.ErrUnavailable)
		assert.EqualError(t, err, `headpond/pool "pool": acquire: no resource is idle: it is suspended, until Resume`)

		_, err = p.Acquire(t.Context())
		require.ErrorIs(t, err, pool.ErrAcquireTimeout)
		assert.ErrorContains(t, err, "it is suspended, until Resume")

		time.AfterFunc(time.Second, p.Resume)
		began := time.Now()
		acquire(t, p).Release()
		assert.Equal(t, time.Second, time.Since(began))
		assert.False(t, p.Stats().Suspended)
	})
}

func TestRow29EvictRetiresIdleOnesNowAndHeldOnesOnReturn(t *testing.T) {
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

func TestRow29ResizeGrowsAtOnceAndShrinksOnReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1})
		first := acquire(t, p)
		var second pool.Lease[*fake.Value]
		go func() { second = acquire(t, p) }()
		synctest.Wait()
		assert.Equal(t, 1, p.Stats().Waiting)
		require.NoError(t, p.Resize(3))
		synctest.Wait()
		assert.Equal(t, 2, p.Stats().Held)
		acquire(t, p).Release()

		require.NoError(t, p.Resize(1))
		synctest.Wait()
		stats := p.Stats()
		assert.Equal(t, 1, stats.MaxSize)
		assert.EqualValues(t, 1, stats.Destroyed[resource.Shrunk], "the idle one goes first")
		assert.Equal(t, 2, stats.Live())
		first.Release()
		synctest.Wait()
		assert.EqualValues(t, 2, p.Stats().Destroyed[resource.Shrunk], "a held one when it comes back")
		second.Release()
		assert.Equal(t, 1, p.Stats().Idle)

		for _, size := range []int{0, -1} {
			assert.EqualError(t, p.Resize(size), fmt.Sprintf(`headpond/pool "pool": resize: maxSize is %d: it must be positive`, size))
		}
	})
}
