// First is the service of docs/start.md: it keeps notes in a SQLite file, and shows what a service needs around that.
//
//	go run ./first -db notes.db     # then: curl -d 'buy rope' localhost:8080/notes
//	                                #       curl localhost:8080/notes/1
//	go run ./first -db notes.db -backup notes-copy.db
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poollog"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/tracing"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

// schema is brought up to date when the database is opened. A migration that has run never changes: add the next one.
var schema = &sqlitemigration.Schema{Migrations: []string{
	"CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT",
	"ALTER TABLE note ADD written TEXT NOT NULL DEFAULT ''",
}}

func main() {
	path := flag.String("db", "notes.db", "the database file; its directory must exist")
	address := flag.String("listen", "localhost:8080", "the address to listen on")
	backup := flag.String("backup", "", "copy the database to this new file, and stop")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	var listener net.Listener
	var err error
	if *backup != "" {
		err = backUp(ctx, *path, *backup)
	} else if listener, err = net.Listen("tcp", *address); err == nil {
		err = run(ctx, *path, listener)
	}
	if err != nil {
		slog.Error("failed", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string, listener net.Listener) (err error) {
	page := poolz.New()
	db, err := sqlite.Open(ctx, path, sqlite.Options{
		Schema:       schema,
		Synchronous:  sqlite.SyncFull, // what was acknowledged survives a loss of power
		LeakAfter:    10 * time.Second,
		SlowAfter:    100 * time.Millisecond,
		TempInMemory: true, // no temporary files: the root file system may be read-only
		Observer:     pool.Observers(tracing.Observer(tracing.Options{}), poollog.Observer(slog.Default()), page.Observer()),
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { // with a ctx of its own: that of the service has ended by now
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, db.Close(last))
	}()
	return serve(ctx, listener, handler(db, page))
}

// backUp copies the database to a new file, whether the service runs or not.
func backUp(ctx context.Context, path, backup string) (err error) {
	// Read-only and without the schema: a file that is not there is an error, and nothing is created or migrated.
	db, err := sqlite.Open(ctx, path, sqlite.Options{ReadOnly: true, TempInMemory: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(context.WithoutCancel(ctx))) }()
	return db.BackupWith(ctx, backup, sqlite.BackupOptions{Verify: true})
}

func handler(db *sqlite.DB, page http.Handler) http.Handler {
	mux := http.NewServeMux()
	notes := notes{db}
	mux.HandleFunc("POST /notes", notes.add)
	mux.HandleFunc("GET /notes/{id}", notes.get)
	mux.HandleFunc("GET /healthz", notes.health)
	mux.Handle("GET /debug/poolz", page) // on an internal port, if the other one is public
	return http.TimeoutHandler(mux, 10*time.Second, "it took too long")
}

// serve answers requests until ctx ends, and then those that are under way.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	slog.Info("listening", "at", listener.Addr())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	return server.Shutdown(last)
}

type notes struct{ db *sqlite.DB }

// add reads the body before it asks for the database, and answers after it has let it go: a slow client holds no connection.
func (n notes) add(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	if err != nil || len(text) == 0 {
		http.Error(w, "a note has a text of at most 64 KiB", http.StatusBadRequest)
		return
	}
	id, err := sqlite.Batch(r.Context(), n.db, func(_ context.Context, conn *sqlite.Conn) (int64, error) {
		err := sqlitex.Execute(conn, "INSERT INTO note (text, written) VALUES (?, datetime('now'))",
			&sqlitex.ExecOptions{Args: []any{string(text)}})
		return conn.LastInsertRowID(), err
	})
	if err != nil {
		fail(w, r, err)
		return
	}
	w.Header().Set("Location", fmt.Sprint("/notes/", id))
	w.WriteHeader(http.StatusCreated)
}

var errNotFound = errors.New("there is no such note")

func (n notes) get(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		fail(w, r, errNotFound)
		return
	}
	text, err := sqlite.Read(r.Context(), n.db, func(_ context.Context, conn *sqlite.Conn) (text string, err error) {
		err = errNotFound
		failed := sqlitex.Execute(conn, "SELECT text FROM note WHERE id = ?", &sqlitex.ExecOptions{
			Args:       []any{id},
			ResultFunc: func(row *zombiezen.Stmt) error { text, err = row.ColumnText(0), nil; return nil },
		})
		return text, errors.Join(failed, err)
	})
	if err != nil {
		fail(w, r, err)
		return
	}
	_, _ = io.WriteString(w, text) // a client that is gone needs no answer
}

// health says whether the database can be read now, within a second.
func (n notes) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	if err := n.db.Ping(ctx); err != nil {
		fail(w, r, err)
	}
}

// fail answers with the status that the error deserves.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, errNotFound):
		status = http.StatusNotFound
	case errors.Is(err, pool.ErrAcquireTimeout), errors.Is(err, pool.ErrSaturated), errors.Is(err, pool.ErrClosed),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		status = http.StatusServiceUnavailable // nothing was done: it may be tried again
		w.Header().Set("Retry-After", "1")
	}
	if status >= http.StatusInternalServerError {
		slog.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "err", err)
	}
	http.Error(w, http.StatusText(status), status)
}
