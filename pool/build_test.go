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

// Callers that build stand in the queue, and what fails to be built is tried again with care.

// constructing makes Construct do what construct says of the how-manieth call, from 1, before it makes a value.
func constructing(construct func(ctx context.Context, call int64) error) func(*resource.Hooks[*fake.Value]) {
	var calls atomic.Int64
	return func(hooks *resource.Hooks[*fake.Value]) {
		make := hooks.Construct
		hooks.Construct = func(ctx context.Context) (*fake.Value, error) {
			if err := construct(ctx, calls.Add(1)); err != nil {
				return nil, err
			}
			return make(ctx)
		}
	}
}

// hangsAfter has all Constructs hang but the first n.
func hangsAfter(n int64) func(*resource.Hooks[*fake.Value]) {
	return constructing(func(ctx context.Context, call int64) error {
		if call > n {
			return hang(ctx)
		}
		return nil
	})
}

func TestBuild_ACallerTakesWhatIsReleasedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2}, hangsAfter(1))
		held := acquire(t, p)
		time.AfterFunc(10*time.Millisecond, held.Release)
		began := time.Now()
		lease := acquire(t, p)
		assert.Equal(t, 10*time.Millisecond, time.Since(began))
		assert.Equal(t, 1, lease.Value().ID)
		stats := p.Stats()
		assert.Zero(t, stats.WaitingForBuild)
		assert.Equal(t, 1, stats.Constructing, "its build goes on")
		assert.EqualValues(t, 2, stats.WaitedForBuild)
		assert.Equal(t, 10*time.Millisecond, stats.BuildWaitTime)
		assert.Zero(t, stats.Waited, "it was not in the queue")
		lease.Release()
	})
}

// TestBuild_NobodyOvertakesACallerThatBuilds uses one value again and again beside a build that hangs.
func TestBuild_NobodyOvertakesACallerThatBuilds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 3}, hangsAfter(1))
		held := acquire(t, p)
		var order []int
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				lease := acquire(t, p)
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				<-time.After(time.Millisecond)
				lease.Release()
			})
			synctest.Wait()
		}
		stats := p.Stats()
		assert.Equal(t, 2, stats.WaitingForBuild)
		assert.Equal(t, 4, stats.Waiting)
		_, err := p.TryAcquire(t.Context())
		assert.ErrorIs(t, err, pool.ErrUnavailable)
		held.Release()
		_, err = p.TryAcquire(t.Context())
		assert.ErrorIs(t, err, pool.ErrUnavailable, "it is the first one's")
		all.Wait()
		assert.Equal(t, []int{0, 1, 2, 3, 4, 5}, order)
	})
}

func TestBuild_WhatACallerLeftGoesToTheNextInLine(t *testing.T) {
	for name, leave := range map[string]func(p *pool.Pool[*fake.Value], held pool.Lease[*fake.Value], cancel context.CancelFunc){
		"it got another value": func(_ *pool.Pool[*fake.Value], held pool.Lease[*fake.Value], _ context.CancelFunc) { held.Release() },
		"it gave up":           func(_ *pool.Pool[*fake.Value], _ pool.Lease[*fake.Value], cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, maker := newPool(t, pool.Options{MaxSize: 2}, constructing(func(_ context.Context, call int64) error {
					if call > 1 {
						<-time.After(time.Second)
					}
					return nil
				}))
				held := acquire(t, p)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				first := make(chan pool.Lease[*fake.Value], 1)
				go func() {
					lease, _ := p.Acquire(ctx)
					first <- lease
				}()
				synctest.Wait()
				leave(p, held, cancel)
				lease := <-first
				began := time.Now()
				next := acquire(t, p)
				assert.Equal(t, 2, next.Value().ID)
				assert.Equal(t, time.Second, time.Since(began))
				next.Release()
				lease.Release()
				held.Release()
				assert.Equal(t, 2, maker.Made())
			})
		})
	}
}

func TestBuild_ItDoesNotCountInMaxWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2, MaxWaiters: 1}, hangsAfter(0))
		for range 3 {
			go func() { _, _ = p.Acquire(context.Background()) }()
			synctest.Wait()
		}
		_, err := p.Acquire(t.Context())
		require.ErrorIs(t, err, pool.ErrSaturated)
		stats := p.Stats()
		assert.Equal(t, 1, stats.Waiting)
		assert.Equal(t, 2, stats.WaitingForBuild)
	})
}

func TestBuild_AFailureWhileAValueIsFreeIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2}, constructing(func(_ context.Context, call int64) error {
			if call > 1 {
				<-time.After(time.Second)
				return errOutage
			}
			return nil
		}))
		held := acquire(t, p)
		time.AfterFunc(time.Second, held.Release) // at the same moment
		acquire(t, p).Release()
	})
}

