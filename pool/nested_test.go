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

func TestNestedAcquireNamesBothPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{Name: "orders", MaxSize: 1, LeakAfter: time.Hour})
		require.NoError(t, p.Do(t.Context(), func(ctx context.Context, _ *fake.Value) error {
			<-time.After(2 * time.Second)
			_, err := p.Acquire(ctx)
			require.ErrorIs(t, err, pool.ErrNested)
			assert.Regexp(t, `^headpond/pool "orders": acquire: waiting inside a lease or hook of the same pool would deadlock: `+
				`it holds #1 for 2s by .*nested_test\.go:\d+ .*TestNestedAcquireNamesBothPlaces.*, and here .*nested_test\.go:\d+ .*TestNestedAcquireNamesBothPlaces`, err.Error())
			return nil
		}))
	})
}

func TestNestedAcquireGoesThroughWhereThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2})
		for _, where := range []string{"built", "idle"} {
			require.NoError(t, p.Do(t.Context(), func(ctx context.Context, outer *fake.Value) error {
				return p.Do(ctx, func(ctx context.Context, inner *fake.Value) error {
					assert.NotSame(t, outer, inner, where)
					_, err := p.Acquire(ctx)
					assert.ErrorIs(t, err, pool.ErrNested, "a third of two")
					return nil
				})
			}))
		}
	})
}

func TestTheCtxOfALeaseIsNestedUntilItEnds(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 1})
	type key struct{}
	lease := acquire(t, p)
	ctx := lease.Context(context.WithValue(t.Context(), key{}, "kept"))
	assert.Equal(t, "kept", ctx.Value(key{}))
	_, err := p.Acquire(ctx)
	assert.ErrorIs(t, err, pool.ErrNested)
	lease.Release()
	again, err := p.Acquire(ctx)
	require.NoError(t, err)
	assert.Same(t, t.Context(), pool.Lease[*fake.Value]{}.Context(t.Context()))
	inner := again.Context(ctx) // below one that has ended
	_, err = p.Acquire(inner)
	assert.ErrorIs(t, err, pool.ErrNested)
	again.Release()
	require.NoError(t, p.Close(inner))
}

func TestNestedDoFailsWithErrNestedWhenFull(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 1})
	err := p.Do(t.Context(), func(ctx context.Context, _ *fake.Value) error {
		return p.Do(ctx, func(context.Context, *fake.Value) error { return nil })
	})
	assert.ErrorIs(t, err, pool.ErrNested)
}

func TestNestedTryAcquireIsUnavailable(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 1})
	require.NoError(t, p.Do(t.Context(), func(ctx context.Context, _ *fake.Value) error {
		_, err := p.TryAcquire(ctx)
		assert.ErrorIs(t, err, pool.ErrUnavailable)
		return nil
	}))
}

func TestAnotherPoolIsNotNested(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1})
		other, _ := newPool(t, pool.Options{MaxSize: 1})
		lease := acquire(t, other)
		time.AfterFunc(time.Second, lease.Release)
		require.NoError(t, p.Do(t.Context(), func(ctx context.Context, _ *fake.Value) error {
			return other.Do(ctx, func(ctx context.Context, _ *fake.Value) error {
				_, err := p.Acquire(ctx)
				assert.ErrorIs(t, err, pool.ErrNested, "the ctx belongs to both")
				return nil
			})
		}))
	})
}

// TestTheCtxOfDoCountsOnlyWhileItsLeaseIsOut keeps it.
func TestTheCtxOfDoCountsOnlyWhileItsLeaseIsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1})
		var kept context.Context
		require.NoError(t, p.Do(t.Context(), func(ctx context.Context, _ *fake.Value) error {
			kept = ctx
			return nil
		}))
		lease := acquire(t, p) // of the same value
		time.AfterFunc(time.Second, lease.Release)
		began := time.Now()
		waited, err := p.Acquire(kept)
		require.NoError(t, err)
		assert.Equal(t, time.Second, time.Since(began), "it waits as any other")
		waited.Release()
		require.NoError(t, p.Close(kept))
	})
}

