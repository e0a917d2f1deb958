// Service is an HTTP service with a SQLite database: it takes orders, and shows what its pools do
// at /metrics (Prometheus), at /debug/poolz, in its log and in traces.
//
//	go run ./service -db orders.db           # then: curl -d '{"item":"rope","amount":3}' localhost:8080/orders
//	go run ./service -load 5s                # drives itself for 5 s, on a database in a temporary directory
//	OTEL_TRACES_EXPORTER=console go run ./service -load 1s
//
// Traces go where the environment variables of the OpenTelemetry specification say; by default nowhere.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poollog"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/tracing"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/trace"
	"zombiezen.com/go/sqlite/sqlitemigration"
)

// drain is how long requests that are under way have when the service is told to stop.
const drain = 10 * time.Second

func main() {
	path := flag.String("db", "", "the database file (default: one in a temporary directory)")
	address := flag.String("listen", "localhost:8080", "the address to listen on")
	load := flag.Duration("load", 0, "drive the service for so long, then stop")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *path, *address, *load); err != nil {
		slog.Error("the service failed", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path, address string, load time.Duration) (err error) {
	if path == "" {
		directory, err := os.MkdirTemp("", "headpond-service-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(directory)
		path = filepath.Join(directory, "orders.db")
	}
	flush, err := telemetry(ctx)
	if err != nil {
		return err
	}
	page := poolz.New()
	db, err := sqlite.Open(ctx, path, sqlite.Options{
		Name:        "orders",
		Synchronous: sqlite.SyncFull, // an order that was acknowledged survives a power cut
		LeakAfter:   10 * time.Second,
		Schema: &sqlitemigration.Schema{Migrations: []string{
			"CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL, amount INTEGER NOT NULL CHECK (amount > 0)) STRICT",
		}},
		Observer: pool.Observers(
			tracing.Observer(tracing.Options{
				System: "sqlite", Attributes: []attribute.KeyValue{attribute.String("db.namespace", filepath.Base(path))},
			}), poollog.Observer(slog.Default()), page.Observer()),
	})
	if err != nil {
		return errors.Join(err, flush(ctx))
	}

	api := http.NewServeMux()
	(&orders{db: db}).routes(api)
	api.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	api.Handle("GET /debug/poolz", page) // on a port of its own, where the other one is public
	server := &http.Server{Handler: traced(api), ReadHeaderTimeout: 5 * time.Second}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return errors.Join(err, db.Close(ctx), flush(ctx))
	}
	fmt.Printf("listening on http://%s (see /debug/poolz and /metrics)\n", listener.Addr())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if load > 0 {
		limited, cancel := context.WithTimeout(ctx, load)
		defer cancel()
		drive(limited, "http://"+listener.Addr().String())
	} else {
		select {
		case <-ctx.Done():
		case err = <-served:
		}
	}

	// Stop: no new requests, those under way go on, then the database, then what is left of the traces.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err = errors.Join(err, server.Shutdown(last), db.Close(last), flush(last))
	if err == nil {
		fmt.Println("stopped: every lease is back, the write-ahead log is checkpointed")
	}
	return err
}

// telemetry installs the providers of OpenTelemetry, and returns what flushes and ends them.
func telemetry(ctx context.Context) (flush func(context.Context) error, err error) {
	spans, err := autoexport.NewSpanExporter(ctx, autoexport.WithFallbackSpanExporter(
		func(context.Context) (trace.SpanExporter, error) { return nowhere{}, nil }))
	if err != nil {
		return nil, err
	}
	reader, err := prometheus.New(prometheus.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	tracers := trace.NewTracerProvider(trace.WithBatcher(spans))
	meters := metric.NewMeterProvider(metric.WithReader(reader), metric.WithExemplarFilter(exemplar.TraceBasedFilter))
	otel.SetTracerProvider(tracers)
	otel.SetMeterProvider(meters)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	return func(ctx context.Context) error { return errors.Join(tracers.Shutdown(ctx), meters.Shutdown(ctx)) }, nil
}

// nowhere is an exporter of spans.
type nowhere struct{}

func (nowhere) ExportSpans(context.Context, []trace.ReadOnlySpan) error { return nil }
func (nowhere) Shutdown(context.Context) error                          { return nil }
