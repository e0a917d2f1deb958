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
	"github.com/jackc/puddle/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestErrorsSayWhatHappenedAndWhatToDo(t *testing.T) {
	cause := errors.New("shutting down")
	for _, test := range []struct {
		name   string
		script fake.Script
		held   int // beforehand
		ctx    func(ctx context.Context) (context.Context, context.CancelFunc)
		is     []error
		want   string
	}{
		{
			name: "timeout", held: 1, is: []error{pool.ErrAcquireTimeout, context.DeadlineExceeded},
			want: `acquire: no resource within 5s (1 of 1 held, 0 waiting, 0 being built, longest held: #1 for 5s): release sooner, raise MaxSize, or set LeakAfter to learn who holds`,
		},
		{
			name: "timeout while building", script: fake.Script{Construct: fake.Hangs}, is: []error{pool.ErrAcquireTimeout, context.DeadlineExceeded},
			want: `acquire: no resource within 5s (0 of 1 held, 0 waiting, 1 being built): a build is still under way; look at what Construct waits for`,
		},
		{
			name: "deadline", held: 1, is: []error{context.DeadlineExceeded},
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, time.Second)
			},
			want: `acquire: no resource within 1s: context deadline exceeded (1 of 1 held, 0 waiting, 0 being built, longest held: #1 for 1s): release sooner, raise MaxSize, or set LeakAfter to learn who holds`,
		},
		{
			name: "deadline with a cause", held: 1, is: []error{context.DeadlineExceeded, cause},
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeoutCause(ctx, time.Second, cause)
			},
			want: `acquire: no resource within 1s: context deadline exceeded: shutting down (1 of 1 held, 0 waiting, 0 being built, longest held: #1 for 1s): release sooner, raise MaxSize, or set LeakAfter to learn who holds`,
		},
		{
			name: "a ctx that has ended", is: []error{context.Canceled, cause},
			ctx: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancelCause(ctx)
				cancel(cause)
				return ctx, func() {}
			},
			want: `acquire: context canceled: shutting down`,
		},
		{name: "construct", script: fake.Script{Construct: fake.Fails}, is: []error{fake.ErrFailed}, want: `construct: fake: the hook failed`},
		{name: "construct panics", script: fake.Script{Construct: fake.Panics}, want: `construct: construct panicked: boom`},
		{name: "construct exits", script: fake.Script{Construct: fake.Exits}, want: `construct: construct called runtime.Goexit`},
		{name: "check", script: fake.Script{Check: fake.Fails}, is: []error{fake.ErrFailed}, want: `check: none of 2 values was good, the last one: fake: the hook failed`},
		{name: "check panics", script: fake.Script{Check: fake.Panics}, want: `check: none of 2 values was good, the last one: check panicked: boom`},
		{name: "prepare", script: fake.Script{Prepare: fake.Fails}, is: []error{fake.ErrFailed}, want: `prepare: fake: the hook failed`},
		{name: "prepare panics", script: fake.Script{Prepare: fake.Panics}, want: `prepare: prepare panicked: boom`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, maker := scripted(t, pool.Options{Name: "orders", MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1}}, fake.Script{})
				for range test.held {
					defer acquire(t, p).Release()
				}
				maker.Follow(test.script)
				ctx := t.Context()
				if test.ctx != nil {
					limited, cancel := test.ctx(ctx)
					defer cancel()
					ctx = limited
				}
				_, err := p.Acquire(ctx)
				assert.EqualError(t, err, `headpond/pool "orders": `+test.want)
				for _, target := range test.is {
					assert.ErrorIs(t, err, target)
				}
				var failure *pool.Error
				require.ErrorAs(t, err, &failure)
				assert.Equal(t, "orders", failure.Pool)
				assert.Equal(t, errors.Unwrap(err), failure.Err)
				assert.NotErrorIs(t, err, puddle.ErrClosedPool)
				assert.NotErrorIs(t, err, puddle.ErrNotAvailable)
			})
		})
	}
}

