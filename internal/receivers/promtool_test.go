package receivers

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"zombiezen.com/go/sqlite/sqlitex"
)

// exported returns what says to Prometheus a database that was used, a pool of another kind, and a pool of tenants.
func exported(t *testing.T) string {
	registry := client.NewRegistry()
	exporter, err := prometheus.New(prometheus.WithRegisterer(registry))
	require.NoError(t, err)
	observed := options()
	observed.MeterProvider, observed.Spans = metric.NewMeterProvider(metric.WithReader(exporter)), tracing.None
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "orders.db"), sqlite.Options{Observer: tracing.Observer(observed)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	run := func(sql string) func(context.Context, *sqlite.Conn) error {
		return func(_ context.Context, conn *sqlite.Conn) error { return sqlitex.ExecuteTransient(conn, sql, nil) }
	}
	require.NoError(t, db.Write(t.Context(), run("CREATE TABLE orders (id INTEGER PRIMARY KEY)")))
	require.NoError(t, db.Batch(t.Context(), run("INSERT INTO orders DEFAULT VALUES")))
	require.NoError(t, db.Read(t.Context(), run("SELECT * FROM orders")))
	lease, err := db.Readers().Acquire(t.Context())
	require.NoError(t, err)
	lease.Discard()

	plain := tracing.Options{MeterProvider: observed.MeterProvider, Spans: tracing.None}
	broken := true
	others, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) {
		if broken {
			return 0, errors.New("connection refused")
		}
		return 1, nil
	}}, pool.Options{Name: "sessions", MinBackoff: time.Millisecond, Observer: tracing.Observer(plain)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, others.Close(context.Background())) })
	_, err = others.Acquire(t.Context())
	require.Error(t, err)
	broken = false
	session, err := others.Acquire(t.Context())
	require.NoError(t, err)
	session.Release()

	directory := t.TempDir()
	observed.Attributes = nil
	all, err := tenants.New(tenants.Options{Path: func(name string) (string, error) { return filepath.Join(directory, name+".db"), nil }, Observer: tracing.Observer(observed)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, all.Close(context.Background())) })
	require.NoError(t, all.Write(t.Context(), "a", run("CREATE TABLE orders (id INTEGER PRIMARY KEY)")))
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(text)
}

// promtool runs Prometheus' own tool, or skips the test if it is not installed.
func promtool(t *testing.T, input string, args ...string) (out string, err error) {
	program, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool is installed")
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = strings.NewReader(input)
	all, err := cmd.CombinedOutput()
	return string(all), err
}

func TestPromtoolChecksTheMetrics(t *testing.T) {
	text := exported(t)
	// The one name that it finds fault with is that of the conventions, and ours that follows them.
	counts := regexp.MustCompile(`^(# (HELP|TYPE) )?(db_client_connection|headpond_resource)_count[ {]`)
	lines := strings.Split(text, "\n")
	rest := slices.DeleteFunc(slices.Clone(lines), counts.MatchString)
	require.Len(t, lines, len(rest)+2*2+3*2+2, "two lines to explain each, and two states of three pools of connections and of another")
	out, err := promtool(t, strings.Join(rest, "\n"), "check", "metrics")
	assert.Empty(t, out)
	assert.NoError(t, err)
	for _, line := range []string{`headpond_sqlite_batches_total{db_client_connection_pool_name="orders",`, "# TYPE headpond_sqlite_batches_total counter",
		"# TYPE headpond_sqlite_wal_size_bytes gauge", `headpond_finding_kind="pragma"`, "# TYPE headpond_sqlite_findings_total counter"} {
		assert.Contains(t, text, line)
	}
	assert.NotContains(t, text, `headpond_sqlite_batches_total{db_client_connection_pool_name="orders.readers"`)
}