// TestBuild_AServerWithALimitOfItsOwn allows fewer values than MaxSize.
func TestBuild_AServerWithALimitOfItsOwn(t *testing.T) {
	tooMany := errors.New("too many connections")
	limited := func(h *resource.Hooks[*fake.Value]) {
		constructing(func(_ context.Context, call int64) error {
			<-time.After(time.Millisecond)
			if call > 1 {
				return tooMany
			}
			return nil
		})(h)
	}
	t.Run("a release within the backoff", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, _ := newPool(t, pool.Options{MaxSize: 2}, limited)
			held := acquire(t, p)
			time.AfterFunc(20*time.Millisecond, held.Release)
			began := time.Now()
			lease := acquire(t, p)
			assert.Equal(t, 20*time.Millisecond, time.Since(began))
			assert.EqualValues(t, 1, p.Stats().Waited)
			lease.Release()
		})
	})
	t.Run("none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, _ := newPool(t, pool.Options{Name: "orders", MaxSize: 2}, limited)
			held := acquire(t, p)
			began := time.Now()
			_, err := p.Acquire(t.Context())
			assert.EqualError(t, err, `headpond/pool "orders": construct: too many connections`)
			assert.LessOrEqual(t, time.Since(began), 51*time.Millisecond)
			assert.GreaterOrEqual(t, time.Since(began), 26*time.Millisecond)
			held.Release()
		})
	})
	t.Run("the caller's own limit comes first", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, _ := newPool(t, pool.Options{Name: "orders", MaxSize: 2, AcquireTimeout: 10 * time.Millisecond}, limited)
			held := acquire(t, p)
			_, err := p.Acquire(t.Context())
			assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
			assert.ErrorIs(t, err, tooMany)
			held.Release()
		})
	})
	t.Run("a nested caller does not wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, _ := newPool(t, pool.Options{MaxSize: 2}, limited)
			began := time.Now()
			require.NoError(t, p.Do(t.Context(), func(ctx context.Context, _ *fake.Value) error {
				_, err := p.Acquire(ctx)
				assert.ErrorIs(t, err, tooMany)
				return nil
			}))
			assert.Equal(t, 2*time.Millisecond, time.Since(began))
		})
	})
}

// TestRecovery_AHungTrialIsNotWaitedFor has one attempt hang during an outage, and the server come back after a second.
func TestRecovery_AHungTrialIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p, _ := newPool(t, pool.Options{MaxSize: 10, AcquireTimeout: -1}, constructing(func(ctx context.Context, call int64) error {
			switch {
			case call == 1:
				return errOutage
			case time.Since(began) < time.Second:
				return hang(ctx) // packets are dropped
			}
			return nil
		}))
		_, err := p.Acquire(t.Context())
		require.ErrorIs(t, err, errOutage)
		<-time.After(100 * time.Millisecond)
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() { acquire(t, p).Release() })
		}
		callers.Wait()
		assert.Equal(t, 1100*time.Millisecond, time.Since(began), "a second after the trial began")
	})
}

// TestRecovery_TrialsThatHangAreDoubledUpToMaxConstructing counts them while every Construct hangs.
func TestRecovery_TrialsThatHangAreDoubledUpToMaxConstructing(t *testing.T) {
	for name, test := range map[string]struct {
		took time.Duration // a success before
		want []int         // builds under way, after each step
		step time.Duration
	}{
		"a second":             {0, []int{1, 2, 4, 6, 6}, time.Second},
		"twice the last times": {2 * time.Second, []int{1, 2, 4, 6, 6}, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, _ := newPool(t, pool.Options{MaxSize: 20, MaxConstructing: 6, AcquireTimeout: -1}, constructing(func(ctx context.Context, call int64) error {
					switch call {
					case 1:
						<-time.After(test.took)
						return nil
					case 2:
						return errOutage
					}
					return hang(ctx)
				}))
				lease := acquire(t, p)
				lease.Discard()
				synctest.Wait()
				_, err := p.Acquire(t.Context())
				require.ErrorIs(t, err, errOutage)
				ctx, cancel := context.WithCancel(t.Context())
				var callers sync.WaitGroup
				for range 10 {
					callers.Go(func() { _, _ = p.Acquire(ctx) })
				}
				<-time.After(50 * time.Millisecond) // the backoff is over
				for _, want := range test.want {
					synctest.Wait()
					assert.Equal(t, want, p.Stats().Constructing)
					<-time.After(test.step)
				}
				cancel()
				callers.Wait()
				assert.Equal(t, 6, p.Stats().Constructing, "nobody waits for more")
			})
		})
	}
}

