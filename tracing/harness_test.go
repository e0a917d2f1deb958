package tracing_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// recorded is an SDK that keeps everything.
type recorded struct {
	t      testing.TB
	spans  *tracetest.SpanRecorder
	tracer *sdktrace.TracerProvider
	reader *metric.ManualReader
	from   int // spans that ended before are left out
	meter  *metric.MeterProvider
}

func record(t testing.TB, options ...sdktrace.TracerProviderOption) *recorded {
	r := &recorded{t: t, spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader()}
	r.tracer = sdktrace.NewTracerProvider(append(options, sdktrace.WithSpanProcessor(r.spans))...)
	r.meter = metric.NewMeterProvider(metric.WithReader(r.reader))
	return r
}

// observer returns an observer that records here.
func (r *recorded) observer(options tracing.Options) pool.Observer {
	options.TracerProvider, options.MeterProvider = r.tracer, r.meter
	return tracing.Observer(options)
}

// span starts a span of the caller's.
func (r *recorded) span(ctx context.Context, name string) (context.Context, trace.Span) {
	return r.tracer.Tracer("caller").Start(ctx, name)
}

// all returns the spans that have ended since forget was called.
func (r *recorded) all() []sdktrace.ReadOnlySpan { return r.spans.Ended()[r.from:] }

// forget leaves out what has ended so far.
func (r *recorded) forget() { r.from = len(r.spans.Ended()) }

// ended returns the spans of a name that have ended.
func (r *recorded) ended(name string) (found []sdktrace.ReadOnlySpan) {
	for _, span := range r.all() {
		if span.Name() == name {
			found = append(found, span)
		}
	}
	return found
}

// one returns the one span of a name that has ended.
func (r *recorded) one(name string) sdktrace.ReadOnlySpan {
	r.t.Helper()
	found := r.ended(name)
	require.Len(r.t, found, 1, name)
	return found[0]
}

// names returns the names of the spans that have ended.
func (r *recorded) names() []string {
	names := []string{}
	for _, span := range r.all() {
		names = append(names, span.Name())
	}
	return names
}

// collect returns what is collected now, by name.
func (r *recorded) collect() map[string]metricdata.Metrics {
	r.t.Helper()
	return collect(r.t, r.reader)
}

func collect(t testing.TB, reader metric.Reader) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(context.Background(), &all))
	found := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = m
		}
	}
	return found
}

// points returns the values of a sum or gauge, or the counts of a histogram, by their attributes
// but for the pool's name: "a=1,b=2".
func points(t testing.TB, m metricdata.Metrics) map[string]float64 {
	t.Helper()
	found := map[string]float64{}
	add := func(set attribute.Set, value float64) {
		var text []string
		for _, a := range set.ToSlice() {
			if !strings.HasSuffix(string(a.Key), "pool.name") {
				text = append(text, fmt.Sprintf("%s=%v", a.Key, a.Value.AsInterface()))
			}
		}
		found[strings.Join(text, ",")] = value
	}
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, float64(p.Value))
		}
	case metricdata.Sum[float64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, p.Value)
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, p.Value)
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			add(p.Attributes, float64(p.Count))
		}
	default:
		require.Fail(t, "unexpected kind of data", "%s: %T", m.Name, m.Data)
	}
	return found
}

// attributes returns a span's, by key.
func attributes(span sdktrace.ReadOnlySpan) map[string]any {
	found := map[string]any{}
	for _, a := range span.Attributes() {
		found[string(a.Key)] = a.Value.AsInterface()
	}
	return found
}

// unsampled returns a ctx whose span is valid and does not record.
func unsampled() context.Context {
	return trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}}))
}

// lease acquires and releases.
func lease(t testing.TB, p *pool.Pool[int], ctx context.Context) {
	lease, err := p.Acquire(ctx)
	if err != nil {
		t.Error(err)
	}
	lease.Release()
}

func newPool(t testing.TB, options pool.Options) *pool.Pool[int] {
	p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }}, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close(context.Background())) })
	return p
}