func TestErrorsAreDifferent(t *testing.T) {
	all := []error{pool.ErrClosed, pool.ErrAcquireTimeout, pool.ErrUnavailable, pool.ErrSaturated, pool.ErrNested}
	for i, one := range all {
		for j, other := range all {
			assert.Equal(t, i == j, errors.Is(one, other), "%v, %v", one, other)
		}
	}
	assert.NotErrorIs(t, pool.ErrAcquireTimeout, context.Canceled)
	var timeout interface{ Timeout() bool }
	require.ErrorAs(t, pool.ErrAcquireTimeout, &timeout)
	assert.True(t, timeout.Timeout())
	assert.EqualError(t, pool.ErrAcquireTimeout, "acquire timeout")
}

func TestAPanicWithAnErrorIsThatError(t *testing.T) {
	failure := errors.New("out of range")
	p, _ := newPool(t, pool.Options{}, func(hooks *resource.Hooks[*fake.Value]) {
		hooks.Prepare = func(context.Context, *fake.Value) error { panic(failure) }
	})
	_, err := p.Acquire(t.Context())
	assert.ErrorIs(t, err, failure)
	var thrown *pool.PanicError
	require.ErrorAs(t, err, &thrown)
	assert.Equal(t, failure, thrown.Value)
	assert.NoError(t, (&pool.PanicError{Value: "text"}).Unwrap())
}

func TestAConstructThatIgnoresWhyItsCtxEndedIsToldFromIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := errors.New("dial: i/o timeout")
		p, _ := newPool(t, pool.Options{Policy: resource.Policy{ConstructTimeout: time.Second}}, func(hooks *resource.Hooks[*fake.Value]) {
			hooks.Construct = func(ctx context.Context) (*fake.Value, error) {
				<-ctx.Done()
				return nil, dial
			}
		})
		_, err := p.Acquire(t.Context())
		assert.ErrorIs(t, err, dial)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.EqualError(t, err, `headpond/pool "pool": construct: context deadline exceeded: dial: i/o timeout`)
	})
}

func TestNamesOfWhatEventsCarry(t *testing.T) {
	for op, want := range map[pool.Op]string{
		pool.Acquire: "acquire", pool.Construct: "construct", pool.Check: "check", pool.Prepare: "prepare", pool.Release: "release",
		pool.Reset: "reset", pool.Destroy: "destroy", pool.Warm: "warm", pool.Resize: "resize", pool.Close: "close",
		pool.Operation: "operation", pool.Commit: "commit", pool.Checkpoint: "checkpoint", pool.Failing: "failing", pool.Statement: "statement", 0: "none", pool.Statement + 1: "Op(16)", 255: "Op(255)",
	} {
		assert.Equal(t, want, op.String())
	}
	for source, want := range map[pool.Source]string{0: "", pool.Idle: "idle", pool.Created: "created", pool.Handoff: "handoff"} {
		assert.Equal(t, want, source.String())
	}
	for outcome, want := range map[pool.Outcome]string{0: "", pool.Returned: "returned", pool.Destroyed: "destroyed", pool.Detached: "detached"} {
		assert.Equal(t, want, outcome.String())
	}
}

// TestErrors_NeverSucceededIsOnlySaidIfItIsTrue has an outage after a success.
func TestErrors_NeverSucceededIsOnlySaidIfItIsTrue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down outage
		down.over.Store(true)
		p, _ := newPool(t, pool.Options{MaxSize: 1, AcquireTimeout: 20 * time.Millisecond}, down.hooks)
		acquire(t, p).Discard()
		down.over.Store(false)
		synctest.Wait()
		_, err := p.Acquire(t.Context())
		require.ErrorIs(t, err, errOutage)
		_, err = p.Acquire(t.Context())
		require.ErrorIs(t, err, pool.ErrAcquireTimeout)
		assert.NotContains(t, err.Error(), "never succeeded")
		assert.ErrorContains(t, err, "the last Construct failed: connection refused")
	})
}

