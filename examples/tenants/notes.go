package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/headpond/headpond/pool"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// service has the accounts, and the notes of each in a database of its own.
type service struct {
	accounts  *sqlite.DB
	notes     *tenants.Pool
	directory string // of the databases of notes
}

type note struct {
	ID      int64  `json:"id"`
	Text    string `json:"text"`
	Written string `json:"written,omitempty"`
}

var (
	errNotFound = errors.New("there is no such account")
	errInvalid  = errors.New("a note has a text")
)

func (s *service) handler(page http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /accounts/{account}", answer(http.StatusCreated, s.create))
	mux.HandleFunc("DELETE /accounts/{account}", answer(http.StatusOK, s.remove))
	mux.HandleFunc("POST /accounts/{account}/notes", answer(http.StatusCreated, s.write))
	mux.HandleFunc("GET /accounts/{account}/notes", answer(http.StatusOK, s.read))
	mux.HandleFunc("GET /debug/accounts", answer(http.StatusOK, s.open))
	mux.Handle("GET /debug/poolz", page)
	return mux
}

func (s *service) create(ctx context.Context, r *http.Request) (any, error) {
	account := r.PathValue("account")
	err := s.accounts.Batch(ctx, func(_ context.Context, conn *sqlite.Conn) error { // may run twice
		return sqlitex.Execute(conn, "INSERT OR IGNORE INTO account VALUES (?)", &sqlitex.ExecOptions{Args: []any{account}})
	})
	return map[string]string{"account": account}, err
}

// remove takes the account off the list first, so that no request makes its database anew.
func (s *service) remove(ctx context.Context, r *http.Request) (any, error) {
	account := r.PathValue("account")
	return map[string]string{"account": account}, s.notes.Exclusive(ctx, account, func(ctx context.Context, path string) error {
		err := s.accounts.Batch(ctx, func(_ context.Context, conn *sqlite.Conn) error {
			return sqlitex.Execute(conn, "DELETE FROM account WHERE name = ?", &sqlitex.ExecOptions{Args: []any{account}})
		})
		if err != nil {
			return err
		}
		for _, suffix := range []string{"", "-wal", "-shm"} { // a process that was killed leaves them behind
			if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}

// write shares its commit with the other notes of the account that come at the same time.
func (s *service) write(ctx context.Context, r *http.Request) (any, error) {
	var wanted, written note
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&wanted); err != nil {
		return nil, fmt.Errorf("%w: %w", errInvalid, err)
	}
	if wanted.Text == "" {
		return nil, errInvalid
	}
	at := time.Now().UTC().Format(time.RFC3339)
	err := s.notes.Batch(ctx, r.PathValue("account"), func(_ context.Context, conn *sqlite.Conn) error { // may run twice
		return sqlitex.Execute(conn, "INSERT INTO note (text, written) VALUES (?, ?) RETURNING id, text, written",
			&sqlitex.ExecOptions{Args: []any{wanted.Text, at}, ResultFunc: func(row *zombiezen.Stmt) error {
				written = noteOf(row)
				return nil
			}})
	})
	return written, err
}

func (s *service) read(ctx context.Context, r *http.Request) (any, error) {
	all := []note{}
	err := s.notes.Read(ctx, r.PathValue("account"), func(_ context.Context, conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, "SELECT id, text, written FROM note ORDER BY id DESC LIMIT 20",
			&sqlitex.ExecOptions{ResultFunc: func(row *zombiezen.Stmt) error {
				all = append(all, noteOf(row))
				return nil
			}})
	})
	return all, err
}

func noteOf(row *zombiezen.Stmt) note {
	return note{ID: row.ColumnInt64(0), Text: row.ColumnText(1), Written: row.ColumnText(2)}
}

// open lists the accounts whose databases are open, the most recently used first, or the one that ?name= asks for.
func (s *service) open(_ context.Context, r *http.Request) (any, error) {
	all := s.notes.Tenants()
	if name := r.URL.Query().Get("name"); name != "" {
		all = slices.DeleteFunc(all, func(tenant tenants.Tenant) bool { return tenant.Name != name })
	}
	return map[string]any{"open": all, "stats": s.notes.Stats()}, nil
}

// exists reports whether there is such an account. If that can't be found out, there is none for now.
func (s *service) exists(account string) (found bool) {
	err := s.accounts.Read(context.Background(), func(_ context.Context, conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, "SELECT 1 FROM account WHERE name = ?", &sqlitex.ExecOptions{
			Args: []any{account}, ResultFunc: func(*zombiezen.Stmt) error { found = true; return nil },
		})
	})
	if err != nil {
		slog.Error("accounts", "err", err)
	}
	return found
}

// answer writes what do returns as JSON; the status of an error says whose fault it was.
func answer(success int, do func(ctx context.Context, r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := do(r.Context(), r)
		status := success
		if err != nil {
			status = statusOf(err)
			text := http.StatusText(status)
			switch status {
			case http.StatusBadRequest:
				text = err.Error()
			case http.StatusInternalServerError: // the details are not for the client
				slog.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "err", err)
			}
			body = map[string]string{"error": text}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // a client that is gone needs no answer
	}
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, errInvalid):
		return http.StatusBadRequest
	case errors.Is(err, errNotFound):
		return http.StatusNotFound
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), // pool.ErrAcquireTimeout is one
		errors.Is(err, pool.ErrSaturated), errors.Is(err, pool.ErrClosed):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