// TestMaxConstructing_IsNoStorm has 50 callers come at once, and Warm, and looks at how many Constructs run.
func TestMaxConstructing_IsNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		p, _ := newPool(t, pool.Options{MaxSize: 100, MaxConstructing: 4, AcquireTimeout: -1}, constructing(func(context.Context, int64) error {
			most.Store(max(most.Load(), now.Add(1)))
			<-time.After(time.Second)
			now.Add(-1)
			return nil
		}))
		var callers sync.WaitGroup
		release := make(chan struct{})
		for range 50 {
			callers.Go(func() {
				lease := acquire(t, p)
				<-release
				lease.Release()
			})
		}
		synctest.Wait()
		stats := p.Stats()
		assert.Equal(t, 4, stats.WaitingForBuild)
		assert.Equal(t, 46, stats.Waiting, "past it a caller is an ordinary waiter")
		began := time.Now()
		require.NoError(t, p.Warm(t.Context(), 80))
		assert.Equal(t, 20*time.Second, time.Since(began))
		assert.Equal(t, 50, p.Stats().Held, "callers come before Warm")
		assert.EqualValues(t, 4, most.Load())
		close(release)
		callers.Wait()
	})
}

func TestMaxConstructing_AnAbandonedBuildFreesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		p, _ := newPool(t, pool.Options{MaxSize: 2, MaxConstructing: 1, AcquireTimeout: -1, Policy: resource.Policy{ConstructTimeout: time.Second}},
			constructing(func(_ context.Context, call int64) error {
				if call == 1 {
					<-stuck
				}
				return nil
			}))
		first := make(chan error, 1)
		go func() {
			_, err := p.Acquire(context.Background())
			first <- err
		}()
		synctest.Wait()
		lease := acquire(t, p)
		assert.ErrorContains(t, <-first, "abandoned")
		lease.Release()
		close(stuck)
		synctest.Wait()
	})
}

func TestMaxIdle_WhatComesBackBeyondItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 5, MaxIdle: 2})
		hold(t, p, 5)
		synctest.Wait()
		stats := p.Stats()
		assert.Equal(t, 2, stats.Idle)
		assert.EqualValues(t, 3, stats.Destroyed[resource.Surplus])
		require.NoError(t, p.Warm(t.Context(), 4))
		assert.Equal(t, 4, p.Stats().Idle, "never what Warm builds")
		acquire(t, p).Release()
		synctest.Wait()
		assert.Equal(t, 3, p.Stats().Idle)
		assert.EqualValues(t, 4, p.Stats().Destroyed[resource.Surplus])
	})
}

func TestOptions_MaxIdleAndMaxConstructing(t *testing.T) {
	hooks := resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }}
	refuses(t, hooks, pool.Options{MaxIdle: -1}, `headpond/pool "pool": Options.MaxIdle is -1: it must not be negative`)
	refuses(t, hooks, pool.Options{MaxSize: 2, MaxIdle: 3}, `headpond/pool "pool": Options.MaxIdle is 3: it must not exceed MaxSize, which is 2`)
	refuses(t, hooks, pool.Options{MaxSize: 4, MinIdle: 3, MaxIdle: 2}, `headpond/pool "pool": Options.MaxIdle is 2: it must not be less than MinIdle, which is 3`)
	refuses(t, hooks, pool.Options{MaxConstructing: -1}, `headpond/pool "pool": Options.MaxConstructing is -1: it must not be negative`)
}

// TestErrors_SayWhatIsBeingDestroyed has every slot taken by destructors.
func TestErrors_SayWhatIsBeingDestroyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{Name: "orders", MaxSize: 2, AcquireTimeout: 100 * time.Millisecond}, func(h *resource.Hooks[*fake.Value]) { slow(h, pool.Destroy) })
		one, two := acquire(t, p), acquire(t, p)
		one.Discard()
		two.Discard()
		_, err := p.Acquire(t.Context())
		assert.EqualError(t, err, `headpond/pool "orders": acquire: no resource within 100ms (0 of 2 held, 0 waiting, 0 being built, 2 being destroyed): `+
			`a value that is being destroyed keeps its slot until Destroy has returned; look at what that waits for`)
	})
}

// TestWarm_BesideAnother returns when its own number is there, not when the other one has it.
func TestWarm_BesideAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 5}, constructing(func(_ context.Context, call int64) error {
			<-time.After(time.Second)
			if call == 1 {
				return errOutage
			}
			return nil
		}))
		first := make(chan error, 1)
		go func() { first <- p.Warm(context.Background(), 3) }()
		synctest.Wait()
		began := time.Now()
		require.NoError(t, p.Warm(t.Context(), 3), "it builds what the other one could not")
		assert.Equal(t, 2*time.Second, time.Since(began))
		assert.Equal(t, 3, p.Stats().Idle)
		assert.ErrorIs(t, <-first, errOutage)
	})
}
