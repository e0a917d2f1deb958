package pool_test

import (
	"context"
	"errors"
	"math"
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

// The limits of an Acquire are its ctx and Options.AcquireTimeout. They bound all of it but the Prepare hook.

// checking makes Check behave as check says, which knows for the how-manieth time a value is checked, from 1.
func checking(check func(ctx context.Context, v *fake.Value, time int) error) func(*resource.Hooks[*fake.Value]) {
	return func(hooks *resource.Hooks[*fake.Value]) {
		record := hooks.Check
		hooks.Check = func(ctx context.Context, v *fake.Value) error {
			if err := record(ctx, v); err != nil {
				return err
			}
			return check(ctx, v, v.Checked)
		}
	}
}

// hang returns when ctx ends.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestAcquire_AHalfDeadIdleValueCostsCheckTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, maker := newPool(t, pool.Options{}, checking(func(ctx context.Context, v *fake.Value, _ int) error {
			if v.ID == 1 {
				return hang(ctx)
			}
			return nil
		}))
		acquire(t, p).Release()
		<-time.After(time.Minute)
		began := time.Now()
		lease := acquire(t, p)
		assert.Equal(t, time.Second, time.Since(began), "CheckTimeout, and a build that takes no time")
		assert.Equal(t, 2, maker.Made())
		lease.Release()
		synctest.Wait()
		assert.EqualValues(t, 1, p.Stats().Destroyed[resource.CheckFailed])
	})
}

// TestAcquire_ACheckCutShortCondemnsNoValue ends the ctx of a Check before CheckTimeout, in several ways.
func TestAcquire_ACheckCutShortCondemnsNoValue(t *testing.T) {
	enough := errors.New("enough")
	for name, test := range map[string]struct {
		options pool.Options
		ctx     func(ctx context.Context) (context.Context, context.CancelFunc)
		try     bool
		ignores bool // Check returns an error of its own when its ctx ends
		after   time.Duration
		is      []error
		text    string
	}{
		"deadline": {
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 100*time.Millisecond)
			},
			after: 100 * time.Millisecond, is: []error{context.DeadlineExceeded},
			text: "acquire: no resource within 100ms, 100ms in Check: context deadline exceeded (0 of 4 held, 0 waiting, 0 being built, 1 being checked): a value is still being checked; look at what Check waits for",
		},
		"cancel with a cause": {
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancelCause(ctx)
				time.AfterFunc(100*time.Millisecond, func() { cancel(enough) })
				return ctx, func() {}
			},
			after: 100 * time.Millisecond, is: []error{context.Canceled, enough}, ignores: true,
			text: "acquire: no resource within 100ms, 100ms in Check: context canceled: enough (0 of 4 held, 0 waiting, 0 being built, 1 being checked)",
		},
		"AcquireTimeout": {
			options: pool.Options{AcquireTimeout: 300 * time.Millisecond}, after: 300 * time.Millisecond, is: []error{pool.ErrAcquireTimeout},
			text: "acquire: no resource within 300ms, 300ms in Check (0 of 4 held, 0 waiting, 0 being built, 1 being checked): a value is still being checked; look at what Check waits for",
		},
		"TryAcquire, whose ctx bounds it": {
			try: true, options: pool.Options{AcquireTimeout: time.Millisecond},
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 900*time.Millisecond)
			},
			after: 900 * time.Millisecond, is: []error{context.DeadlineExceeded}, ignores: true,
			text: "acquire: no resource within 900ms, 900ms in Check: context deadline exceeded (0 of 4 held, 0 waiting, 0 being built, 1 being checked): a value is still being checked; look at what Check waits for",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.options.Name, test.options.MaxSize = "orders", 4
				again := make(chan struct{})
				p, maker := newPool(t, test.options, checking(func(ctx context.Context, _ *fake.Value, n int) error {
					if n == 1 {
						err := hang(ctx)
						if test.ignores {
							err = errHook
						}
						return err
					}
					deadline, ok := ctx.Deadline()
					assert.True(t, ok)
					assert.Equal(t, time.Second, time.Until(deadline), "all of CheckTimeout")
					<-again
					return nil
				}))
				acquire(t, p).Release()
				<-time.After(time.Minute)
				ctx := t.Context()
				if test.ctx != nil {
					limited, cancel := test.ctx(ctx)
					defer cancel()
					ctx = limited
				}
				began := time.Now()
				call := p.Acquire
				if test.try {
					call = p.TryAcquire
				}
				_, err := call(ctx)
				assert.Equal(t, test.after, time.Since(began))
				for _, target := range test.is {
					assert.ErrorIs(t, err, target)
				}
				assert.EqualError(t, err, `headpond/pool "orders": `+test.text)
				var failed *pool.Error
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, test.after, failed.Checking)
				synctest.Wait()
				stats := p.Stats()
				assert.Equal(t, 1, stats.Checking, "the pool checks it once more")
				assert.Equal(t, 1, stats.Live())
				assert.EqualValues(t, 1, stats.Rejected)
				assert.EqualValues(t, 1, stats.TimedOut+stats.Cancelled)
				close(again)
				synctest.Wait()
				assert.Equal(t, 1, p.Stats().Idle)
				assert.Equal(t, 1, maker.Made())
			})
		})
	}
}

