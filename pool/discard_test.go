package pool_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func counting(t *testing.T, options pool.Options) *pool.Pool[int] {
	var n atomic.Int64
	p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return int(n.Add(1)), nil }}, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close(context.Background())) })
	return p
}

func TestDiscard_FromDo(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		err, want error
		wraps     bool
	}{
		"bare":    {err: pool.Discard(broken), want: broken},
		"nothing": {err: pool.Discard(nil), want: nil},
		"wrapped": {err: fmt.Errorf("while reading: %w", pool.Discard(broken)), want: broken, wraps: true},
		"joined":  {err: errors.Join(errors.New("other"), pool.Discard(broken)), want: broken, wraps: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := counting(t, pool.Options{MaxSize: 1})
			err := p.Do(t.Context(), func(context.Context, int) error { return c.err })
			if c.wraps {
				assert.Equal(t, c.err, err)
				assert.ErrorIs(t, err, c.want)
			} else {
				assert.Equal(t, c.want, err)
			}
			require.NoError(t, p.Do(t.Context(), func(_ context.Context, value int) error {
				assert.Equal(t, 2, value, "another value")
				return nil
			}))
			assert.EqualValues(t, 1, p.Stats().Destroyed[resource.Discarded])
		})
	}
}

func TestDiscard_IsSpentByTheFirstDo(t *testing.T) {
	outer, inner := counting(t, pool.Options{MaxSize: 1}), counting(t, pool.Options{MaxSize: 1})
	broken := errors.New("broken")
	err := outer.Do(t.Context(), func(ctx context.Context, _ int) error {
		err := inner.Do(ctx, func(context.Context, int) error { return fmt.Errorf("inner: %w", pool.Discard(broken)) })
		return fmt.Errorf("outer: %w", err)
	})
	require.ErrorIs(t, err, broken)
	require.EqualError(t, err, "outer: inner: broken")
	require.NoError(t, inner.Do(t.Context(), func(context.Context, int) error { return nil })) // waits for the slot
	assert.EqualValues(t, 1, inner.Stats().Destroyed[resource.Discarded])
	assert.Zero(t, outer.Stats().Destroyed[resource.Discarded])
}

func TestDiscard_IsSeenBehindOneThatIsSpent(t *testing.T) {
	outer, inner := counting(t, pool.Options{MaxSize: 1}), counting(t, pool.Options{MaxSize: 1})
	_ = outer.Do(t.Context(), func(ctx context.Context, _ int) error {
		err := inner.Do(ctx, func(context.Context, int) error {
			return errors.Join(errors.New("failed"), pool.Discard(errors.New("the inner one is broken")))
		})
		return errors.Join(err, pool.Discard(errors.New("the outer one is broken")))
	})
	lease := acquire(t, outer)
	assert.Equal(t, 2, lease.Value(), "another value")
	lease.Release()
	assert.EqualValues(t, 1, outer.Stats().Destroyed[resource.Discarded])
}

func TestDiscard_AllMarksAreSpentTogether(t *testing.T) {
	outer, inner := counting(t, pool.Options{MaxSize: 1}), counting(t, pool.Options{MaxSize: 1})
	_ = outer.Do(t.Context(), func(ctx context.Context, _ int) error {
		return inner.Do(ctx, func(context.Context, int) error {
			return errors.Join(pool.Discard(errors.New("the read failed")), pool.Discard(pool.Discard(errors.New("the reset failed"))))
		})
	})
	lease := acquire(t, outer)
	assert.Equal(t, 1, lease.Value(), "they were for the inner one")
	lease.Release()
}
