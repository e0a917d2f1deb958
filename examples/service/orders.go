package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	"go.opentelemetry.io/otel"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// orders answers requests. A connection is never held for the time of a slow client:
// the body is read before it is acquired, and the answer is written after its release.
type orders struct{ db *sqlite.DB }

type order struct {
	ID     int64  `json:"id"`
	Item   string `json:"item"`
	Amount int64  `json:"amount"`
}

var (
	errNotFound = errors.New("there is no such order")
	errInvalid  = errors.New("an order has an item and an amount above 0")
)

func (o orders) routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /orders", answer(http.StatusCreated, o.take))
	mux.HandleFunc("GET /orders/{id}", answer(http.StatusOK, o.get))
	mux.HandleFunc("DELETE /orders/{id}", answer(http.StatusOK, o.cancel))
}

// take shares its commit with the orders that come at the same time.
func (o orders) take(ctx context.Context, r *http.Request) (taken order, err error) {
	var wanted order
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&wanted); err != nil {
		return taken, fmt.Errorf("%w: %w", errInvalid, err)
	}
	if wanted.Item == "" || wanted.Amount <= 0 {
		return taken, errInvalid
	}
	err = o.db.Batch(ctx, func(_ context.Context, conn *sqlite.Conn) (err error) { // may run twice
		taken, err = one(conn, "INSERT INTO orders (item, amount) VALUES (?, ?) RETURNING id, item, amount", wanted.Item, wanted.Amount)
		return err
	})
	return taken, err
}

// get has a span for its query, below that of the request and beside those of the lease.
func (o orders) get(ctx context.Context, r *http.Request) (found order, err error) {
	err = o.db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) (err error) {
		_, span := otel.Tracer("service").Start(ctx, "SELECT orders")
		defer span.End()
		found, err = one(conn, "SELECT id, item, amount FROM orders WHERE id = ?", id(r))
		return err
	})
	return found, err
}

func (o orders) cancel(ctx context.Context, r *http.Request) (cancelled order, err error) {
	err = o.db.Write(ctx, func(_ context.Context, conn *sqlite.Conn) (err error) {
		cancelled, err = one(conn, "DELETE FROM orders WHERE id = ? RETURNING id, item, amount", id(r))
		return err
	})
	return cancelled, err
}

// id is the order that the path names; 0, which none has, if it is not a number.
func id(r *http.Request) int64 {
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	return id
}

// one returns the one order that a statement returns.
func one(conn *sqlite.Conn, statement string, args ...any) (found order, err error) {
	err = sqlitex.Execute(conn, statement, &sqlitex.ExecOptions{Args: args, ResultFunc: func(row *zombiezen.Stmt) error {
		found = order{ID: row.ColumnInt64(0), Item: row.ColumnText(1), Amount: row.ColumnInt64(2)}
		return nil
	}})
	if err == nil && found.ID == 0 {
		err = errNotFound
	}
	return found, err
}

// answer writes what do returns as JSON; the status of an error says whose fault it was.
func answer(success int, do func(ctx context.Context, r *http.Request) (order, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		result, err := do(r.Context(), r)
		status, body := success, any(result)
		if err != nil {
			var kind string
			status, kind = kindOf(err)
			failed := failure{Error: err.Error(), Kind: kind}
			if status >= 500 { // the details are not for the client
				failed.Error = http.StatusText(status)
			}
			if status == http.StatusServiceUnavailable {
				w.Header().Set("Retry-After", "1")
			}
			body = failed
			if status == http.StatusInternalServerError { // the pools log what is in short supply
				slog.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "err", err)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // a client that is gone needs no answer
	}
}

// failure is the answer to a request that failed.
type failure struct {
	Error string `json:"error"`
	Kind  string `json:"kind"` // for programs, and for the report of -load
}

// kindOf returns the status of an error, and its kind in a word or two.
// 503 means that nothing was done, and that the same request may succeed later, or at another instance.
func kindOf(err error) (status int, kind string) {
	switch {
	case errors.Is(err, errInvalid):
		return http.StatusBadRequest, "invalid"
	case errors.Is(err, errNotFound):
		return http.StatusNotFound, "not found"
	case errors.Is(err, sqlite.ErrOutcomeUnknown): // a commit whose fate the next start decides: not to be tried again blindly
		return http.StatusInternalServerError, "outcome unknown"
	case errors.Is(err, pool.ErrClosed):
		return http.StatusServiceUnavailable, "stopping"
	case errors.Is(err, pool.ErrSaturated):
		return http.StatusServiceUnavailable, "saturated"
	case errors.Is(err, pool.ErrAcquireTimeout): // a context.DeadlineExceeded, too
		return http.StatusServiceUnavailable, "no connection in time"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, "cancelled"
	}
	return http.StatusInternalServerError, "internal"
}
