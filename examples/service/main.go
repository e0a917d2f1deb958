// Service is an HTTP service with a SQLite database: it takes orders, and shows what its pools do
// at /metrics (Prometheus), at /debug/poolz, in its log and in traces.
//
//	go run ./service -db orders.db           # then: curl -d '{"item":"rope","amount":3}' localhost:8080/orders
//	go run ./service -load 5s                # drives itself for 5 s, on a database in a temporary directory
//	OTEL_TRACES_EXPORTER=console go run ./service -load 1s
//
// The environment variables of the OpenTelemetry specification say where traces and metrics go.
// Without any, traces go nowhere, and metrics to /metrics alone.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poollog"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/tracing"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"zombiezen.com/go/sqlite/sqlitemigration"
)

func main() {
	path := flag.String("db", "", "the database file (default: one in a temporary directory)")
	address := flag.String("listen", "localhost:8080", "the address to listen on")
	drain := flag.Duration("drain", 10*time.Second, "how long requests go on that are under way at SIGTERM")
	load := flag.Duration("load", 0, "drive the service for so long, then stop")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, *path, *address, *drain, *load); err != nil {
		slog.Error("the service failed", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path, address string, drain, load time.Duration) error {
	if path == "" {
		directory, err := os.MkdirTemp("", "headpond-service-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(directory)
		path = filepath.Join(directory, "orders.db")
	}
	metrics, flush, err := telemetry(ctx)
	if err != nil {
		return err
	}
	defer flush()
	page := poolz.New()
	db, err := sqlite.Open(ctx, path, options(page))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return errors.Join(err, db.Close(ctx))
	}
	url := "http://" + listener.Addr().String()
	slog.Info("listening", "orders", url+"/orders", "metrics", url+"/metrics", "pools", url+"/debug/poolz")
	if load > 0 {
		limited, cancel := context.WithTimeout(ctx, load)
		defer cancel()
		ctx = limited
		var client sync.WaitGroup
		defer client.Wait()
		client.Go(func() { drive(limited, url) })
	}
	err = serve(ctx, listener, handler(db, page, metrics), drain)
	last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err = errors.Join(err, db.Close(last)); err == nil {
		slog.Info("stopped: every lease is back, the write-ahead log is checkpointed")
	}
	return err
}

// options are those of the database.
func options(page *poolz.Page) sqlite.Options {
	return sqlite.Options{
		Name:        "orders",
		Synchronous: sqlite.SyncFull, // an order that was acknowledged survives a power cut
		LeakAfter:   10 * time.Second,
		Schema: &sqlitemigration.Schema{Migrations: []string{
			"CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL) STRICT",
			"ALTER TABLE orders ADD amount INTEGER NOT NULL DEFAULT 1 CHECK (amount > 0)", // a migration that has run never changes
		}},
		Observer: pool.Observers(poollog.Observer(slog.Default()), page.Observer(), tracing.Observer(tracing.Options{
			System: "sqlite", Attributes: []attribute.KeyValue{attribute.String("db.namespace", "orders")},
		})),
	}
}

// handler answers requests, each in a span, and shows the pools: on a port of its own, where the other one is public.
func handler(db *sqlite.DB, page, metrics http.Handler) http.Handler {
	api, all := http.NewServeMux(), http.NewServeMux()
	orders{db}.routes(api)
	all.Handle("/", otelhttp.NewHandler(api, "orders"))
	all.Handle("GET /metrics", metrics)
	all.Handle("GET /debug/poolz", page)
	return all
}

// serve answers requests until ctx ends: then it takes no more, and waits for those under way.
// What still runs after the time of drain is cancelled.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, drain time.Duration) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{
		Handler:     handler,
		BaseContext: func(net.Listener) context.Context { return requests },
		ReadTimeout: 10 * time.Second,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	defer time.AfterFunc(drain, cancel).Stop()
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), drain+2*time.Second)
	defer stop()
	return server.Shutdown(last)
}