func TestAcquire_AValueCheckedAgainServesTheNextOrEnds(t *testing.T) {
	for name, good := range map[string]bool{"good": true, "bad": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, maker := newPool(t, pool.Options{MaxSize: 1}, checking(func(ctx context.Context, v *fake.Value, n int) error {
					switch {
					case v.ID > 1 || n == 2 && good:
						return nil
					case n == 2:
						return errHook
					}
					return hang(ctx)
				}))
				acquire(t, p).Release()
				<-time.After(time.Minute)
				next := make(chan pool.Lease[*fake.Value])
				time.AfterFunc(50*time.Millisecond, func() { next <- acquire(t, p) })
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				_, err := p.Acquire(ctx)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				lease := <-next
				want := 2
				if good {
					want = 1
				}
				assert.Equal(t, want, lease.Value().ID)
				assert.Equal(t, want, maker.Made())
				lease.Release()
			})
		})
	}
}

// TestAcquire_ACheckThatCheckTimeoutEndsCondemns has the limits of the acquire end at the same moment, or after it.
func TestAcquire_ACheckThatCheckTimeoutEndsCondemns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1, AcquireTimeout: time.Second}, checking(func(ctx context.Context, _ *fake.Value, n int) error {
			assert.Equal(t, 1, n)
			return hang(ctx)
		}))
		acquire(t, p).Release()
		<-time.After(time.Minute)
		_, err := p.Acquire(t.Context())
		require.ErrorIs(t, err, pool.ErrAcquireTimeout)
		synctest.Wait()
		assert.EqualValues(t, 1, p.Stats().Destroyed[resource.CheckFailed])
	})
}

func TestAcquire_CloseWaitsForAValueThatIsCheckedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1}, checking(func(ctx context.Context, _ *fake.Value, n int) error {
			err := hang(ctx)
			if n == 2 {
				assert.ErrorIs(t, err, pool.ErrClosed)
				<-time.After(time.Second) // it takes its time
			}
			return err
		}))
		acquire(t, p).Release()
		<-time.After(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := p.Acquire(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		began := time.Now()
		require.NoError(t, p.Close(t.Context()))
		assert.Equal(t, time.Second, time.Since(began))
		assert.EqualValues(t, 1, p.Stats().Destroyed[resource.Closed])
	})
}

// TestAcquire_AHookOfThePoolsOwnCheckMayPanicOrExit has the second Check, for no caller, do it.
func TestAcquire_AHookOfThePoolsOwnCheckMayPanicOrExit(t *testing.T) {
	for _, way := range []fake.Way{fake.Panics, fake.Exits} {
		t.Run(way.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, maker := scripted(t, pool.Options{MaxSize: 1}, fake.Script{Check: fake.Hangs})
				acquire(t, p).Release()
				<-time.After(time.Minute)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Millisecond, func() {
					maker.Follow(fake.Script{Check: way})
					cancel()
				})
				_, err := p.Acquire(ctx)
				require.ErrorIs(t, err, context.Canceled)
				synctest.Wait()
				maker.Follow(fake.Script{})
				assert.Zero(t, p.Stats().Live())
				assert.EqualValues(t, 1, p.Stats().Destroyed[resource.Panicked])
				acquire(t, p).Release()
			})
		})
	}
}

