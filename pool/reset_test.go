package pool_test

import (
	"context"
	"testing"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Answers jackc/pgx#2481, sqlalchemy/sqlalchemy#8717.
func TestReset_AValueWhoseResetFailedIsNeverSeenAgain(t *testing.T) {
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

// TestReset_DoesNotEndWithTheCallersCtx releases after that has ended, with an observer that keeps it on the lease.
func TestReset_DoesNotEndWithTheCallersCtx(t *testing.T) {
	type key struct{}
	var seen error
	var value any
	p, _ := newPool(t, pool.Options{Observer: func(pool.Inspector) pool.Tap {
		return pool.Tap{Begin: func(ctx context.Context, _ pool.Event) context.Context { return ctx }}
	}}, func(hooks *resource.Hooks[*fake.Value]) {
		hooks.Reset = func(ctx context.Context, _ *fake.Value) error {
			seen, value = ctx.Err(), ctx.Value(key{})
			return nil
		}
	})
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "its"))
	lease, err := p.Acquire(ctx)
	require.NoError(t, err)
	cancel()
	lease.Release()
	assert.NoError(t, seen)
	assert.Equal(t, "its", value)
}
