package tenants_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func nothing(context.Context, *sqlite.DB) error { return nil }

// TestObserver_Events hears of each call, opening and closing, as of a pool of databases.
func TestObserver_Events(t *testing.T) {
	var mu sync.Mutex
	var all []pool.Event
	var inspector pool.Inspector
	pools, detached := 0, 0
	p := open(t, tenants.Options{MaxOpen: 1, Observer: func(p pool.Inspector) pool.Tap {
		pools++
		inspector = p
		return pool.Tap{
			End: func(_ context.Context, event pool.Event) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, event)
				panic("it is swallowed")
			},
			Detach: func() { detached++ },
		}
	}})
	require.NoError(t, p.Do(t.Context(), "a", nothing))
	require.NoError(t, p.Do(t.Context(), "a", nothing))
	require.NoError(t, p.Do(t.Context(), "b", func(context.Context, *sqlite.DB) error {
		stats := inspector.Stats()
		assert.Equal(t, 1, stats.Held)
		assert.Equal(t, 1, stats.Live())
		assert.Len(t, inspector.Holders(), 1)
		assert.EqualValues(t, 2, inspector.Holders()[0].ID)
		return nil
	}))
	require.Error(t, p.Do(t.Context(), "", nothing))
	require.NoError(t, p.Close(t.Context()))
	mu.Lock()
	defer mu.Unlock()
	type step struct {
		op     pool.Op
		id     uint64
		source pool.Source
		reason resource.Reason
	}
	var steps []step
	for _, event := range all {
		steps = append(steps, step{event.Op, event.ID, event.Source, event.Reason})
		switch event.Op {
		case pool.Construct, pool.Destroy:
			assert.NotZero(t, event.Took)
		case pool.Acquire:
			assert.Equal(t, event.ID == 0, event.Err != nil)
		case pool.Release:
			assert.Equal(t, pool.Returned, event.Outcome)
			assert.True(t, event.Held > 0 || runtime.GOOS == "windows", "its clock moves in steps")
		}
	}
	assert.Equal(t, []step{
		{pool.Construct, 1, 0, 0}, {pool.Acquire, 1, pool.Created, 0}, {pool.Release, 1, 0, 0},
		{pool.Acquire, 1, pool.Idle, 0}, {pool.Release, 1, 0, 0},
		{pool.Destroy, 1, 0, resource.Evicted}, {pool.Construct, 2, 0, 0}, {pool.Acquire, 2, pool.Created, 0}, {pool.Release, 2, 0, 0},
		{pool.Acquire, 0, 0, 0}, {pool.Destroy, 2, 0, resource.Closed},
	}, steps)
	assert.Equal(t, 1, pools, "the databases' own pools register nothing")
	assert.Equal(t, 1, detached)
	stats := inspector.Stats()
	assert.EqualValues(t, 3, stats.Acquired)
	assert.EqualValues(t, 3, stats.Released)
	assert.EqualValues(t, 2, stats.Created)
	assert.EqualValues(t, 1, stats.Destroyed[resource.Evicted])
	assert.True(t, stats.Closed)
	assert.Zero(t, stats.Live())
}

// TestObserver_PathPanics hears of the end of a call whose Path panics, or calls runtime.Goexit. The panic goes on to the caller.
func TestObserver_PathPanics(t *testing.T) {
	var ended []pool.Event
	begun := 0
	p := open(t, tenants.Options{
		Path: func(tenant string) (string, error) {
			if tenant == "panics" {
				panic(errMine)
			}
			runtime.Goexit()
			return "", nil
		},
		Observer: func(pool.Inspector) pool.Tap {
			return pool.Tap{
				Begin: func(ctx context.Context, _ pool.Event) context.Context { begun++; return ctx },
				End:   func(_ context.Context, event pool.Event) { ended = append(ended, event) },
			}
		},
	})
	assert.PanicsWithValue(t, errMine, func() { _ = p.Do(t.Context(), "panics", nothing) })
	var all sync.WaitGroup
	all.Go(func() { _ = p.Do(t.Context(), "exits", nothing) })
	all.Wait()
	assert.Equal(t, 2, begun)
	require.Len(t, ended, 2)
	for n, text := range []string{"acquire panicked: mine", "acquire called runtime.Goexit"} {
		var thrown *pool.PanicError
		assert.ErrorAs(t, ended[n].Err, &thrown)
		assert.EqualError(t, ended[n].Err, text)
		assert.Zero(t, ended[n].ID)
		assert.NotEmpty(t, thrown.Stack)
	}
	assert.Zero(t, p.Stats().Calls)
}