// TestAcquire_OneTimeoutForEveryWait has an acquire wait in the queue, check a dead value, and wait for a build.
func TestAcquire_OneTimeoutForEveryWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		constructs := 0
		p, _ := newPool(t, pool.Options{Name: "orders", MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1, CheckTimeout: time.Minute}},
			func(h *resource.Hooks[*fake.Value]) {
				construct := h.Construct
				h.Construct = func(ctx context.Context) (*fake.Value, error) {
					if constructs++; constructs > 1 {
						<-time.After(4 * time.Second)
					}
					return construct(ctx)
				}
			}, checking(func(_ context.Context, v *fake.Value, n int) error {
				if v.ID == 1 && n == 2 {
					<-time.After(2 * time.Second)
					return errHook
				}
				return nil
			}))
		lease := acquire(t, p)
		time.AfterFunc(time.Second, lease.Release)
		began := time.Now()
		_, err := p.Acquire(t.Context())
		assert.Equal(t, 5*time.Second, time.Since(began))
		assert.EqualError(t, err, `headpond/pool "orders": acquire: no resource within 5s, 2s in Check, 2s waiting for builds, 1s in the queue (0 of 1 held, 0 waiting, 1 being built): a build is still under way; look at what Construct waits for`)
		assert.EqualValues(t, 1, p.Stats().TimedOut)
		<-time.After(time.Minute)
	})
}

func TestAcquire_PrepareIsBoundByTheCallersCtxAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{}, func(h *resource.Hooks[*fake.Value]) {
			h.Prepare = func(ctx context.Context, _ *fake.Value) error {
				_, limited := ctx.Deadline()
				assert.False(t, limited)
				<-time.After(time.Minute)
				return nil
			}
		})
		acquire(t, p).Release()
	})
}

func TestAcquire_ManyDeadValues(t *testing.T) {
	for name, test := range map[string]struct {
		destroy time.Duration
		want    time.Duration // 0: ErrAcquireTimeout
	}{
		"destructors are quick": {0, 2 * time.Second}, // two Checks, and a slot
		"destructors are slow":  {15 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const size = 10
				p, maker := newPool(t, pool.Options{Name: "orders", MaxSize: size, AcquireTimeout: 5 * time.Second}, func(h *resource.Hooks[*fake.Value]) {
					destroy := h.Destroy
					h.Destroy = func(ctx context.Context, v *fake.Value) error {
						<-time.After(test.destroy)
						return destroy(ctx, v)
					}
				}, checking(func(ctx context.Context, v *fake.Value, _ int) error {
					if v.ID <= size {
						return hang(ctx) // a black hole
					}
					return nil
				}))
				hold(t, p, size)
				<-time.After(time.Minute)
				began := time.Now()
				lease, err := p.Acquire(t.Context())
				if test.want > 0 {
					require.NoError(t, err)
					assert.LessOrEqual(t, time.Since(began), test.want)
					lease.Release()
					return
				}
				require.ErrorIs(t, err, pool.ErrAcquireTimeout)
				assert.Equal(t, 5*time.Second, time.Since(began))
				assert.ErrorContains(t, err, "no resource within 5s, 2s in Check, 3s in the queue (0 of 10 held, 0 waiting, 0 being built, ")
				stats := p.Stats()
				assert.GreaterOrEqual(t, stats.Destroying+stats.Checking, 9, "the pool has looked at the others meanwhile: %+v", stats)
				for range 3 { // which are as good as gone, when the slots come
					<-time.After(5 * time.Second)
				}
				hold(t, p, size)
				assert.Equal(t, 2*size, maker.Made())
			})
		})
	}
}

