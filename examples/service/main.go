// Service is an HTTP service with a SQLite database: it takes orders, and shows what its pools do
// at /metrics (Prometheus), at /debug/poolz, in its log and in traces. /readyz says whether it takes requests.
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
	"zombiezen.com/go/sqlite/sqlitemigration"
)

func main() {
	path := flag.String("db", "", "the database file (default: one in a temporary directory)")
	address := flag.String("listen", "localhost:8080", "the address to listen on")
	var times stopping
	flag.DurationVar(&times.notice, "notice", 5*time.Second, "how long new requests are still answered after SIGTERM, while /readyz says 503")
	flag.DurationVar(&times.drain, "drain", 10*time.Second, "how long requests go on after that")
	load := flag.Duration("load", 0, "drive the service for so long, then stop")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, *path, *address, times, *load); err != nil {
		slog.Error("the service failed", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path, address string, times stopping, load time.Duration) error {
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
	slog.Info("listening", "orders", url+"/orders", "metrics", url+"/metrics", "pools", url+"/debug/poolz", "ready", url+"/readyz")
	if load > 0 {
		limited, cancel := context.WithTimeout(ctx, load)
		defer cancel()
		ctx, times.notice = limited, 0 // no balancer needs it
		var client sync.WaitGroup
		defer client.Wait()
		client.Go(func() { drive(limited, url) })
	}
	err = serve(ctx, listener, handler(db, page, metrics), times)
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
		SlowAfter:   100 * time.Millisecond, // a statement that takes longer is logged; the page shows which take the most time
		Schema: &sqlitemigration.Schema{Migrations: []string{
			"CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL) STRICT",
			"ALTER TABLE orders ADD amount INTEGER NOT NULL DEFAULT 1 CHECK (amount > 0)", // a migration that has run never changes
		}},
		Observer: pool.Observers(poollog.Observer(slog.Default()), page.Observer(), tracing.Observer(tracing.Options{})),
	}
}

// handler answers requests, each in a span, and shows the pools: on a port of its own, if the other one is public.
func handler(db *sqlite.DB, page, metrics http.Handler) http.Handler {
	api, all := http.NewServeMux(), http.NewServeMux()
	orders{db}.routes(api)
	all.Handle("/", otelhttp.NewHandler(api, "orders"))
	all.Handle("GET /metrics", metrics)
	all.Handle("GET /debug/poolz", page)
	return all
}
