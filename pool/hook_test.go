package pool_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type callerKey struct{}

// seen is what a hook saw of its ctx.
type seen struct {
	ctx    context.Context
	value  any           // the caller's
	within time.Duration // until its deadline; 0: none
}

func look(ctx context.Context) seen {
	s := seen{ctx: ctx, value: ctx.Value(callerKey{})}
	if deadline, ok := ctx.Deadline(); ok {
		s.within = time.Until(deadline)
	}
	return s
}

// looking is a pool of one whose hooks look at their ctx.
func looking(t *testing.T, policy resource.Policy) (*pool.Pool[*fake.Value], map[pool.Op]seen) {
	all := make(map[pool.Op]seen)
	policy.CheckAfterIdle = -1
	p, _ := newPool(t, pool.Options{MaxSize: 1, Policy: policy}, func(hooks *resource.Hooks[*fake.Value]) {
		construct := hooks.Construct
		hooks.Construct = func(ctx context.Context) (*fake.Value, error) {
			all[pool.Construct] = look(ctx)
			return construct(ctx)
		}
		by := func(op pool.Op, hook func(context.Context, *fake.Value) error) func(context.Context, *fake.Value) error {
			return within(func(ctx context.Context) { all[op] = look(ctx) }, hook)
		}
		hooks.Check = by(pool.Check, hooks.Check)
		hooks.Prepare = by(pool.Prepare, hooks.Prepare)
		hooks.Reset = by(pool.Reset, hooks.Reset)
		hooks.Destroy = by(pool.Destroy, hooks.Destroy)
	})
	return p, all
}

func TestTheCtxOfEachHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, all := looking(t, resource.Policy{ConstructTimeout: 1 * time.Second, CheckTimeout: 2 * time.Second, ResetTimeout: 3 * time.Second, DestroyTimeout: 4 * time.Second})
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), callerKey{}, "caller"), time.Minute)
		defer cancel()
		lease, err := p.Acquire(ctx)
		require.NoError(t, err)
		lease.Release()
		acquire(t, p).Discard()
		synctest.Wait()

		assert.Equal(t, seen{all[pool.Construct].ctx, "caller", time.Second}, all[pool.Construct])
		assert.Equal(t, seen{all[pool.Check].ctx, nil, 2 * time.Second}, all[pool.Check], "of the second, who has no value")
		assert.Equal(t, seen{context.Background(), nil, 0}, all[pool.Prepare], "the caller's own")
		assert.Equal(t, seen{all[pool.Reset].ctx, nil, 3 * time.Second}, all[pool.Reset], "the pool's")
		assert.Equal(t, seen{all[pool.Destroy].ctx, nil, 4 * time.Second}, all[pool.Destroy], "the pool's")

		again, err := p.Acquire(ctx)
		require.NoError(t, err)
		assert.Equal(t, "caller", all[pool.Check].value)
		assert.Equal(t, ctx, all[pool.Prepare].ctx)
		again.Release()
	})
}

func TestANegativeConstructTimeoutIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, all := looking(t, resource.Policy{ConstructTimeout: -1})
		acquire(t, p).Release()
		assert.Zero(t, all[pool.Construct].within)
	})
}

// TestACtxThatIsKeptHasEnded looks at the ctx of hooks that have returned, both if
// the hook asked it for something that may end, and if it did not.
func TestACtxThatIsKeptHasEnded(t *testing.T) {
	for _, asked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var kept []context.Context
			keep := func(ctx context.Context, _ *fake.Value) error {
				if asked {
					ctx.Done()
				}
				kept = append(kept, ctx)
				return nil
			}
			p, _ := newPool(t, pool.Options{MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1}}, func(hooks *resource.Hooks[*fake.Value]) {
				hooks.Check, hooks.Reset = keep, keep
			})
			lease, err := p.Acquire(context.WithValue(t.Context(), callerKey{}, "caller"))
			require.NoError(t, err)
			lease.Release()
			require.Len(t, kept, 2)
			for _, ctx := range kept {
				if !asked {
					assert.Nil(t, ctx.Value(callerKey{}), "nothing of the caller is kept alive")
				}
				assert.ErrorIs(t, ctx.Err(), context.Canceled)
				<-ctx.Done()
				child, cancel := context.WithCancel(ctx)
				<-child.Done()
				cancel()
			}
		})
	}
}

type onValue struct {
	context.Context
	do func()
}

func (c onValue) Value(key any) any {
	c.do()
	return c.Context.Value(key)
}