// TestAcquireInAHookIsNested has each hook acquire from its own full pool, with its own ctx.
func TestAcquireInAHookIsNested(t *testing.T) {
	for _, test := range nestingHooks {
		t.Run(test.op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				var p *pool.Pool[*fake.Value]
				p, _ = newPool(t, pool.Options{MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1}}, test.hook(func(ctx context.Context) {
					if calls++; calls > 1 {
						return
					}
					_, err := p.Acquire(ctx)
					assert.ErrorIs(t, err, pool.ErrNested)
					assert.ErrorContains(t, err, "it is in the "+test.op.String()+" hook")
				}))
				began := time.Now()
				acquire(t, p).Release()
				acquire(t, p).Discard()
				synctest.Wait()
				assert.NotZero(t, calls)
				assert.Zero(t, time.Since(began))
			})
		})
	}
}

type nestingHook struct {
	op   pool.Op
	hook func(inside func(ctx context.Context)) func(*resource.Hooks[*fake.Value])
}

// nestingHooks are the hooks whose ctx knows of them. That of Prepare is the caller's own.
var nestingHooks = []nestingHook{
	{pool.Construct, func(inside func(context.Context)) func(*resource.Hooks[*fake.Value]) {
		return func(hooks *resource.Hooks[*fake.Value]) {
			construct := hooks.Construct
			hooks.Construct = func(ctx context.Context) (*fake.Value, error) {
				inside(ctx)
				return construct(ctx)
			}
		}
	}},
	{pool.Check, func(inside func(context.Context)) func(*resource.Hooks[*fake.Value]) {
		return func(hooks *resource.Hooks[*fake.Value]) { hooks.Check = within(inside, hooks.Check) }
	}},
	{pool.Reset, func(inside func(context.Context)) func(*resource.Hooks[*fake.Value]) {
		return func(hooks *resource.Hooks[*fake.Value]) { hooks.Reset = within(inside, hooks.Reset) }
	}},
	{pool.Destroy, func(inside func(context.Context)) func(*resource.Hooks[*fake.Value]) {
		return func(hooks *resource.Hooks[*fake.Value]) { hooks.Destroy = within(inside, hooks.Destroy) }
	}},
}

func within(inside func(context.Context), hook func(context.Context, *fake.Value) error) func(context.Context, *fake.Value) error {
	return func(ctx context.Context, v *fake.Value) error {
		inside(ctx)
		return hook(ctx, v)
	}
}

// Answers jackc/pgx#2499, golang/go#16873, brettwooldridge/HikariCP#442.
func TestNested_AcquireInsideAcquireFailsAtOnce(t *testing.T) {
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

func TestNested_AMarkEndsWithItsHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept context.Context
		p, _ := newPool(t, pool.Options{MaxSize: 1}, func(h *resource.Hooks[*fake.Value]) {
			construct := h.Construct
			h.Construct = func(ctx context.Context) (*fake.Value, error) {
				kept = context.WithoutCancel(ctx)
				return construct(ctx)
			}
		})
		lease := acquire(t, p)
		time.AfterFunc(time.Second, lease.Release)
		second, err := p.Acquire(kept)
		require.NoError(t, err)
		second.Release()
	})
}

func TestNested_AnInnerDoDoesNotHideTheOuterOne(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 2})
	require.NoError(t, p.Do(t.Context(), func(ctx context.Context, _ *fake.Value) error {
		var escaped context.Context
		require.NoError(t, p.Do(ctx, func(ctx context.Context, _ *fake.Value) error {
			escaped = ctx
			return nil
		}))
		require.NoError(t, p.Resize(1))
		_, err := p.Acquire(escaped)
		assert.ErrorIs(t, err, pool.ErrNested)
		return nil
	}))
}
