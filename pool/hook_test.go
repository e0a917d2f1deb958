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

// TestACtxThatIsKeptHasEnded looks at the ctx of hooks that have returned, both where
// the hook asked it for something that may end, and where it did not.
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

// TestOneWhoseTurnComesBeforeHeWaits has a value come back just before its caller joins the queue:
// while the pool asks the ctx whether it is nested.
func TestOneWhoseTurnComesBeforeHeWaits(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 1})
	lease := acquire(t, p)
	next, err := p.Acquire(onValue{t.Context(), lease.Release})
	require.NoError(t, err)
	assert.Zero(t, p.Stats().Waited)
	next.Release()
}

type onValue struct {
	context.Context
	do func()
}

func (c onValue) Value(key any) any {
	c.do()
	return c.Context.Value(key)
}
