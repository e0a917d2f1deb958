//go:build !race

// The race detector adds allocations.

package tracing_test

import (
	"context"
	"math"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// discard is a span processor that does nothing with the span that it gets.
type discard struct{ sdktrace.SpanProcessor }

func (discard) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discard) OnEnd(sdktrace.ReadOnlySpan)                     {}

// mode is a way to be observed, and the most that it may allocate for an acquire and its release.
type mode struct {
	name        string
	observer    pool.Observer
	ctx         context.Context
	allocations float64
}

func modes() []mode {
	none, noMetrics := tracenoop.NewTracerProvider(), metricnoop.NewMeterProvider()
	sampling := sdktrace.NewTracerProvider()
	processing := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(discard{}))
	metrics := metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))
	background := context.Background()
	sampled, _ := sampling.Tracer("test").Start(background, "caller")
	return []mode{
		{"no observer", nil, background, 0},
		{"unsampled parent", tracing.Observer(tracing.Options{TracerProvider: sampling, MeterProvider: noMetrics}), unsampled(), 0},
		{"WithParent and no SDK", tracing.Observer(tracing.Options{TracerProvider: none, MeterProvider: noMetrics, Spans: tracing.WithParent}), background, 0},
		{"metrics", tracing.Observer(tracing.Options{MeterProvider: metrics, Spans: tracing.None}), background, 0},
		{"metrics with exemplars", tracing.Observer(tracing.Options{MeterProvider: metrics, Spans: tracing.None}), sampled, 0},
		{"metrics, unsampled parent", tracing.Observer(tracing.Options{TracerProvider: sampling, MeterProvider: metrics}), unsampled(), 0},
		{"sampled", tracing.Observer(tracing.Options{TracerProvider: sampling, MeterProvider: metrics, System: "sqlite"}), sampled, 12},
		// The SDK copies each of the two spans for its processors.
		{"sampled, with a processor", tracing.Observer(tracing.Options{TracerProvider: processing, MeterProvider: metrics, System: "sqlite"}), sampled, 14},
	}
}

// Measured with Go 1.26 and OpenTelemetry v1.47.
func TestAllocations(t *testing.T) {
	for _, m := range modes() {
		t.Run(m.name, func(t *testing.T) {
			p := newPool(t, pool.Options{Observer: m.observer})
			assert.LessOrEqual(t, testing.AllocsPerRun(1000, func() { lease(t, p, m.ctx) }), m.allocations)
		})
	}
}

func BenchmarkLease(b *testing.B) {
	for _, m := range modes() {
		b.Run(m.name, func(b *testing.B) {
			p := newPool(b, pool.Options{Observer: m.observer})
			lease(b, p, m.ctx)
			b.ReportAllocs()
			for b.Loop() {
				lease(b, p, m.ctx)
			}
		})
	}
}

// operationModes are the ways for a database to be observed, and the most that each may allocate for a call beyond none.
func operationModes() []mode {
	all := modes()[1:]
	for i := range all {
		switch all[i].allocations {
		case 12:
			all[i].allocations += 8 // what the operation and its commit may add
		case 14:
			all[i].allocations += 8 + 2 // and the SDK's copies of these for its processors
		}
	}
	return all
}

// Measured with Go 1.26 and OpenTelemetry v1.47, as what a call of a database that is observed allocates more than one that is not.
func TestAllocations_OfOperations(t *testing.T) {
	nothing := func(context.Context, *sqlite.Conn) error { return nil }
	open := func(observer pool.Observer) *sqlite.DB {
		db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "orders.db"), sqlite.Options{Observer: observer, AcquireTimeout: -1})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
		return db
	}
	calls := map[string]func(db *sqlite.DB, ctx context.Context) error{
		"Read":  func(db *sqlite.DB, ctx context.Context) error { return db.Read(ctx, nothing) },
		"Write": func(db *sqlite.DB, ctx context.Context) error { return db.Write(ctx, nothing) },
		"Batch": func(db *sqlite.DB, ctx context.Context) error { return db.Batch(ctx, nothing) },
	}
	measure := func(db *sqlite.DB, ctx context.Context, call func(db *sqlite.DB, ctx context.Context) error) float64 {
		return testing.AllocsPerRun(200, func() {
			if err := call(db, ctx); err != nil {
				t.Error(err)
			}
		})
	}
	unobserved := open(nil)
	for _, m := range operationModes() {
		t.Run(m.name, func(t *testing.T) {
			db := open(m.observer)
			for name, call := range calls {
				more := measure(db, m.ctx, call) - measure(unobserved, m.ctx, call)
				t.Logf("%s: %v more", name, more)
				assert.LessOrEqual(t, more, m.allocations, name)
			}
		})
	}
}

// A call of a shared batch, its commit and its link included.
func TestAllocations_OfASharedBatch(t *testing.T) {
	const calls, rounds = 50, 20
	nothing := func(context.Context, *sqlite.Conn) error { return nil }
	measure := func(observer pool.Observer, ctx context.Context) float64 {
		db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "orders.db"), sqlite.Options{Observer: observer, AcquireTimeout: -1, MaxBatchTime: time.Minute})
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close(context.Background())) }()
		round := func() {
			lease, err := db.Writer().Acquire(unsampled())
			require.NoError(t, err)
			var all sync.WaitGroup
			for range calls {
				all.Go(func() {
					if err := db.Batch(ctx, nothing); err != nil {
						t.Error(err)
					}
				})
			}
			for db.Stats().Batch.Waiting != calls {
				for range 1000 { // to look allocates
					runtime.Gosched()
				}
			}
			lease.Release()
			all.Wait()
		}
		round()
		var before, after runtime.MemStats
		least := math.Inf(1) // what else runs allocates, too
		for range rounds {
			runtime.ReadMemStats(&before)
			round()
			runtime.ReadMemStats(&after)
			least = min(least, float64(after.Mallocs-before.Mallocs))
		}
		return least / calls
	}
	for _, m := range operationModes() {
		t.Run(m.name, func(t *testing.T) {
			more := measure(m.observer, m.ctx) - measure(nil, m.ctx)
			t.Logf("%.1f more a call", more)
			assert.LessOrEqual(t, more, m.allocations+.5, "what the test itself does differs by a few in a round")
		})
	}
}