// Answers jackc/pgx#2350, deadpool-rs/deadpool#9, zombiezen/go-sqlite#83.
func TestErrors_AreTypedAndCarryNameAndFigures(t *testing.T) {
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

func TestErrors_AcquireTimeoutSaysWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{Name: "orders", MaxSize: 1, LeakAfter: time.Hour})
		lease := acquire(t, p)
		began := time.Now()
		_, err := p.Acquire(t.Context())
		assert.Equal(t, 5*time.Second, time.Since(began))
		require.ErrorIs(t, err, pool.ErrAcquireTimeout)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var failure *pool.Error
		require.ErrorAs(t, err, &failure)
		assert.Len(t, failure.Holders, 1)
		assert.Regexp(t, `^headpond/pool "orders": acquire: no resource within 5s \(1 of 1 held, 0 waiting, 0 being built, longest held: #1 for 5s by .*pool_test.go:\d+ .*\): release sooner or raise MaxSize$`, err.Error())
		lease.Release()
	})
}

func TestErrors_TheCauseOfACancelIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := scripted(t, pool.Options{MaxSize: 1}, fake.Script{Construct: fake.Slow})
		cause := errors.New("the user left")
		for _, where := range []string{"building", "queue"} {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Millisecond, func() { cancel(cause) })
			_, err := p.Acquire(ctx)
			assert.ErrorIs(t, err, context.Canceled, where)
			assert.ErrorIs(t, err, cause, where)
			assert.ErrorContains(t, err, "acquire: no resource within 1ms: context canceled: the user left (0 of 1 held")
		}
		assert.EqualValues(t, 2, p.Stats().Cancelled)
		assert.EqualValues(t, 1, p.Stats().Waited)
		assert.Equal(t, time.Millisecond, p.Stats().WaitTime, "the failed ones included")
	})
}

// TestErrors_OfAnotherPoolInAHookAreToldAsSuch has hooks that acquire from a pool which has nothing to give.
func TestErrors_OfAnotherPoolInAHookAreToldAsSuch(t *testing.T) {
	for inner, options := range map[string]pool.Options{
		`headpond/pool "inner": acquire: no resource within 500ms (1 of 1 held, `:           {AcquireTimeout: time.Second / 2}, // sooner than CheckTimeout
		`headpond/pool "inner": acquire: wait queue is full (MaxWaiters) (1 of 1 held, 1 w`: {AcquireTimeout: time.Hour, MaxWaiters: 1},
	} {
		for want, change := range map[string]func(*resource.Hooks[*fake.Value], func(context.Context) error){
			"prepare: ": func(h *resource.Hooks[*fake.Value], fail func(context.Context) error) {
				h.Prepare = func(ctx context.Context, _ *fake.Value) error { return fail(ctx) }
			},
			"construct: ": func(h *resource.Hooks[*fake.Value], fail func(context.Context) error) {
				h.Construct = func(ctx context.Context) (*fake.Value, error) { return nil, fail(ctx) }
			},
			"check: none of 2 values was good, the last one: ": func(h *resource.Hooks[*fake.Value], fail func(context.Context) error) {
				h.Check = func(ctx context.Context, _ *fake.Value) error { return fail(ctx) }
			},
		} {
			t.Run(want+inner, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					options := options
					options.Name, options.MaxSize = "inner", 1
					p, _ := newPool(t, options)
					held := acquire(t, p)
					if options.MaxWaiters > 0 {
						go func() { acquire(t, p).Release() }()
						synctest.Wait()
					}
					outer, _ := newPool(t, pool.Options{Name: "outer", MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1}}, func(h *resource.Hooks[*fake.Value]) {
						change(h, func(ctx context.Context) error {
							_, err := p.Acquire(ctx)
							return err
						})
					})
					_, err := outer.Acquire(t.Context())
					assert.ErrorContains(t, err, `headpond/pool "outer": `+want+inner)
					assert.NotContains(t, err.Error(), "0 of 1 held", "the outer one's figures are not asked for")
					held.Release()
				})
			})
		}
	}
}

func TestErrors_ACauseThatIsTheTimeoutOfAnotherPoolIsKept(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&pool.Error{Pool: "other", Op: pool.Acquire, Err: pool.ErrAcquireTimeout})
	p, _ := newPool(t, pool.Options{Name: "orders"})
	_, err := p.Acquire(ctx)
	assert.ErrorContains(t, err, `headpond/pool "orders": acquire: context canceled: headpond/pool "other": acquire: no resource within 0s`)
}
