// Quickstart writes and reads a SQLite database from 20 goroutines at once,
// with a span around every acquire and release, and shows what that looked like.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/tracing"
	"go.opentelemetry.io/otel/sdk/trace"
	"zombiezen.com/go/sqlite/sqlitex"
)

const (
	writers, readers = 16, 4
	rowsEach         = 1000
)

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
	spans := &recorder{}
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))
	db, err := sqlite.Open(ctx, path, sqlite.Options{
		Observer: tracing.Observer(tracing.Options{TracerProvider: provider, System: "sqlite"}),
	})
	if err != nil {
		return err
	}
	defer func() {
		if closed := db.Close(ctx); err == nil {
			err = closed
		}
	}()
	err = db.Write(ctx, func(_ context.Context, conn *sqlite.Conn) error {
		return sqlitex.ExecuteScript(conn, "DROP TABLE IF EXISTS quickstart; CREATE TABLE quickstart (id INTEGER PRIMARY KEY, writer, row)", nil)
	})
	if err != nil {
		return err
	}

	var written, read atomic.Int64
	began := time.Now()
	stopProgress := progress(func() string {
		return fmt.Sprintf("%6d of %d rows written, %d read", written.Load(), writers*rowsEach, read.Load())
	})
	err = load(ctx, provider, db, &written, &read)
	stopProgress()
	if err != nil {
		return err
	}
	took := time.Since(began)

	readerPool, writerPool := db.Readers().Stats(), db.Writer().Stats()
	waits := spans.waits()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "rows written\t%d in %v (a transaction each)\n", written.Load(), took.Round(time.Millisecond))
	fmt.Fprintf(table, "rows read\t%d\n", read.Load())
	fmt.Fprintf(table, "acquire wait\tp50 %v, p99 %v, longest %v\n", waits.quantile(0.50), waits.quantile(0.99), waits.quantile(1))
	fmt.Fprintf(table, "connections\t%d writer, %d readers\n", writerPool.Live(), readerPool.Live())
	fmt.Fprintf(table, "spans\t%d\n", spans.count())
	table.Flush()
	fmt.Printf("\none trace of them:\n%s\n", spans.tree())

	return db.Read(ctx, func(_ context.Context, conn *sqlite.Conn) error {
		verdict, err := sqlitex.ResultText(conn.Prep("PRAGMA integrity_check"))
		if err != nil {
			return err
		}
		if verdict != "ok" {
			return fmt.Errorf("integrity_check: %s", verdict)
		}
		fmt.Println("integrity_check: ok")
		return nil
	})
}

// load has the writers write their rows while the readers count them.
func load(ctx context.Context, provider *trace.TracerProvider, db *sqlite.DB, written, read *atomic.Int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tracer := provider.Tracer("quickstart")
	var writing, reading sync.WaitGroup
	for writer := range writers {
		writing.Go(func() {
			for row := range rowsEach {
				ctx, span := tracer.Start(ctx, "insert")
				err := db.Write(ctx, func(_ context.Context, conn *sqlite.Conn) error {
					insert := conn.Prep("INSERT INTO quickstart (writer, row) VALUES (?, ?)")
					insert.BindInt64(1, int64(writer))
					insert.BindInt64(2, int64(row))
					_, err := insert.Step()
					return err
				})
				span.End()
				if err != nil {
					cancel(err)
					return
				}
				written.Add(1)
			}
		})
	}
	done := make(chan struct{})
	for range readers {
		reading.Go(func() {
			pause := time.NewTicker(time.Millisecond)
			defer pause.Stop()
			for {
				select {
				case <-done:
					return
				case <-pause.C:
				}
				ctx, span := tracer.Start(ctx, "count")
				err := db.Read(ctx, func(_ context.Context, conn *sqlite.Conn) error {
					rows, err := sqlitex.ResultInt64(conn.Prep("SELECT count(*) FROM (SELECT 1 FROM quickstart ORDER BY id DESC LIMIT 20)"))
					read.Add(rows)
					return err
				})
				span.End()
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	return context.Cause(ctx)
}
