package main

import (
	"context"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func observed() group {
	var (
		metrics   = sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
		noMetrics = noop.NewMeterProvider()
		never     = sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
		always    = sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithSpanProcessor(discard{}))
	)
	// with is a pool that is observed, used under a span of a provider's.
	with := func(name, settings string, traces *sdktrace.TracerProvider, metrics metric.MeterProvider, spans tracing.SpanMode) entrant {
		open := openHeadpond(resource.Hooks[*value]{}, pool.Options{
			Policy:   limits,
			Observer: tracing.Observer(tracing.Options{TracerProvider: traces, MeterProvider: metrics, Spans: spans}),
		})
		return sharer{name, settings, func(size int) shared {
			p := open(size)
			cycles := p.cycles
			p.cycles = func(ctx context.Context, n int) {
				ctx, span := traces.Tracer("").Start(ctx, "request")
				defer span.End()
				cycles(ctx, n)
			}
			return p
		}}.under(load{goroutines: 1, step: 1000}, 8, 0)
	}
	const turn = 150 * time.Millisecond
	return group{
		name:    "observed",
		title:   "Observed with OpenTelemetry",
		about:   "Acquire and release by one goroutine, with limits, under a caller's span. No peer has this to compare with.",
		columns: []column{{name: "time", show: duration}, {name: "allocs", show: few}},
		base:    "headpond, limits",
		chart:   bars,
		contests: []contest{{"serial", turn, []entrant{
			headpondLimits.under(load{goroutines: 1, step: 1000}, 8, 0),
			with("headpond, unsampled", "tracing.Observer under a span that is not sampled; no metrics", never, noMetrics, tracing.Always),
			with("headpond, metrics", "tracing.Observer with the SDK's metrics and a manual reader; no spans", never, metrics, tracing.None),
			with("headpond, sampled", "tracing.Observer with the SDK's spans, all sampled, which a span processor drops at their end; no metrics", always, noMetrics, tracing.Always),
		}}},
	}
}

// discard is a span processor that drops all.
type discard struct{}

func (discard) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discard) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discard) Shutdown(context.Context) error                  { return nil }
func (discard) ForceFlush(context.Context) error                { return nil }
