package receivers

// The operations of a real database: by the semantic conventions, and as a real collector receives them.

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
	api "go.opentelemetry.io/otel/trace"
	"zombiezen.com/go/sqlite/sqlitex"
)

// operate opens a database below a folder with that name, writes to it and fails to, and reads, below the span of ctx.
func operate(t *testing.T, ctx context.Context, folder string, options tracing.Options) {
	options.System, options.Attributes = "", nil // it knows them
	directory := filepath.Join(t.TempDir(), folder)
	require.NoError(t, os.Mkdir(directory, 0o700))
	db, err := sqlite.Open(context.Background(), filepath.Join(directory, "orders.db"), sqlite.Options{Observer: tracing.Observer(options)})
	require.NoError(t, err)
	run := func(sql string) func(context.Context, *sqlite.Conn) error {
		return func(_ context.Context, conn *sqlite.Conn) error { return sqlitex.ExecuteTransient(conn, sql, nil) }
	}
	require.NoError(t, db.Write(ctx, run("CREATE TABLE orders (item UNIQUE)")))
	require.NoError(t, db.Batch(ctx, run("INSERT INTO orders VALUES (1)")))
	require.Error(t, db.Batch(ctx, run("INSERT INTO orders VALUES (1)")))
	require.NoError(t, db.Read(ctx, run("SELECT * FROM orders")))
	require.NoError(t, db.Close(context.Background()))
}

func TestOperationsAreThoseOfTheConventions(t *testing.T) {
	spans, reader := tracetest.NewSpanRecorder(), metric.NewManualReader()
	observed := options()
	observed.TracerProvider = trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	observed.MeterProvider = metric.NewMeterProvider(metric.WithReader(reader))
	ctx, request := observed.TracerProvider.Tracer("test").Start(t.Context(), "request")
	operate(t, ctx, "orders", observed)
	request.End()

	seen := map[string]bool{}
	for _, span := range spans.Ended() {
		operation, namespace, _ := strings.Cut(span.Name(), " ")
		if namespace != "orders.db" || operation == "checkpoint" {
			continue
		}
		seen[operation] = true
		assert.Equal(t, api.SpanKindClient, span.SpanKind(), span.Name())
		for _, want := range []attribute.KeyValue{semconv.DBSystemNameSQLite, semconv.DBNamespace("orders.db"), semconv.DBOperationName(operation)} {
			assert.Contains(t, span.Attributes(), want, span.Name())
		}
		if span.Status().Code == 1 {
			assert.Contains(t, span.Attributes(), semconv.DBResponseStatusCode("2067"))
			assert.Contains(t, span.Attributes(), semconv.ErrorTypeKey.String("SQLITE_CONSTRAINT_UNIQUE"))
			seen["failed"] = true
		}
		for _, a := range span.Attributes() {
			if key := string(a.Key); !strings.HasPrefix(key, "headpond.") {
				assert.Contains(t, []attribute.Key{semconv.DBSystemNameKey, semconv.DBNamespaceKey, semconv.DBOperationNameKey,
					semconv.DBOperationBatchSizeKey, semconv.DBResponseStatusCodeKey, semconv.ErrorTypeKey}, a.Key)
			}
		}
	}
	assert.Equal(t, map[string]bool{"read": true, "write": true, "batch": true, "failed": true}, seen)

	var collected metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &collected))
	convention := dbconv.ClientOperationDuration{}
	found := false
	for _, m := range collected.ScopeMetrics[0].Metrics {
		if m.Name != convention.Name() {
			continue
		}
		found = true
		assert.Equal(t, convention.Unit(), m.Unit)
		assert.Equal(t, convention.Description(), m.Description)
		operations := map[string]uint64{}
		for _, point := range m.Data.(metricdata.Histogram[float64]).DataPoints {
			assert.Equal(t, []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10}, point.Bounds, "those that the conventions advise")
			name, _ := point.Attributes.Value(semconv.DBOperationNameKey)
			failed, _ := point.Attributes.Value(semconv.ErrorTypeKey)
			operations[name.AsString()+failed.AsString()] += point.Count
		}
		assert.Equal(t, map[string]uint64{"write": 1, "batch": 1, "batchSQLITE_CONSTRAINT_UNIQUE": 1, "read": 1}, operations)
	}
	assert.True(t, found)
}

// TestCollector_Operations sends the spans of a database to an OpenTelemetry Collector.
func TestCollector_Operations(t *testing.T) {
	wanted(t)
	address, out := collect(t)
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpoint(address), otlptracehttp.WithInsecure())
	require.NoError(t, err)
	spans := trace.NewTracerProvider(trace.WithSyncer(exporter))
	observed := options()
	observed.TracerProvider, observed.MeterProvider = spans, metricnoop.NewMeterProvider()
	ctx, root := spans.Tracer("service").Start(t.Context(), "request")
	operate(t, ctx, "s3cr3t", observed)
	root.End()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), ": request") }, time.Minute, 100*time.Millisecond)

	got := parse(out.String()) // of batches the last one, which failed
	request := got["request"]
	for name, kind := range map[string]string{"write orders.db": "Client", "batch orders.db": "Client", "read orders.db": "Client"} {
		span := got[name]
		assert.Equal(t, request.id, span.parent, name)
		assert.Equal(t, kind, span.kind, name)
		assert.Equal(t, "orders.db", span.attributes["db.namespace"], name)
	}
	assert.Equal(t, "Error", got["batch orders.db"].status, "without a message")
	assert.Equal(t, "2067", got["batch orders.db"].attributes["db.response.status_code"])
	assert.Equal(t, "SQLITE_CONSTRAINT_UNIQUE", got["batch orders.db"].attributes["error.type"])
	assert.Equal(t, "Internal", got["commit"].kind)
	assert.Equal(t, request.trace, got["commit"].trace)
	assert.Equal(t, got["read orders.db"].id, got["acquire orders.readers"].parent)
	assert.NotContains(t, out.String(), "s3cr3t")
	assert.NotContains(t, out.String(), "INSERT")
}
