package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	prom "github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	lite "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

var (
	registry = prom.NewRegistry()
	tracer   = otel.Tracer("service")
)

// orders answers requests.
type orders struct{ db *sqlite.DB }

type order struct {
	ID     int64  `json:"id"`
	Item   string `json:"item"`
	Amount int64  `json:"amount"`
}

var errNotFound = errors.New("there is no such order")

func (o *orders) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /orders", answer(http.StatusCreated, o.take))
	mux.HandleFunc("GET /orders/{id}", answer(http.StatusOK, o.get))
	mux.HandleFunc("DELETE /orders/{id}", answer(http.StatusOK, o.cancel))
}

// take shares its commit with the orders that come at the same time.
func (o *orders) take(ctx context.Context, r *http.Request) (taken order, err error) {
	if err := json.NewDecoder(r.Body).Decode(&taken); err != nil {
		return taken, err
	}
	err = o.db.Batch(ctx, func(_ context.Context, conn *sqlite.Conn) error { // may run twice: it only writes
		err := sqlitex.Execute(conn, "INSERT INTO orders (item, amount) VALUES (?, ?)", &sqlitex.ExecOptions{Args: []any{taken.Item, taken.Amount}})
		taken.ID = conn.LastInsertRowID()
		return err
	})
	return taken, err
}

// get has a span of its own around its query, beside those of the lease.
func (o *orders) get(ctx context.Context, r *http.Request) (found order, err error) {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	err = o.db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		_, span := tracer.Start(ctx, "SELECT orders")
		defer span.End()
		return sqlitex.Execute(conn, "SELECT id, item, amount FROM orders WHERE id = ?", &sqlitex.ExecOptions{Args: []any{id},
			ResultFunc: func(row *lite.Stmt) error {
				found = order{row.ColumnInt64(0), row.ColumnText(1), row.ColumnInt64(2)}
				return nil
			}})
	})
	if err == nil && found.ID == 0 {
		err = errNotFound
	}
	return found, err
}

func (o *orders) cancel(ctx context.Context, r *http.Request) (cancelled order, err error) {
	cancelled.ID, _ = strconv.ParseInt(r.PathValue("id"), 10, 64)
	err = o.db.Write(ctx, func(_ context.Context, conn *sqlite.Conn) error {
		err := sqlitex.Execute(conn, "DELETE FROM orders WHERE id = ?", &sqlitex.ExecOptions{Args: []any{cancelled.ID}})
		if err == nil && conn.Changes() == 0 {
			err = errNotFound
		}
		return err
	})
	return cancelled, err
}

// answer writes what do returns as JSON; the status of an error says whose fault it was.
func answer(success int, do func(ctx context.Context, r *http.Request) (order, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		result, err := do(r.Context(), r)
		status, body := success, any(result)
		if err != nil {
			body = map[string]string{"error": err.Error()}
			switch {
			case errors.Is(err, errNotFound):
				status = http.StatusNotFound
			case errors.Is(err, pool.ErrAcquireTimeout), errors.Is(err, pool.ErrClosed), errors.Is(err, context.Canceled):
				status, body = http.StatusServiceUnavailable, map[string]string{"error": "try again"} // the log has the figures
			default:
				status = http.StatusBadRequest
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
}

// traced gives every request a span, below that of the caller if it sent one.
func traced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := otel.GetTextMapPropagator().Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, r.Method+" "+r.Pattern)
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
