package pool_test

import (
	"context"
	"errors"
	"runtime"
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

func TestCloseWithTheCtxOfDoStartsClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2})
		hold(t, p, 2)
		require.NoError(t, p.Do(t.Context(), func(ctx context.Context, v *fake.Value) error {
			err := p.Close(ctx)
			require.ErrorIs(t, err, pool.ErrNested)
			assert.ErrorContains(t, err, "it holds #")
			synctest.Wait()
			stats := p.Stats()
			assert.True(t, stats.Closed)
			assert.Equal(t, 1, stats.Live(), "the idle one is gone")
			assert.Zero(t, v.Destroyed, "the held one is not")
			_, err = p.Acquire(t.Context())
			assert.ErrorIs(t, err, pool.ErrClosed)
			return nil
		}))
		synctest.Wait()
		assert.Zero(t, p.Stats().Live())
		assert.EqualValues(t, 2, p.Stats().Destroyed[resource.Closed])
	})
}

func TestCloseWithTheCtxOfAHookStartsClosing(t *testing.T) {
	for _, test := range nestingHooks {
		t.Run(test.op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				closed := make(chan error, 10)
				var p *pool.Pool[*fake.Value]
				p, _ = newPool(t, pool.Options{MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1}}, test.hook(func(ctx context.Context) {
					closed <- p.Close(ctx)
				}))
				if lease, err := p.Acquire(t.Context()); err != nil {
					assert.ErrorIs(t, err, pool.ErrClosed)
				} else if test.op == pool.Destroy {
					lease.Discard()
				} else {
					lease.Release()
				}
				err := <-closed
				assert.ErrorIs(t, err, pool.ErrNested)
				assert.ErrorContains(t, err, "it is in the "+test.op.String()+" hook")
				assert.True(t, p.Stats().Closed)
				synctest.Wait()
				assert.Zero(t, p.Stats().Live())
			})
		})
	}
}

func TestCloseAgainWaitsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1})
		lease := acquire(t, p)
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			began := time.Now()
			require.ErrorIs(t, p.Close(ctx), context.DeadlineExceeded)
			assert.Equal(t, time.Second, time.Since(began))
			cancel()
		}
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() { assert.NoError(t, p.Close(t.Context())) })
		}
		<-time.After(time.Second)
		lease.Release()
		closers.Wait()
		began := time.Now()
		require.NoError(t, p.Close(t.Context()))
		assert.Zero(t, time.Since(began))
	})
}

// TestWhatComesBackAfterCloseIsDestroyed ends leases in each way when Close has given up.
func TestWhatComesBackAfterCloseIsDestroyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, maker := newPool(t, pool.Options{MaxSize: 4})
		released, discarded, detached := acquire(t, p), acquire(t, p), acquire(t, p)
		done := make(chan struct{})
		inDo := make(chan struct{})
		go func() {
			assert.NoError(t, p.Do(t.Context(), func(context.Context, *fake.Value) error {
				<-inDo
				return nil
			}))
			close(done)
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := p.Close(ctx)
		assert.Regexp(t, `^headpond/pool "pool": close: context deadline exceeded, with 4 still held: #\d for 1s; #\d for 1s; #\d for 1s; and 1 more; destroyed when they come back$`, err.Error())
		assert.Equal(t, 4, p.Stats().Held)

		<-time.After(time.Hour)
		assert.NotPanics(t, func() { released.Value() }, "nobody takes it away")
		released.Release()
		discarded.Discard()
		maker.Destroy(detached.Detach())
		close(inDo)
		<-done
		synctest.Wait()
		stats := p.Stats()
		assert.Zero(t, stats.Live())
		assert.EqualValues(t, 2, stats.Destroyed[resource.Closed])
		assert.EqualValues(t, 1, stats.Destroyed[resource.Discarded])
		assert.EqualValues(t, 1, stats.Detached)
	})
}

func TestCloseWithACtxThatHasEndedStartsClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2})
		lease := acquire(t, p)
		acquire(t, p).Release()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		assert.ErrorIs(t, p.Close(ctx), context.Canceled)
		synctest.Wait()
		assert.Equal(t, 1, p.Stats().Live())
		lease.Release()
	})
}