// TestAcquire_AGoodValueBehindDeadOnesIsFound has the only good one idle for the longest time, and slots that do not come.
func TestAcquire_AGoodValueBehindDeadOnesIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 8
		var most, now atomic.Int64
		p, _ := newPool(t, pool.Options{MaxSize: size, AcquireTimeout: -1}, func(h *resource.Hooks[*fake.Value]) {
			destroy := h.Destroy
			h.Destroy = func(ctx context.Context, v *fake.Value) error {
				<-time.After(14 * time.Second)
				return destroy(ctx, v)
			}
		}, checking(func(ctx context.Context, v *fake.Value, _ int) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			if v.ID == 1 {
				return nil
			}
			return hang(ctx)
		}))
		hold(t, p, size)
		<-time.After(time.Minute)
		began := time.Now()
		lease := acquire(t, p)
		assert.Equal(t, 1, lease.Value().ID)
		assert.Equal(t, 4*time.Second, time.Since(began), "two by itself, then one, two and four at the same time")
		assert.LessOrEqual(t, most.Load(), int64(4))
		lease.Release()
		<-time.After(time.Minute)
	})
}

// TestAcquire_ASuspectIsCheckedWhateverCheckAfterIdleSays has a Check fail a moment after other values came back.
func TestAcquire_ASuspectIsCheckedWhateverCheckAfterIdleSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := false
		var checked []int
		p, _ := newPool(t, pool.Options{MaxSize: 3, Policy: resource.Policy{CheckAfterIdle: time.Hour}}, checking(func(_ context.Context, v *fake.Value, _ int) error {
			checked = append(checked, v.ID)
			if down && v.ID == 1 {
				return errHook
			}
			return nil
		}))
		one, two, three := acquire(t, p), acquire(t, p), acquire(t, p)
		two.Release()
		<-time.After(59 * time.Minute)
		three.Release()
		one.Release()
		<-time.After(time.Hour)
		one = acquire(t, p) // checked, good
		three = acquire(t, p)
		two = acquire(t, p)
		require.Equal(t, []int{1, 3, 2}, checked)
		checked = nil
		one.Release() // idle for longest from here on
		<-time.After(time.Hour - time.Minute)
		two.Release()
		<-time.After(30 * time.Second)
		three.Release()
		<-time.After(30 * time.Second)
		down = true
		three, two = acquire(t, p), acquire(t, p)
		require.Empty(t, checked, "they were idle for less than an hour")
		two.Release()
		<-time.After(time.Second)
		lease := acquire(t, p)
		require.Equal(t, 2, lease.Value().ID)
		fresh := acquire(t, p) // 1 fails its Check: what was good before that is suspect
		require.Equal(t, 4, fresh.Value().ID)
		require.Equal(t, []int{1}, checked)
		fresh.Release()
		lease.Release()
		three.Release()
		<-time.After(time.Second)
		hold(t, p, 3)
		require.Equal(t, []int{1}, checked, "all were built or released after it")
	})
}

// TestAcquire_WhatIsIdleWhenACheckFailsIsSuspect has a value released just before the Check of an older one fails.
func TestAcquire_WhatIsIdleWhenACheckFailsIsSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checked []int
		p, _ := newPool(t, pool.Options{MaxSize: 3, Policy: resource.Policy{CheckAfterIdle: time.Minute}}, checking(func(_ context.Context, v *fake.Value, _ int) error {
			checked = append(checked, v.ID)
			if v.ID == 1 {
				<-time.After(500 * time.Millisecond)
				return errHook
			}
			return nil
		}))
		one, two := acquire(t, p), acquire(t, p)
		one.Release()
		<-time.After(time.Minute)
		time.AfterFunc(100*time.Millisecond, two.Release) // while 1 is checked
		lease := acquire(t, p)
		assert.Equal(t, 2, lease.Value().ID)
		assert.Equal(t, []int{1, 2}, checked, "2 was idle for 400 ms")
		lease.Release()
		<-time.After(time.Millisecond)
		acquire(t, p).Release()
		assert.Equal(t, []int{1, 2}, checked, "it is known to be good since")
	})
}

