// Quickstart writes and reads a SQLite database from 20 goroutines at once,
// with a span around every acquire and release, and shows what that looked like.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/tracing"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	"zombiezen.com/go/sqlite/sqlitex"
)

const writers, readers, times = 16, 4, 500

func main() {
	path := flag.String("db", "", "the database file (default: one in a temporary directory)")
	flag.Parse()
	if err := run(context.Background(), *path); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string) (err error) {
	if path == "" {
		directory, err := os.MkdirTemp("", "headpond-quickstart-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(directory)
		path = filepath.Join(directory, "quickstart.db")
	}
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	db, err := sqlite.Open(ctx, path, sqlite.Options{
		Name:     "quickstart",
		Observer: tracing.Observer(tracing.Options{TracerProvider: provider}), // traced, by this line
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(context.WithoutCancel(ctx))) }()
	err = db.Write(ctx, func(_ context.Context, conn *sqlite.Conn) error {
		return sqlitex.ExecuteScript(conn, "DROP TABLE IF EXISTS quickstart; CREATE TABLE quickstart (id INTEGER PRIMARY KEY, at TEXT)", nil)
	})
	if err != nil {
		return err
	}

	fmt.Printf("%d goroutines insert %d rows each, a row a call, while %d others read:\n\n", writers, times, readers)
	if err := load(ctx, "db.Write", db.Write, db.Read, provider, spans); err != nil {
		return err
	}
	fmt.Printf("\n  its slowest insert:\n%s\n  the read that opened a connection:\n%s\n", tree(spans, "insert"), tree(spans, "create quickstart.readers"))
	if err := load(ctx, "db.Batch", db.Batch, db.Read, provider, spans); err != nil {
		return err
	}
	batch := db.Stats().Batch
	fmt.Printf("  its %d calls shared %d commits\n\n", batch.Calls, batch.Batches)

	return db.Read(ctx, func(_ context.Context, conn *sqlite.Conn) error {
		verdict, err := sqlitex.ResultText(conn.Prep("SELECT (SELECT count(*) FROM quickstart) || ' rows, integrity_check: ' || integrity_check FROM pragma_integrity_check"))
		fmt.Println(verdict)
		if want := fmt.Sprintf("%d rows, integrity_check: ok", 2*writers*times); err == nil && verdict != want {
			err = errors.New("that should have been " + want)
		}
		return err
	})
}

// transact is db.Read, db.Write or db.Batch.
type transact func(ctx context.Context, use func(ctx context.Context, conn *sqlite.Conn) error) error

// load calls write and read from all goroutines, and prints how long it took, and how long the inserts waited for their turn.
func load(ctx context.Context, name string, write, read transact, provider *trace.TracerProvider, spans *tracetest.SpanRecorder) error {
	spans.Reset()
	began := time.Now()
	all, ctx := errgroup.WithContext(ctx)
	loop := func(name string, call transact, use func(context.Context, *sqlite.Conn) error) {
		all.Go(func() error {
			for range times {
				ctx, span := provider.Tracer("quickstart").Start(ctx, name)
				err := call(ctx, use)
				span.End()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	for range writers {
		loop("insert", write, func(_ context.Context, conn *sqlite.Conn) error {
			return sqlitex.Execute(conn, "INSERT INTO quickstart (at) VALUES (datetime('now'))", nil)
		})
	}
	for range readers {
		loop("read", read, func(_ context.Context, conn *sqlite.Conn) error {
			return sqlitex.Execute(conn, "SELECT * FROM quickstart ORDER BY id DESC LIMIT 20", nil)
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	took := time.Since(began)
	waits := longestFirst(spans, "acquire quickstart.writer")
	fmt.Printf("%s: %v, %d spans; an insert waited for %v at the median, %v at the 99th percentile, %v at most\n",
		name, took.Round(time.Millisecond), len(spans.Ended()), length(waits[len(waits)/2]), length(waits[len(waits)/100]), length(waits[0]))
	return nil
}

// longestFirst returns the spans of that name.
func longestFirst(spans *tracetest.SpanRecorder, name string) []trace.ReadOnlySpan {
	found := slices.DeleteFunc(spans.Ended(), func(s trace.ReadOnlySpan) bool { return s.Name() != name })
	slices.SortFunc(found, func(a, b trace.ReadOnlySpan) int { return cmp.Compare(length(b), length(a)) })
	return found
}

func length(s trace.ReadOnlySpan) time.Duration {
	return s.EndTime().Sub(s.StartTime()).Round(time.Microsecond)
}

// tree draws the trace of the longest span of that name, children below their parents.
func tree(spans *tracetest.SpanRecorder, name string) string {
	longest := longestFirst(spans, name)[0].SpanContext().TraceID()
	depth := make(map[api.SpanID]int)
	var drawn strings.Builder
	for _, s := range spans.Started() {
		if s.SpanContext().TraceID() == longest {
			indent := depth[s.Parent().SpanID()]
			depth[s.SpanContext().SpanID()] = indent + 2
			fmt.Fprintf(&drawn, "    %-36s %10v\n", strings.Repeat(" ", indent)+s.Name(), length(s))
		}
	}
	return drawn.String()
}
