package postgres_test

import (
	"net/http/httptest"
	"testing"

	"github.com/headpond/headpond/backends/postgres"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestObserver_TracingAndThePageNeedNoChange: what knows nothing of PostgreSQL shows it as a database.
func TestObserver_TracingAndThePageNeedNoChange(t *testing.T) {
	spans, reader, page := tracetest.NewSpanRecorder(), metric.NewManualReader(), poolz.New()
	db := open(t, postgres.Options{Name: "orders", Observer: pool.Observers(page.Observer(), tracing.Observer(tracing.Options{
		TracerProvider: trace.NewTracerProvider(trace.WithSpanProcessor(spans)),
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(reader)),
	}))})
	exec(t, db, "SET work_mem = '5MB'")
	number(t, db, "SELECT 1")

	names := make(map[string]bool)
	for _, span := range spans.Ended() {
		names[span.Name()] = true
		assert.Contains(t, span.Attributes(), attribute.String("db.system.name", "postgresql"), span.Name())
	}
	for _, name := range []string{"acquire orders.writer", "release orders.writer", "create orders.readers", "acquire orders.readers"} {
		assert.True(t, names[name], "%s is not among %v", name, names)
	}
	var collected metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &collected))
	metrics := make(map[string]metricdata.Aggregation)
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			metrics[m.Name] = m.Data
		}
	}
	assert.Contains(t, metrics, "db.client.connection.count")
	assert.Contains(t, metrics, "db.client.connection.wait_time")
	assert.Contains(t, metrics, "headpond.postgres.findings")

	shown := httptest.NewRecorder()
	page.ServeHTTP(shown, httptest.NewRequest("GET", "/", nil))
	for _, text := range []string{"orders.readers", "orders.writer", "postgres.findings"} {
		assert.Contains(t, shown.Body.String(), text)
	}
}
