package tracing

import (
	"context"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// counts are what is read from the pool when metrics are collected.
type counts struct {
	pool    pool.Inspector
	minIdle int64
	figures figures

	count, max, idleMin, pending, constructing metric.Int64ObservableUpDownCounter
	timeouts, destroyed, leaked                metric.Int64ObservableCounter
	oldestUse, oldestWait                      metric.Float64ObservableGauge

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
	seconds := func(name, description string) metric.Float64ObservableGauge {
		i, err := meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(description))
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
	c.leaked = counter("headpond.resource.leaked", "{lease}", "The number of leases that were held for longer than LeakAfter.")
	c.oldestUse = seconds("headpond.resource.oldest_use", "For how long the "+thing+" that is held the longest has been held.")
	c.oldestWait = seconds("headpond.resource.oldest_wait", "For how long the first of those that wait for a "+thing+" has waited.")
	return append(all, c.figures.create(meter, set)...)
}

func (c *counts) observe(_ context.Context, o metric.Observer) error {
	stats := c.pool.Stats()
	o.ObserveInt64(c.count, int64(stats.Idle), c.idle)
	o.ObserveInt64(c.count, int64(stats.Held), c.used)
	o.ObserveInt64(c.max, int64(stats.MaxSize), c.plain)
	o.ObserveInt64(c.idleMin, c.minIdle, c.plain)
	o.ObserveInt64(c.pending, int64(stats.Waiting+stats.WaitingForBuild), c.plain)
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
	o.ObserveInt64(c.leaked, int64(stats.Leaked), c.plain)
	o.ObserveFloat64(c.oldestUse, oldest.Seconds(), c.plain)
	o.ObserveFloat64(c.oldestWait, stats.OldestWait.Seconds(), c.plain)
	c.figures.observe(o)
	return nil
}