func TestAcquire_WhatWasIdleWhenACheckFailedIsSuspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checked []int
		p, _ := newPool(t, pool.Options{MaxSize: 3, Policy: resource.Policy{CheckAfterIdle: time.Minute}}, checking(func(_ context.Context, v *fake.Value, _ int) error {
			checked = append(checked, v.ID)
			if v.ID == 1 {
				return errHook
			}
			return nil
		}))
		one, two := acquire(t, p), acquire(t, p)
		one.Release()
		<-time.After(59 * time.Second)
		two.Release()
		<-time.After(time.Second)
		held := acquire(t, p) // 2, without a Check
		lease := acquire(t, p)
		assert.Equal(t, 3, lease.Value().ID)
		assert.Equal(t, []int{1}, checked)
		lease.Release()
		held.Release()
		assert.Equal(t, []int{1}, checked)
		<-time.After(time.Millisecond)
		for want := 2; want <= 3; want++ {
			lease := acquire(t, p)
			defer lease.Release()
		}
		assert.Equal(t, []int{1}, checked, "both were released after the Check failed")
	})
}

// TestTryAcquire_LeavesSuspectsAfterTwoFailedChecks: it neither waits, nor goes through all of them.
func TestTryAcquire_LeavesSuspectsAfterTwoFailedChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 5}, checking(func(ctx context.Context, _ *fake.Value, _ int) error { return hang(ctx) }))
		hold(t, p, 5)
		<-time.After(time.Minute)
		began := time.Now()
		_, err := p.TryAcquire(t.Context())
		require.ErrorIs(t, err, pool.ErrUnavailable)
		assert.Equal(t, 2*time.Second, time.Since(began))
		assert.Equal(t, 3, p.Stats().Idle)
	})
}

// TestAcquire_CheckAfterIdleIsReachedWhenItIsTouched is exact to the nanosecond.
func TestAcquire_CheckAfterIdleIsReachedWhenItIsTouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := 0
		p, _ := newPool(t, pool.Options{Policy: resource.Policy{CheckAfterIdle: time.Minute}}, checking(func(context.Context, *fake.Value, int) error {
			checks++
			return nil
		}))
		acquire(t, p).Release()
		<-time.After(time.Minute - 1)
		acquire(t, p).Release()
		assert.Zero(t, checks)
		<-time.After(time.Minute)
		acquire(t, p).Release()
		assert.Equal(t, 1, checks)
	})
}

func TestAcquire_ExtremesAreTakenAtTheirWord(t *testing.T) {
	const forever = time.Duration(math.MaxInt64)
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{
			MaxSize: math.MaxInt, MaxIdle: math.MaxInt, MaxConstructing: math.MaxInt, MaxWaiters: math.MaxInt,
			AcquireTimeout: forever, MaintainEvery: forever, LeakAfter: forever,
			Policy: resource.Policy{
				MaxLifetime: forever, LifetimeJitter: forever - 1, MaxIdleTime: forever, MaxUses: math.MaxInt, CheckAfterIdle: forever,
				ConstructTimeout: forever, CheckTimeout: forever, ResetTimeout: forever, DestroyTimeout: forever,
			},
		}, func(h *resource.Hooks[*fake.Value]) {
			slow(h, pool.Construct)
			slow(h, pool.Destroy)
			look := func(ctx context.Context, _ *fake.Value) error { return ctx.Err() }
			h.Check, h.Reset = look, look
		})
		acquire(t, p).Release()
		<-time.After(time.Minute)
		require.NoError(t, p.Resize(1))
		lease := acquire(t, p)
		got := make(chan pool.Lease[*fake.Value])
		go func() { got <- acquire(t, p) }()
		synctest.Wait()
		lease.Discard()
		lease = <-got
		assert.Equal(t, 2, lease.Value().ID, "the slot was free when Destroy had returned")
		lease.Release()
		require.NoError(t, p.Resize(math.MaxInt))
		assert.Zero(t, p.Stats().Abandoned)
		acquire(t, p).Release()
		assert.GreaterOrEqual(t, p.Stats().OldestWait, time.Duration(0))
	})
	synctest.Test(t, func(t *testing.T) {
		dead := true
		p, _ := newPool(t, pool.Options{MaxSize: 2}, checking(func(context.Context, *fake.Value, int) error {
			if dead {
				dead = false
				return errHook
			}
			return nil
		}))
		require.NoError(t, p.Resize(math.MaxInt))
		acquire(t, p).Release()
		<-time.After(time.Minute)
		acquire(t, p).Release()
	})
}