func TestObserver_Options(t *testing.T) {
	var options pool.Options
	p := open(t, tenants.Options{Name: "accounts", MaxOpen: 7, MaxWaiters: 3, IdleAfter: time.Minute, Observer: func(p pool.Inspector) pool.Tap {
		options = p.Options()
		assert.Equal(t, "accounts", p.Name())
		return pool.Tap{Enabled: func(context.Context) bool { return false }, Begin: func(context.Context, pool.Event) context.Context {
			t.Error("it is not enabled")
			return t.Context()
		}}
	}})
	assert.Equal(t, 7, options.MaxSize)
	assert.Equal(t, 3, options.MaxWaiters)
	assert.Equal(t, 5*time.Second, options.AcquireTimeout)
	assert.Equal(t, time.Minute, options.Policy.MaxIdleTime)
	_ = p
}

// TestObserver_Page lists what is open, and finds one by name.
func TestObserver_Page(t *testing.T) {
	page := poolz.New()
	p := open(t, tenants.Options{Observer: page.Observer()})
	for _, tenant := range []string{"acme", "zeta", "acme & sons"} {
		require.NoError(t, p.Do(t.Context(), tenant, nothing))
	}
	ask := func(url string) string {
		answer := httptest.NewRecorder()
		page.ServeHTTP(answer, httptest.NewRequest("GET", url, nil))
		return answer.Body.String()
	}
	assert.Contains(t, ask("/"), "<b>zeta</b>")
	found := ask("/?find=acme")
	assert.Contains(t, found, "<b>acme</b>")
	assert.Contains(t, found, "<b>acme &amp; sons</b>")
	assert.NotContains(t, found, "zeta")
	assert.Contains(t, found, "1 pool: all is well")
}

// TestObserver_TenantsAreNoLabels makes real spans and metrics: no tenant's name is in any of them, however many there are.
func TestObserver_TenantsAreNoLabels(t *testing.T) {
	reader, spans := metric.NewManualReader(), tracetest.NewInMemoryExporter()
	p := open(t, tenants.Options{MaxOpen: 2, Observer: tracing.Observer(tracing.Options{
		MeterProvider: metric.NewMeterProvider(metric.WithReader(reader)), TracerProvider: trace.NewTracerProvider(trace.WithSyncer(spans)),
	})})
	for _, tenant := range []string{"secret-1", "secret-2", "secret-3", "secret-1"} {
		require.NoError(t, sign(t.Context(), p, tenant))
	}
	var collected metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &collected))
	metrics, err := json.Marshal(collected)
	require.NoError(t, err)
	for _, name := range []string{"headpond.resource.wait_time", "headpond.resource.create_time", "headpond.resource.use_time", "headpond.resource.count",
		"headpond.sqlite.tenants.open", "headpond.sqlite.tenants.hits", "headpond.sqlite.tenants.evicted"} {
		assert.Contains(t, string(metrics), name)
	}
	assert.NotContains(t, string(metrics), "secret")
	names := map[string]int{}
	for _, span := range spans.GetSpans() {
		names[span.Name]++
		for _, attribute := range span.Attributes {
			assert.NotContains(t, attribute.Value.AsString(), "secret")
		}
	}
	assert.Equal(t, 4, names["acquire tenants"])
	assert.Equal(t, 4, names["release tenants"])
	assert.Equal(t, 4, names["create tenants"])
	assert.Len(t, names, 3)
}

// TestObserver_TenantAsAnAttributeOfSpans says the tenant on request: on spans, never on metrics.
func TestObserver_TenantAsAnAttributeOfSpans(t *testing.T) {
	reader, spans := metric.NewManualReader(), tracetest.NewInMemoryExporter()
	p := open(t, tenants.Options{MaxOpen: 1, Observer: tracing.Observer(tracing.Options{
		MeterProvider: metric.NewMeterProvider(metric.WithReader(reader)), TracerProvider: trace.NewTracerProvider(trace.WithSyncer(spans)),
		SpanAttributes: func(ctx context.Context) []attribute.KeyValue {
			tenant, ok := tenants.FromContext(ctx)
			assert.True(t, ok)
			return []attribute.KeyValue{attribute.String("app.tenant", tenant)}
		},
	})})
	require.NoError(t, p.Do(t.Context(), "acme", func(ctx context.Context, _ *sqlite.DB) error {
		tenant, ok := tenants.FromContext(ctx)
		assert.True(t, ok)
		assert.Equal(t, "acme", tenant)
		return nil
	}))
	require.NoError(t, p.Do(t.Context(), "zeta", nothing))
	_, ok := tenants.FromContext(t.Context())
	assert.False(t, ok)
	seen := map[string]int{}
	for _, span := range spans.GetSpans() {
		for _, attribute := range span.Attributes {
			if attribute.Key == "app.tenant" {
				seen[span.Name+" "+attribute.Value.AsString()]++
			}
		}
	}
	assert.Equal(t, map[string]int{
		"acquire tenants acme": 1, "create tenants acme": 1, "release tenants acme": 1,
		"acquire tenants zeta": 1, "create tenants zeta": 1, "release tenants zeta": 1,
	}, seen)
	var collected metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &collected))
	metrics, err := json.Marshal(collected)
	require.NoError(t, err)
	assert.NotContains(t, string(metrics), "acme")
}