func TestCloseOfAPoolNobodyUsed(t *testing.T) {
	p, maker := newPool(t, pool.Options{MinIdle: 1})
	require.NoError(t, p.Close(t.Context()))
	assert.Zero(t, maker.Made())
	assert.Zero(t, p.Stats().Live())
}

func TestAClosedPoolRefusesEverything(t *testing.T) {
	p, maker := newPool(t, pool.Options{MaxSize: 2})
	require.NoError(t, p.Close(t.Context()))
	_, err := p.Acquire(t.Context())
	assert.ErrorIs(t, err, pool.ErrClosed)
	_, err = p.TryAcquire(t.Context())
	assert.ErrorIs(t, err, pool.ErrClosed)
	err = p.Warm(t.Context(), 1)
	assert.ErrorIs(t, err, pool.ErrClosed)
	assert.EqualError(t, err, `headpond/pool "pool": warm: the pool is closed`)
	assert.ErrorIs(t, p.Do(t.Context(), func(context.Context, *fake.Value) error {
		t.Error("a closed pool gave a value")
		return nil
	}), pool.ErrClosed)
	p.Evict()
	p.Suspend()
	p.Resume()
	require.NoError(t, p.Resize(5))
	assert.Zero(t, maker.Made())
}

// TestCloseWaitsForDestructors has them take their time.
func TestCloseWaitsForDestructors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, maker := scripted(t, pool.Options{MaxSize: 3}, fake.Script{Destroy: fake.Slow})
		hold(t, p, 3)
		began := time.Now()
		require.NoError(t, p.Close(t.Context()))
		assert.Equal(t, fake.SlowTime, time.Since(began), "all at the same time")
		maker.Finished(t)
	})
}

// TestCloseWhileMaintenanceRuns has it destroy one when Close comes.
func TestCloseWhileMaintenanceRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := scripted(t, pool.Options{
			MaxSize: 3, MaintainEvery: time.Second, Policy: resource.Policy{MaxIdleTime: time.Second},
		}, fake.Script{Destroy: fake.Slow})
		hold(t, p, 3)
		<-time.After(time.Second + fake.SlowTime/2)
		require.Equal(t, 1, p.Stats().Destroying)
		require.NoError(t, p.Close(t.Context()))
		stats := p.Stats()
		assert.EqualValues(t, 1, stats.Destroyed[resource.MaxIdleTime])
		assert.EqualValues(t, 2, stats.Destroyed[resource.Closed])
	})
}

// TestCloseEndsTheCtxOfHooks has Check and Reset wait for it.
func TestCloseEndsTheCtxOfHooks(t *testing.T) {
	for name, script := range map[string]fake.Script{"Check": {Check: fake.Hangs}, "Reset": {Reset: fake.Hangs}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, _ := scripted(t, pool.Options{MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1}}, script)
				go func() {
					if lease, err := p.Acquire(t.Context()); err == nil {
						lease.Release()
					}
				}()
				synctest.Wait()
				began := time.Now()
				require.NoError(t, p.Close(t.Context()))
				assert.Zero(t, time.Since(began))
			})
		})
	}
}

// TestCloseAtAnyMoment has callers acquire in real time while the pool is closed.
func TestCloseAtAnyMoment(t *testing.T) {
	for range 2000 {
		maker := &fake.Maker{}
		p, err := pool.New(maker.Hooks(), pool.Options{MaxSize: 2})
		require.NoError(t, err)
		start := make(chan struct{})
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				<-start
				if lease, err := p.Acquire(context.Background()); err == nil {
					lease.Release()
				} else {
					assert.ErrorIs(t, err, pool.ErrClosed)
				}
			})
		}
		close(start)
		require.NoError(t, p.Close(context.Background()))
		made := maker.Made()
		callers.Wait()
		assert.Equal(t, made, maker.Made(), "nothing is built after Close")
		maker.Finished(t)
		require.Zero(t, p.Stats().Live())
	}
}

