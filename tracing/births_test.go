package tracing

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// TestBirths_OfValuesThatEndUnacquiredAreForgotten warms a pool in a caller's trace, and evicts what nobody has acquired.
func TestBirths_OfValuesThatEndUnacquiredAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider := sdktrace.NewTracerProvider()
		var made *tap
		p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }}, pool.Options{
			Observer: func(p pool.Inspector) pool.Tap {
				made = newTap(Options{TracerProvider: provider, MeterProvider: noop.NewMeterProvider()}, p)
				return pool.Tap{Enabled: made.enabled, Begin: made.begin, End: made.end}
			}})
		require.NoError(t, err)
		ctx, span := provider.Tracer("test").Start(t.Context(), "caller")
		require.NoError(t, p.Warm(ctx, 3))
		span.End()
		require.EqualValues(t, 3, made.births.count.Load())
		require.NoError(t, p.Do(t.Context(), func(context.Context, int) error { return nil }))
		require.EqualValues(t, 2, made.births.count.Load(), "the first to acquire it links to it")
		p.Evict()
		synctest.Wait()
		assert.Zero(t, made.births.count.Load())
		require.NoError(t, p.Close(t.Context()))
	})
}

// TestBirths_OfDetachedValuesAreBounded warms values in a caller's trace, and detaches them where nobody observes it.
func TestBirths_OfDetachedValuesAreBounded(t *testing.T) {
	provider := sdktrace.NewTracerProvider()
	var made *tap
	p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }}, pool.Options{
		Observer: func(p pool.Inspector) pool.Tap {
			made = newTap(Options{TracerProvider: provider, MeterProvider: noop.NewMeterProvider(), Spans: WithParent}, p)
			return pool.Tap{Enabled: made.enabled, Begin: made.begin, End: made.end, Detach: made.detach}
		}})
	require.NoError(t, err)
	ctx, span := provider.Tracer("test").Start(t.Context(), "caller")
	defer span.End()
	var id uint64
	for range mostBirths + 3 {
		require.NoError(t, p.Warm(ctx, 1))
		lease, err := p.Acquire(t.Context()) // no parent: not observed
		require.NoError(t, err)
		id = lease.ID()
		lease.Detach()
	}
	assert.EqualValues(t, mostBirths, made.births.count.Load())
	assert.False(t, made.births.take(id-mostBirths).IsValid(), "the oldest ones are dropped")
	assert.True(t, made.births.take(id-mostBirths+1).IsValid())
	assert.True(t, made.births.take(id).IsValid())
	require.NoError(t, p.Close(t.Context()))
	assert.Zero(t, made.births.count.Load(), "none outlives the pool")
	assert.False(t, made.births.take(id-1).IsValid())
}
