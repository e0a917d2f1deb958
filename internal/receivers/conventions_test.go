package receivers

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
)

// TestNamesAreThoseOfTheConventions: package tracing spells the names of the semantic conventions itself,
// so as to ask for no newer OpenTelemetry than it needs. Here they are compared with package semconv's.
func TestNamesAreThoseOfTheConventions(t *testing.T) {
	ctx := context.Background()
	spans, reader := tracetest.NewSpanRecorder(), metric.NewManualReader()
	observed := options()
	observed.TracerProvider = trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	observed.MeterProvider = metric.NewMeterProvider(metric.WithReader(reader))
	broken := true
	p, err := pool.New(resource.Hooks[int]{
		Construct: func(context.Context) (int, error) {
			if broken {
				return 0, errors.New("a text, of no type that has a name")
			}
			return 1, nil
		},
	}, pool.Options{Name: "orders", MaxSize: 1, Observer: tracing.Observer(observed)})
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close(ctx)) }()
	_, err = p.Acquire(ctx)
	require.Error(t, err)
	broken = false
	lease, err := p.Acquire(ctx)
	require.NoError(t, err)
	lease.Release()

	exported := map[attribute.KeyValue]bool{}
	note := func(set []attribute.KeyValue) {
		for _, a := range set {
			if !strings.HasPrefix(string(a.Key), "headpond.") {
				exported[a] = true
			}
		}
	}
	for _, span := range spans.Ended() {
		note(span.Attributes())
		assert.Equal(t, semconv.SchemaURL, span.InstrumentationScope().SchemaURL)
	}
	want := map[attribute.KeyValue]bool{
		semconv.DBSystemNameSQLite:                   true,
		semconv.DBNamespace("orders.db"):             true,
		semconv.DBClientConnectionPoolName("orders"): true,
		semconv.ErrorTypeOther:                       true,
	}
	assert.Equal(t, want, exported, "of spans")

	var collected metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(ctx, &collected))
	require.Len(t, collected.ScopeMetrics, 1)
	assert.Equal(t, semconv.SchemaURL, collected.ScopeMetrics[0].Scope.SchemaURL)
	clear(exported)
	units := map[string]string{}
	for _, m := range collected.ScopeMetrics[0].Metrics {
		if !strings.HasPrefix(m.Name, "headpond.") {
			units[m.Name] = m.Unit
		}
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			noteAll(data.DataPoints, note)
		case metricdata.Gauge[float64]:
			noteAll(data.DataPoints, note)
		case metricdata.Histogram[float64]:
			for _, point := range data.DataPoints {
				note(point.Attributes.ToSlice())
			}
		}
	}
	want[semconv.DBClientConnectionStateIdle] = true
	want[semconv.DBClientConnectionStateUsed] = true
	assert.Equal(t, want, exported, "of metrics")
	instruments := map[string]string{}
	for _, i := range []interface{ Name() string }{
		dbconv.ClientConnectionCount{}, dbconv.ClientConnectionMax{}, dbconv.ClientConnectionIdleMin{},
		dbconv.ClientConnectionPendingRequests{}, dbconv.ClientConnectionTimeouts{},
		dbconv.ClientConnectionWaitTime{}, dbconv.ClientConnectionCreateTime{}, dbconv.ClientConnectionUseTime{},
	} {
		instruments[i.Name()] = i.(interface{ Unit() string }).Unit()
	}
	assert.Equal(t, instruments, units)
}

func noteAll[N int64 | float64](points []metricdata.DataPoint[N], note func([]attribute.KeyValue)) {
	for _, point := range points {
		note(point.Attributes.ToSlice())
	}
}
