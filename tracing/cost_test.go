//go:build !race

// The race detector adds allocations.

package tracing_test

import (
	"context"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
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
