package postgres_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/headpond/headpond/backends/postgres"
	"github.com/headpond/headpond/backends/postgres/internal/server"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

var long = flag.Bool("long", false, "run the long versions of the tests")

// shared is the server of the tests that neither stop nor configure it.
var shared = sync.OnceValues(func() (*server.Server, error) {
	s, err := server.New(context.Background(), "max_connections = 100", "max_prepared_transactions = 10")
	if err == nil {
		err = s.Start(context.Background())
	}
	return s, err
})

var started atomic.Bool

func TestMain(m *testing.M) {
	for _, entry := range os.Environ() { // which say what a URL leaves out
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
	code := m.Run()
	if started.Load() {
		if s, _ := shared(); s != nil {
			if err := s.Remove(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	if err := server.RemoveTemplate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// theServer returns the shared server.
func theServer(t testing.TB) *server.Server {
	t.Helper()
	started.Store(true)
	s, err := shared()
	skipWithout(t, err)
	return s
}

// newServer returns a server of the test's own, which is not running yet.
func newServer(t testing.TB, settings ...string) *server.Server {
	t.Helper()
	s, err := server.New(t.Context(), settings...)
	skipWithout(t, err)
	t.Cleanup(func() { require.NoError(t, s.Remove()) })
	return s
}

func skipWithout(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, server.ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
}

var databases atomic.Int64

// newDatabase makes an empty database on the shared server, and returns its URL.
func newDatabase(t testing.TB) (url string) {
	t.Helper()
	s := theServer(t)
	name := fmt.Sprintf("test%d", databases.Add(1))
	admin, err := pgx.Connect(t.Context(), s.URL("postgres"))
	require.NoError(t, err)
	defer admin.Close(context.Background())
	_, err = admin.Exec(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	return s.URL(name)
}

// open opens a DB on a database of its own, and closes it when the test ends.
func open(t testing.TB, options postgres.Options) *postgres.DB {
	t.Helper()
	return openURL(t, newDatabase(t), options)
}

func openURL(t testing.TB, url string, options postgres.Options) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), url, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	return db
}

// exec executes a statement in a Write.
func exec(t testing.TB, db *postgres.DB, sql string, args ...any) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	}))
}

// number returns the only value of a query, in a Read.
func number(t testing.TB, db *postgres.DB, sql string, args ...any) (n int64) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, sql, args...).Scan(&n)
	}))
	return n
}
