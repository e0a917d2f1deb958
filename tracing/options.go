package tracing

import (
	"path"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/headpond/headpond/pool"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
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

	// System is the database system that the pool's values are connections to,
	// as in the attribute db.system.name: "sqlite". It gives metrics the names of the semantic conventions,
	// db.client.connection.*. "": no database; the names are headpond.resource.*.
	System string

	// Attributes are set on every span, for samplers too, and on every metric:
	// few of them, with few values. Of a db.namespace only the base name is exported, never a path.
	Attributes []attribute.KeyValue
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
// When the pool is made, its Figures are asked for their names: of those each becomes a gauge.
// Then they are asked at every collection. Closing the pool waits for a collection that is under way.
// What OpenTelemetry refuses, such as the name of a figure, goes to its error handler; the rest goes on.
func Observer(options Options) pool.Observer {
	return func(p pool.Inspector) pool.Tap {
		t := newTap(options, p)
		return pool.Tap{Enabled: t.enabled, Begin: t.begin, End: t.end, Detach: t.detach}
	}
}

const scope = "github.com/headpond/headpond/tracing"

// version is that of this module in the program, "" where it is not known.
var version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, module := range append(info.Deps, &info.Main) {
		if strings.HasPrefix(scope, module.Path+"/") {
			return module.Version
		}
	}
	return ""
})

func (o Options) tracer() trace.Tracer {
	provider := o.TracerProvider
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	return provider.Tracer(scope, trace.WithInstrumentationVersion(version()), trace.WithSchemaURL(semconv.SchemaURL))
}

func (o Options) meter() metric.Meter {
	provider := o.MeterProvider
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	return provider.Meter(scope, metric.WithInstrumentationVersion(version()), metric.WithSchemaURL(semconv.SchemaURL))
}

// attributes are those of every span and metric of a pool.
func (o Options) attributes(poolName string) attribute.Set {
	all := make([]attribute.KeyValue, 0, len(o.Attributes)+2)
	for _, a := range o.Attributes {
		if a.Key == semconv.DBNamespaceKey {
			a = semconv.DBNamespace(baseName(a.Value.String()))
		}
		all = append(all, a)
	}
	if o.System != "" {
		all = append(all, semconv.DBClientConnectionPoolName(poolName), semconv.DBSystemNameKey.String(o.System))
	} else {
		all = append(all, attribute.String("headpond.pool.name", poolName))
	}
	return attribute.NewSet(all...)
}

// baseName is the last element of a path, or of a file URI's path, of any system.
func baseName(name string) string {
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "file:"), "?")
	return path.Base(strings.ReplaceAll(name, `\`, "/"))
}
