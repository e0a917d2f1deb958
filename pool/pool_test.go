package pool_test

import (
	"context"
	"testing"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newPool returns a pool of fakes, which is closed, and every fake destroyed once, when the test ends.
func newPool(t testing.TB, options pool.Options, change ...func(*resource.Hooks[*fake.Value])) (*pool.Pool[*fake.Value], *fake.Maker) {
	t.Helper()
	maker := &fake.Maker{}
	hooks := maker.Hooks()
	for _, change := range change {
		change(&hooks)
	}
	p, err := pool.New(hooks, options)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, p.Close(context.Background()))
		maker.Finished(t)
		stats := p.Stats()
		assert.Zero(t, stats.Live())
	})
	return p, maker
}

func acquire[T any](t testing.TB, p *pool.Pool[T]) pool.Lease[T] {
	t.Helper()
	lease, err := p.Acquire(context.Background())
	require.NoError(t, err)
	return lease
}

// scripted is newPool with hooks that follow a script.
func scripted(t *testing.T, options pool.Options, script fake.Script) (*pool.Pool[*fake.Value], *fake.Maker) {
	t.Helper()
	maker := &fake.Maker{}
	maker.Follow(script)
	p, err := pool.New(maker.Scripted(), options)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, p.Close(context.Background()))
		maker.Finished(t)
	})
	return p, maker
}

// slow makes a hook take a second of the bubble's time.
func slow(hooks *resource.Hooks[*fake.Value], op pool.Op) {
	construct, destroy := hooks.Construct, hooks.Destroy
	switch op {
	case pool.Construct:
		hooks.Construct = func(ctx context.Context) (*fake.Value, error) { <-time.After(time.Second); return construct(ctx) }
	case pool.Destroy:
		hooks.Destroy = func(ctx context.Context, v *fake.Value) error { <-time.After(time.Second); return destroy(ctx, v) }
	}
}
