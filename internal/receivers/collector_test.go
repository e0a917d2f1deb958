package receivers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/trace"
)

const builderVersion = "v0.162.0"

// collect starts a collector that receives OTLP over HTTP, and returns its address and what it prints of it.
func collect(t *testing.T) (address string, out *output) {
	program := os.Getenv("HEADPOND_COLLECTOR")
	if program == "" {
		program = buildCollector(t)
	}
	address = freeAddress(t)
	out = start(t, nil, program, "--config", "file:"+write(t, "collector.yml", fmt.Sprintf(`
receivers: {otlp: {protocols: {http: {endpoint: %q}}}}
exporters: {debug: {verbosity: detailed}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
`, address)))
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "Everything is ready") }, time.Minute, 100*time.Millisecond)
	return address, out
}

// buildCollector builds one from its modules, and returns its path.
func buildCollector(t *testing.T) string {
	folder := t.TempDir()
	build := exec.Command("go", "run", "go.opentelemetry.io/collector/cmd/builder@"+builderVersion, "--config", write(t, "builder.yml", fmt.Sprintf(`
dist: {name: collector, output_path: %q, version: 0.0.1}
receivers: [{gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v0.162.0}]
exporters: [{gomod: go.opentelemetry.io/collector/exporter/debugexporter v0.162.0}]
providers: [{gomod: go.opentelemetry.io/collector/confmap/provider/fileprovider v1.68.0}]
conf_resolver: {default_uri_scheme: file}
`, folder)))
	build.Dir = folder
	build.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return filepath.Join(folder, "collector")
}

// received is a span as the collector prints it.
type received struct {
	trace, parent, id, kind, status string
	attributes                      map[string]string
}

var (
	spanFields     = regexp.MustCompile(`(?m)^ +(Trace ID|Parent ID|ID|Name|Kind|Status code|Status message) +: ?(.*)$`)
	spanAttributes = regexp.MustCompile(`(?m)^ +-> ([a-z_.]+): \w+\((.*)\)$`)
)

// parse returns the spans that the collector printed, by name.
func parse(out string) map[string]received {
	spans := map[string]received{}
	for _, text := range strings.Split(out, "\nSpan #")[1:] {
		fields, attributes := map[string]string{}, map[string]string{}
		for _, field := range spanFields.FindAllStringSubmatch(text, -1) {
			fields[field[1]] = strings.TrimSpace(field[2])
		}
		for _, a := range spanAttributes.FindAllStringSubmatch(text, -1) {
			attributes[a[1]] = a[2]
		}
		spans[fields["Name"]] = received{
			fields["Trace ID"], fields["Parent ID"], fields["ID"], fields["Kind"],
			strings.TrimSpace(fields["Status code"] + " " + fields["Status message"]), attributes,
		}
	}
	return spans
}

// TestCollector sends the spans of a pool to an OpenTelemetry Collector.
func TestCollector(t *testing.T) {
	wanted(t)
	address, out := collect(t)
	exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpoint(address), otlptracehttp.WithInsecure())
	require.NoError(t, err)
	spans := trace.NewTracerProvider(trace.WithSyncer(exporter))
	observed := options()
	observed.TracerProvider, observed.MeterProvider = spans, metricnoop.NewMeterProvider()
	p := newPool(t, tracing.Observer(observed), time.Minute)

	ctx, root := spans.Tracer("service").Start(t.Context(), "request")
	lease, err := p.Acquire(ctx)
	require.NoError(t, err)
	_, query := spans.Tracer("service").Start(ctx, "query")
	query.End()
	lease.Release()
	root.End()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), ": request") }, time.Minute, 100*time.Millisecond)

	got := parse(out.String())
	require.Len(t, got, 5)
	request := got["request"]
	for name, parent := range map[string]received{
		"acquire orders": request, "create orders": got["acquire orders"], "query": request, "release orders": request,
	} {
		span := got[name]
		assert.Equal(t, request.trace, span.trace, name)
		assert.Equal(t, parent.id, span.parent, name)
		assert.Equal(t, "Internal", span.kind, name)
		assert.Equal(t, "Unset", span.status, name)
		if name != "query" {
			assert.Equal(t, "orders", span.attributes["db.client.connection.pool.name"])
			assert.Equal(t, "sqlite", span.attributes["db.system.name"])
			assert.Equal(t, "orders.db", span.attributes["db.namespace"])
			assert.Equal(t, "1", span.attributes["headpond.resource.id"])
		}
	}
	assert.Equal(t, "created", got["acquire orders"].attributes["headpond.acquire.source"])
	assert.Equal(t, "returned", got["release orders"].attributes["headpond.release.outcome"])
	assert.Contains(t, out.String(), "github.com/headpond/headpond/tracing")

	require.NoError(t, p.Close(t.Context()))
	_, err = p.Acquire(context.Background())
	require.ErrorIs(t, err, pool.ErrClosed)
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "pool_closed") }, time.Minute, 100*time.Millisecond)
	failed := parse(out.String())["acquire orders"]
	assert.Equal(t, "Error", failed.status, "without a message")
	assert.NotContains(t, out.String(), "s3cr3t")
}