// panicky is a ctx one of whose methods panics from its n-th call on.
type panicky struct {
	context.Context
	method string
	left   *atomic.Int64
}

func (p panicky) call(method string) {
	if p.method == method && p.left.Add(-1) < 0 {
		panic("ctx: " + method)
	}
}

func (p panicky) Deadline() (time.Time, bool) { p.call("Deadline"); return p.Context.Deadline() }
func (p panicky) Done() <-chan struct{}       { p.call("Done"); return p.Context.Done() }
func (p panicky) Err() error                  { p.call("Err"); return p.Context.Err() }
func (p panicky) Value(key any) any           { p.call("Value"); return p.Context.Value(key) }

// TestAcquire_ACtxThatPanicsCostsItsCallerAlone has every method panic, at the first to the sixth call,
// in every way of an acquire. Afterwards the pool of one has its slot, and its value or a new one.
func TestAcquire_ACtxThatPanicsCostsItsCallerAlone(t *testing.T) {
	_ = pool.WithLabel(t.Context(), "") // from now on each acquire asks its ctx for a label
	for _, method := range []string{"Deadline", "Done", "Err", "Value"} {
		for calls := range int64(6) {
			for name, way := range map[string]func(t *testing.T, p *pool.Pool[*fake.Value], ctx context.Context){
				"builds": func(t *testing.T, p *pool.Pool[*fake.Value], ctx context.Context) { acquireAndRelease(p, ctx) },
				"checks": func(t *testing.T, p *pool.Pool[*fake.Value], ctx context.Context) {
					acquire(t, p).Release()
					<-time.After(time.Minute)
					acquireAndRelease(p, ctx)
				},
				"rejects": func(t *testing.T, p *pool.Pool[*fake.Value], ctx context.Context) {
					lease := acquire(t, p)
					lease.Value().Prepared = -1 // its Check fails
					lease.Release()
					<-time.After(time.Minute)
					acquireAndRelease(p, ctx)
				},
				"waits": func(t *testing.T, p *pool.Pool[*fake.Value], ctx context.Context) {
					lease := acquire(t, p)
					time.AfterFunc(time.Second, lease.Release)
					acquireAndRelease(p, ctx)
				},
				"waits in vain": func(t *testing.T, p *pool.Pool[*fake.Value], ctx context.Context) {
					lease := acquire(t, p)
					time.AfterFunc(100*time.Second, lease.Release)
					acquireAndRelease(p, ctx)
					<-time.After(100 * time.Second)
				},
				"warms":  func(_ *testing.T, p *pool.Pool[*fake.Value], ctx context.Context) { _ = p.Warm(ctx, 1) },
				"closes": func(_ *testing.T, p *pool.Pool[*fake.Value], ctx context.Context) { _ = p.Close(ctx) },
			} {
				synctest.Test(t, func(t *testing.T) {
					p, _ := newPool(t, pool.Options{MaxSize: 1, AcquireTimeout: -1}, func(h *resource.Hooks[*fake.Value]) {
						slow(h, pool.Construct)
						look := func(ctx context.Context, v *fake.Value) error {
							_, _ = ctx.Deadline()
							_ = ctx.Value("key")
							if v.Prepared < 0 {
								return errHook
							}
							return ctx.Err()
						}
						h.Check, h.Prepare = look, func(ctx context.Context, v *fake.Value) error { return ctx.Err() }
					})
					left := &atomic.Int64{}
					left.Store(calls)
					ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
					defer cancel()
					func() {
						defer func() { _ = recover() }()
						way(t, p, panicky{ctx, method, left})
					}()
					<-time.After(3 * time.Minute)
					stats := p.Stats()
					assert.Equal(t, stats.Live(), stats.Idle, "%s: %s panics after %d calls: %+v", name, method, calls, stats)
					if !stats.Closed {
						acquire(t, p).Release()
					}
				})
			}
		}
	}
}

func acquireAndRelease(p *pool.Pool[*fake.Value], ctx context.Context) {
	if lease, err := p.Acquire(ctx); err == nil {
		lease.Release()
	}
}
