package tracing

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/headpond/headpond/pool"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Options of an Observer. The zero Options are right for most.
type Options struct {
	// TracerProvider makes the spans. Defaults to the global one,
	// which may be installed after the pool was made.
	TracerProvider trace.TracerProvider

	// MeterProvider makes the metrics. Defaults to the global one,
	// which may be installed after the pool was made.
	MeterProvider metric.MeterProvider

	// Spans says when there are spans. Defaults to Always.
	Spans SpanMode

	// Statements says which statements have spans of their own, with their text as it was prepared: values that are written into
	// a text are exported with it. Defaults to NoStatements. There is none where Spans makes none.
	Statements StatementMode

	// System is the database system that the pool's values are connections to,
	// as in the attribute db.system.name: "sqlite". It gives metrics the names of the semantic conventions,
	// db.client.connection.*. "": no database; the names are headpond.resource.*.
	System string

	// Attributes are set on every span, for samplers too, and on every metric:
	// few of them, with few values. Of a db.namespace only the base name is exported, never a path.
	Attributes []attribute.KeyValue

	// SpanAttributes returns what is to be set on a span beside Attributes, for samplers too: it gets the ctx of the caller
	// of Acquire, and for the spans of a build and of a release one with its values. It is called for spans alone,
	// so that what has many values, such as a tenant, never becomes a label of a metric. It must not block. nil: nothing.
	SpanAttributes func(ctx context.Context) []attribute.KeyValue
}

// SpanMode says when there are spans. The decision is made at acquire, for the whole lease.
type SpanMode uint8

const (
	// Always makes spans for every lease, but for one that is acquired
	// under a span that is valid and does not record.
	Always SpanMode = iota

	// WithParent makes spans only under a span that records: no traces of the pool's own.
	WithParent

	// None makes no spans: metrics alone.
	None
)

// Observer returns an observer that makes spans and metrics of what a pool does.
// It may be given to any number of pools; the pools' names tell them apart,
// so these must be stable and distinct.
//
// When the pool is made, its Figures are asked for their names: of those each becomes a counter or a gauge, as it says,
// under the name of the pool's Owner.
// Then they are asked at every collection. Closing the pool waits for a collection that is under way.
// What OpenTelemetry refuses, such as the name of a figure, goes to its error handler; the rest goes on.
func Observer(options Options) pool.Observer {
	return func(p pool.Inspector) pool.Tap {
		t := newTap(options, p)
		return pool.Tap{Enabled: t.enabled, Begin: t.begin, End: t.end, Detach: t.detach, Statements: t.statements == AllStatements}
	}
}

const scope = "github.com/headpond/headpond/tracing"

// version is that of headpond, the newest in CHANGELOG.md: a program does not know it of a module that it replaces, or that is its own.
const version = "0.1.0"

func (o Options) tracer() trace.Tracer {
	provider := o.TracerProvider
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	return provider.Tracer(scope, trace.WithInstrumentationVersion(version), trace.WithSchemaURL(schemaURL))
}

func (o Options) meter() metric.Meter {
	provider := o.MeterProvider
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	return provider.Meter(scope, metric.WithInstrumentationVersion(version), metric.WithSchemaURL(schemaURL))
}

// of returns o with what the pool says of itself where o says nothing.
func (o Options) of(p pool.Inspector) Options {
	known := p.Options()
	o.System = cmp.Or(o.System, known.System)
	given := func(a attribute.KeyValue) bool { return a.Key == dbNamespace }
	if known.Namespace != "" && !slices.ContainsFunc(o.Attributes, given) {
		o.Attributes = append(o.Attributes[:len(o.Attributes):len(o.Attributes)], dbNamespace.String(known.Namespace))
	}
	return o
}

// attributes are those of every span and metric of a pool.
func (o Options) attributes(name string) attribute.Set {
	all := make([]attribute.KeyValue, 0, len(o.Attributes)+2)
	for _, a := range o.Attributes {
		if a.Key == dbNamespace {
			a = dbNamespace.String(baseName(fmt.Sprint(a.Value.AsInterface())))
		}
		all = append(all, a)
	}
	if o.System != "" {
		all = append(all, connectionPool.String(name), dbSystem.String(o.System))
	} else {
		all = append(all, poolName.String(name))
	}
	return attribute.NewSet(all...)
}

// baseName is the last element of a path, or of a file URI's path, of any system.
func baseName(name string) string {
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "file:"), "?")
	return path.Base(strings.ReplaceAll(name, `\`, "/"))
}
