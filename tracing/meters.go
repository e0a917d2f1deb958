package tracing

import (
	"context"
	"time"

	"github.com/headpond/headpond/pool"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// meters are the metrics of one pool.
type meters struct {
	wait, create, use histogram
	counts            *counts
	registration      metric.Registration // of counts; nil where that failed
}

// The default buckets put 1 to 99 ms into one.
var (
	waitBuckets = []float64{1e-5, 1e-4, .001, .005, .01, .05, .1, .5, 1, 5, 10}
	useBuckets  = []float64{1e-5, 1e-4, .001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 60, 300}
)

func newMeters(options Options, set attribute.Set, p pool.Inspector) *meters {
	meter := options.meter()
	prefix, thing, state := "headpond.resource.", "resource", attribute.Key("headpond.resource.state")
	if options.System != "" {
		prefix, thing, state = "db.client.connection.", "connection", connectionState
	}
	m := &meters{
		wait:   newHistogram(meter, set, prefix+"wait_time", "The time it took to obtain an open "+thing+" from the pool.", waitBuckets),
		create: newHistogram(meter, set, prefix+"create_time", "The time it took to create a new "+thing+".", waitBuckets),
		use:    newHistogram(meter, set, prefix+"use_time", "The time between borrowing a "+thing+" and returning it to the pool.", useBuckets),
		counts: &counts{pool: p, minIdle: int64(p.Options().MinIdle), figures: newFigures(p)},
	}
	instruments := m.counts.create(meter, set, prefix, thing, state)
	registration, err := meter.RegisterCallback(m.counts.observe, instruments...)
	if handled(err) {
		m.registration = registration
	}
	return m
}

// handled reports whether there is no error; one goes to OpenTelemetry's handler.
func handled(err error) bool {
	if err != nil {
		otel.Handle(err)
	}
	return err == nil
}

// enabled reports whether anything is recorded.
func (m *meters) enabled(ctx context.Context) bool {
	return m.wait.enabled(ctx) || m.use.enabled(ctx) || m.create.enabled(ctx)
}

func (m *meters) unregister() {
	if m.registration != nil {
		handled(m.registration.Unregister())
	}
}

// histogram is one of seconds, with what does not change of its records.
type histogram struct {
	metric.Float64Histogram
	set  []attribute.KeyValue
	good []metric.RecordOption // set, made once: to make it for every record costs two allocations
	asks enabler               // nil: the histogram can't say
}

// enabler is an instrument that says whether what it records goes anywhere.
// Those of OpenTelemetry 1.40 and newer are; to an older one everything is recorded.
type enabler interface{ Enabled(context.Context) bool }

// disabled stands in for an older OpenTelemetry's instruments that do nothing.
type disabled struct{}

func (disabled) Enabled(context.Context) bool { return false }

func newHistogram(meter metric.Meter, set attribute.Set, name, description string, buckets []float64) histogram {
	h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(buckets...))
	if !handled(err) {
		h = noop.Float64Histogram{}
	}
	var asks enabler
	switch h := h.(type) {
	case noop.Float64Histogram:
		asks = disabled{}
	case enabler:
		asks = h
	}
	return histogram{h, set.ToSlice(), []metric.RecordOption{metric.WithAttributeSet(set)}, asks}
}

func (h histogram) enabled(ctx context.Context) bool { return h.asks == nil || h.asks.Enabled(ctx) }

// record records took, with error.type where failure is not "".
func (h histogram) record(ctx context.Context, took time.Duration, failure string) {
	switch {
	case !h.enabled(ctx):
	case failure == "":
		h.Record(ctx, took.Seconds(), h.good...)
	default:
		h.Record(ctx, took.Seconds(), metric.WithAttributes(append(h.set[:len(h.set):len(h.set)], errorType.String(failure))...))
	}
}
