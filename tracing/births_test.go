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