// TestHooks_TheTimeoutCountsFromTheCall has hooks ask for their deadline late.
func TestHooks_TheTimeoutCountsFromTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := map[pool.Op]time.Duration{}
		late := func(op pool.Op) func(context.Context, *fake.Value) error {
			return func(ctx context.Context, _ *fake.Value) error {
				<-time.After(time.Second)
				deadline, ok := ctx.Deadline()
				assert.True(t, ok)
				left[op] = time.Until(deadline)
				return nil
			}
		}
		p, _ := newPool(t, pool.Options{Policy: resource.Policy{CheckAfterIdle: -1, CheckTimeout: 3 * time.Second, ResetTimeout: 4 * time.Second}},
			func(hooks *resource.Hooks[*fake.Value]) {
				hooks.Check, hooks.Reset = late(pool.Check), late(pool.Reset)
			})
		acquire(t, p).Release()
		assert.Equal(t, map[pool.Op]time.Duration{pool.Check: 2 * time.Second, pool.Reset: 3 * time.Second}, left)
	})
}

func TestConstruct_APanicOrGoexitIsAnError(t *testing.T) {
	for way, text := range map[fake.Way]string{fake.Panics: "construct panicked: boom", fake.Exits: "construct called runtime.Goexit"} {
		t.Run(way.String(), func(t *testing.T) {
			p, maker := scripted(t, pool.Options{MaxSize: 1}, fake.Script{Construct: way})
			_, err := p.Acquire(t.Context())
			var thrown *pool.PanicError
			require.ErrorAs(t, err, &thrown)
			assert.Equal(t, pool.Construct, thrown.Op)
			assert.EqualError(t, err, `headpond/pool "pool": construct: `+text)
			assert.Contains(t, string(thrown.Stack), "fake.Way.run")
			maker.Follow(fake.Script{})
			acquire(t, p).Release()
		})
	}
}

func TestDestroy_APanicOrGoexitIsCounted(t *testing.T) {
	for _, way := range []fake.Way{fake.Panics, fake.Exits} {
		t.Run(way.String(), func(t *testing.T) {
			p, _ := scripted(t, pool.Options{MaxSize: 1}, fake.Script{Destroy: way})
			acquire(t, p).Discard()
			acquire(t, p).Release() // the slot is free
			assert.EqualValues(t, 1, p.Stats().DestroyFailed)
			require.NoError(t, p.Close(t.Context()), "which hangs nowhere")
		})
	}
}

func TestConstruct_HangingOnesWedgeNeitherAcquireNorClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, maker := scripted(t, pool.Options{MaxSize: 2}, fake.Script{Construct: fake.Hangs})
		began := time.Now()
		for range 2 {
			_, err := p.Acquire(t.Context())
			assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
		}
		assert.Equal(t, 2, p.Stats().Constructing)
		assert.Equal(t, 10*time.Second, time.Since(began))
		maker.Follow(fake.Script{})
		_, err := p.Acquire(t.Context())
		require.ErrorIs(t, err, pool.ErrAcquireTimeout, "both slots are taken")
		<-time.After(21 * time.Second) // both have reached ConstructTimeout, and the rest after it is over
		acquire(t, p).Release()

		maker.Follow(fake.Script{Construct: fake.Hangs})
		held := acquire(t, p)
		go func() { acquire(t, p).Release() }()
		synctest.Wait()
		assert.Equal(t, 1, p.Stats().Constructing, "%+v", p.Stats())
		held.Release() // the caller that waits for its build gets it
		synctest.Wait()
		assert.Equal(t, 1, p.Stats().Idle)
		began = time.Now()
		require.NoError(t, p.Close(t.Context()))
		assert.Zero(t, time.Since(began), "Close ends the ctx of Construct")
	})
}

func TestHooks_AnotherPoolsAbandonedHookIsNotOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, _ := newPool(t, pool.Options{MaxSize: 1, AcquireTimeout: -1, Policy: resource.Policy{ConstructTimeout: time.Millisecond}},
			func(h *resource.Hooks[*fake.Value]) { slow(h, pool.Construct) })
		outer, _ := newPool(t, pool.Options{MaxSize: 1, AcquireTimeout: -1}, func(h *resource.Hooks[*fake.Value]) {
			h.Construct = func(ctx context.Context) (*fake.Value, error) {
				_, err := inner.Acquire(ctx)
				return nil, err
			}
		})
		_, err := outer.Acquire(t.Context())
		require.Error(t, err)
		assert.Zero(t, outer.Stats().Abandoned)
		assert.EqualValues(t, 1, inner.Stats().Abandoned)
		<-time.After(time.Minute)
	})
}

func TestCheck_AnotherPoolsErrorMeansTheNextValue(t *testing.T) {
	other, _ := newPool(t, pool.Options{Name: "other"})
	require.NoError(t, other.Close(t.Context()))
	failed := false
	p, _ := newPool(t, pool.Options{MaxSize: 2, Policy: resource.Policy{CheckAfterIdle: -1}}, func(h *resource.Hooks[*fake.Value]) {
		h.Check = func(ctx context.Context, _ *fake.Value) (err error) {
			if !failed {
				failed = true
				_, err = other.Acquire(ctx)
			}
			return err
		}
	})
	acquire(t, p).Release()
	assert.True(t, failed)
}