// TestClose_NoResetOfWhatIsAboutToEnd releases after Close: what would be destroyed next need not be reset before.
func TestClose_NoResetOfWhatIsAboutToEnd(t *testing.T) {
	p, maker := newPool(t, pool.Options{MaxSize: 1})
	lease := acquire(t, p)
	value := lease.Value()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.Close(ctx), context.Canceled)
	lease.Release()
	require.NoError(t, p.Close(t.Context()))
	assert.Zero(t, value.WasReset)
	assert.Equal(t, 1, maker.Made())
}

// TestClose_LeavesNoTimer closes a pool that would look after its values in an hour. A timer would keep it alive until then.
func TestClose_LeavesNoTimer(t *testing.T) {
	p, err := pool.New((&fake.Maker{}).Hooks(), pool.Options{MaintainEvery: time.Hour, Policy: resource.Policy{MaxLifetime: 24 * time.Hour}})
	require.NoError(t, err)
	acquire(t, p).Release()
	require.NoError(t, p.Close(t.Context()))
	kept := weak.Make(p)
	p = nil
	assert.True(t, collected(kept))
}

// TestClose_OfADrainedPoolSucceedsWhateverItsCtx has both reasons to return at the same time.
func TestClose_OfADrainedPoolSucceedsWhateverItsCtx(t *testing.T) {
	p, _ := newPool(t, pool.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		require.NoError(t, p.Close(ctx))
	}
}

func TestClose_NamesTheHoldersHoweverItsCtxEnded(t *testing.T) {
	for name, end := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"cancelled": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		},
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithDeadline(ctx, time.Time{}.Add(1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := newPool(t, pool.Options{})
			lease := acquire(t, p)
			ctx, cancel := end(t.Context())
			defer cancel()
			var failed *pool.Error
			require.ErrorAs(t, p.Close(ctx), &failed)
			assert.Len(t, failed.Holders, 1)
			assert.ErrorContains(t, failed, "1 still held: #1 for ")
			lease.Release()
		})
	}
}

// Answers launchbadge/sqlx#1773, moov-io/base#508, golang/go#42963.
func TestClose_ReturnsAtItsDeadlineAndNamesTheHolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2, LeakAfter: time.Hour})
		leaked := forget(t, p)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		err := p.Close(ctx)
		assert.Equal(t, 3*time.Second, time.Since(began))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Regexp(t, `^headpond/pool "pool": close: context deadline exceeded, with 1 still held: #1 for 3s by .*leak_test\.go:\d+ .*\.forget; destroyed when they come back$`, err.Error())
		leaked.Release()
	})
}

func TestClose_WakesWaitersAndNamesHolders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1})
		lease := acquire(t, p)
		var woken atomic.Bool
		go func() {
			_, err := p.Acquire(context.Background())
			assert.ErrorIs(t, err, pool.ErrClosed)
			woken.Store(true)
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := p.Close(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "1 still held: #1 for 1s")
		assert.True(t, woken.Load())
		lease.Release()
		require.NoError(t, p.Close(t.Context()))
		_, err = p.Acquire(t.Context())
		assert.ErrorIs(t, err, pool.ErrClosed)
	})
}

func TestClose_GivesUpOnAConstructThatIgnoresItsCtx(t *testing.T) {
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
		assert.EqualError(t, p.Close(ctx), `headpond/pool "pool": close: context deadline exceeded, with no lease held, 0 values in a hook, 1 being built and 0 being destroyed`)
		close(stuck)
	})
}

// TestClose_WakesAllThatWait has one wait in the queue and one for what is being built.
func TestClose_WakesAllThatWait(t *testing.T) {
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

func TestClose_ADetachThatCallsGoexitEndsNoCaller(t *testing.T) {
	p := counting(t, pool.Options{Observer: func(pool.Inspector) pool.Tap { return pool.Tap{Detach: runtime.Goexit} }})
	for range 2 {
		closed := errors.New("Close did not return")
		var caller sync.WaitGroup
		caller.Go(func() {
			assert.NotPanics(t, func() { closed = p.Close(context.Background()) })
		})
		caller.Wait()
		assert.NoError(t, closed)
	}
}
