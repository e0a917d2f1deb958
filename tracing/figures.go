package tracing

import (
	"cmp"

	"github.com/headpond/headpond/pool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// figures are the backend's own, each an instrument of its kind. They stand under the name of the pool's owner.
type figures struct {
	pool        pool.Inspector
	instruments map[string]metric.Float64Observable // by the names that there are from the start
	base        []attribute.KeyValue
	plain       metric.MeasurementOption // base
}

func newFigures(p pool.Inspector) figures {
	return figures{pool: p, instruments: map[string]metric.Float64Observable{}}
}

// create makes the instruments. set is that of the pool's own.
func (f *figures) create(meter metric.Meter, set attribute.Set) (all []metric.Observable) {
	owner := cmp.Or(f.pool.Options().Owner, f.pool.Name())
	for _, a := range set.ToSlice() {
		if a.Key == connectionPool || a.Key == poolName {
			a.Value = attribute.StringValue(owner)
		}
		f.base = append(f.base, a)
	}
	f.plain = metric.WithAttributeSet(attribute.NewSet(f.base...))
	for _, figure := range f.pool.Figures() {
		if _, made := f.instruments[figure.Name]; made {
			continue
		}
		if i, err := instrument(meter, figure); handled(err) { // else its name can't be that of a metric
			f.instruments[figure.Name] = i
			all = append(all, i)
		}
	}
	return all
}

func instrument(meter metric.Meter, figure pool.Figure) (metric.Float64Observable, error) {
	unit, help := metric.WithUnit(figure.Unit), metric.WithDescription(figure.Help)
	if figure.Kind == pool.Counter {
		return meter.Float64ObservableCounter(figure.Name, unit, help)
	}
	return meter.Float64ObservableGauge(figure.Name, unit, help)
}

func (f *figures) observe(o metric.Observer) {
	for _, figure := range f.pool.Figures() {
		if i, known := f.instruments[figure.Name]; known {
			o.ObserveFloat64(i, figure.Value, f.attributes(figure.Labels))
		}
	}
}

// attributes are those of a figure with labels. There are few, and they are asked for at a collection alone.
func (f *figures) attributes(labels []pool.Label) metric.ObserveOption {
	if len(labels) == 0 {
		return f.plain
	}
	all := f.base[:len(f.base):len(f.base)]
	for _, l := range labels {
		all = append(all, attribute.String(l.Name, l.Value))
	}
	return metric.WithAttributes(all...)
}
