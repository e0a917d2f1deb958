package tracing

import (
	"context"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
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
		prefix, thing, state = "db.client.connection.", "connection", semconv.DBClientConnectionStateKey
	}
	m := &meters{
		wait:   newHistogram(meter, set, prefix+"wait_time", "The time it took to obtain an open "+thing+" from the pool.", waitBuckets),
		create: newHistogram(meter, set, prefix+"create_time", "The time it took to create a new "+thing+".", waitBuckets),
		use:    newHistogram(meter, set, prefix+"use_time", "The time between borrowing a "+thing+" and returning it to the pool.", useBuckets),
		counts: &counts{pool: p, minIdle: int64(p.Options().MinIdle), gauges: map[string]metric.Float64Observable{}},
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
	return m.wait.Enabled(ctx) || m.use.Enabled(ctx) || m.create.Enabled(ctx)
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
}

func newHistogram(meter metric.Meter, set attribute.Set, name, description string, buckets []float64) histogram {
	h, err := meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(buckets...))
	if !handled(err) {
		h = noop.Float64Histogram{}
	}
	return histogram{h, set.ToSlice(), []metric.RecordOption{metric.WithAttributeSet(set)}}
}

// record records took, with error.type where failure is not "".
func (h histogram) record(ctx context.Context, took time.Duration, failure string) {
	switch {
	case !h.Enabled(ctx):
	case failure == "":
		h.Record(ctx, took.Seconds(), h.good...)
	default:
		h.Record(ctx, took.Seconds(), metric.WithAttributes(append(h.set[:len(h.set):len(h.set)], semconv.ErrorTypeKey.String(failure))...))
	}
}

// counts are what is read from the pool when somebody collects.
type counts struct {
	pool    pool.Inspector
	minIdle int64

	count, max, idleMin, pending, constructing metric.Int64ObservableUpDownCounter
	timeouts, destroyed                        metric.Int64ObservableCounter
	gauges                                     map[string]metric.Float64Observable // oldestUse and the backend's figures

	plain, idle, used metric.MeasurementOption
	reasons           [resource.Reasons]metric.MeasurementOption
}

// create makes the instruments.
func (c *counts) create(meter metric.Meter, set attribute.Set, prefix, thing string, state attribute.Key) (all []metric.Observable) {
	with := func(key attribute.Key, value string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(set.ToSlice(), key.String(value))...))
	}
	c.plain, c.idle, c.used = metric.WithAttributeSet(set), with(state, "idle"), with(state, "used")
	for reason := range resource.Reasons {
		c.reasons[reason] = with(destroyReason, reason.String())
	}
	upDown := func(name, unit, description string) metric.Int64ObservableUpDownCounter {
		i, err := meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		handled(err)
		all = append(all, i)
		return i
	}
	counter := func(name, unit, description string) metric.Int64ObservableCounter {
		i, err := meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		handled(err)
		all = append(all, i)
		return i
	}
	unit := "{" + thing + "}"
	c.count = upDown(prefix+"count", unit, "The number of "+thing+"s that are currently in the state described by the state attribute.")
	c.max = upDown(prefix+"max", unit, "The maximum number of open "+thing+"s allowed.")
	c.idleMin = upDown(prefix+"idle.min", unit, "The minimum number of idle open "+thing+"s allowed.")
	c.pending = upDown(prefix+"pending_requests", "{request}", "The number of current pending requests for an open "+thing+".")
	c.timeouts = counter(prefix+"timeouts", "{timeout}", "The number of "+thing+" timeouts that have occurred trying to obtain a "+thing+" from the pool.")
	c.destroyed = counter("headpond.resource.destroyed", unit, "The number of "+thing+"s that were destroyed, by reason.")
	c.constructing = upDown("headpond.resource.constructing", unit, "The number of "+thing+"s that are being built.")
	c.gauge(meter, pool.Figure{Name: oldestUse, Unit: "s"}, "For how long the "+thing+" that is held the longest has been held.")
	for _, figure := range c.pool.Figures() {
		c.gauge(meter, figure, "")
	}
	for _, gauge := range c.gauges {
		all = append(all, gauge)
	}
	return all
}

const oldestUse = "headpond.resource.oldest_use"

// gauge makes a gauge of a figure, unless its name can't be that of a metric.
func (c *counts) gauge(meter metric.Meter, figure pool.Figure, description string) {
	gauge, err := meter.Float64ObservableGauge(figure.Name, metric.WithUnit(figure.Unit), metric.WithDescription(description))
	if handled(err) {
		c.gauges[figure.Name] = gauge
	}
}

func (c *counts) observe(_ context.Context, o metric.Observer) error {
	stats := c.pool.Stats()
	o.ObserveInt64(c.count, int64(stats.Idle), c.idle)
	o.ObserveInt64(c.count, int64(stats.Held), c.used)
	o.ObserveInt64(c.max, int64(stats.MaxSize), c.plain)
	o.ObserveInt64(c.idleMin, c.minIdle, c.plain)
	o.ObserveInt64(c.pending, int64(stats.Waiting), c.plain)
	o.ObserveInt64(c.constructing, int64(stats.Constructing), c.plain)
	o.ObserveInt64(c.timeouts, int64(stats.TimedOut), c.plain)
	for reason, n := range stats.Destroyed {
		if n > 0 {
			o.ObserveInt64(c.destroyed, int64(n), c.reasons[reason])
		}
	}
	var oldest time.Duration
	if holders := c.pool.Holders(); len(holders) > 0 {
		oldest = holders[0].Held
	}
	for _, figure := range append(c.pool.Figures(), pool.Figure{Name: oldestUse, Value: oldest.Seconds()}) {
		if gauge, known := c.gauges[figure.Name]; known {
			o.ObserveFloat64(gauge, figure.Value, c.plain)
		}
	}
	return nil
}
