package receivers

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/tracing"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
)

// TestPrometheus lets a Prometheus scrape a pool that is in use, and asks it what an operator would.
func TestPrometheus(t *testing.T) {
	wanted(t)
	registry := client.NewRegistry()
	exporter, err := prometheus.New(prometheus.WithRegisterer(registry))
	require.NoError(t, err)
	spans := trace.NewTracerProvider()
	observed := options()
	observed.TracerProvider, observed.MeterProvider = spans, metric.NewMeterProvider(metric.WithReader(exporter))
	p := newPool(t, tracing.Observer(observed), 25*time.Millisecond)

	service := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	defer service.Close()
	prom := scrape(t, service.Listener.Addr().String())

	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	traces := sync.Map{}
	for range 12 {
		work.Go(func() {
			for ctx.Err() == nil {
				ctx, span := spans.Tracer("service").Start(ctx, "request")
				traces.Store(span.SpanContext().TraceID().String(), true)
				_ = p.Do(ctx, func(context.Context, int) error { <-time.After(10 * time.Millisecond); return nil })
				span.End()
			}
		})
	}

	const all = `{db_client_connection_pool_name="orders",db_system_name="sqlite",db_namespace="orders.db",job="headpond"`
	quantile := func(name, more string) string {
		return fmt.Sprintf(`histogram_quantile(0.9, sum by (le) (rate(%s_bucket%s%s}[10s])))`, name, all, more)
	}
	var wait, timeouts, use float64
	require.Eventually(t, func() bool {
		wait = prom.query(quantile("db_client_connection_wait_time_seconds", `,error_type=""`))
		timeouts = prom.query(quantile("db_client_connection_wait_time_seconds", `,error_type="timeout"`))
		use = prom.query(quantile("db_client_connection_use_time_seconds", ""))
		return wait > 0 && timeouts > 0 && use > 0 && prom.query(`db_client_connection_timeouts_total`+all+`}`) > 0
	}, time.Minute, time.Second)

	// Twelve goroutines use two values for 10 ms each, and give up after 25.
	t.Logf("wait_time, 0.9: %v s", wait)
	assert.Greater(t, wait, .005)
	assert.Less(t, wait, 1.)
	t.Logf("wait_time of the timeouts, 0.9: %v s", timeouts)
	assert.Greater(t, timeouts, .01)
	t.Logf("use_time, 0.9: %v s", use)
	assert.Greater(t, use, .005)
	assert.Less(t, use, 1.)
	for expression, want := range map[string]float64{
		`db_client_connection_max` + all + `}`:                       2,
		`sum(db_client_connection_count` + all + `})`:                2,
		`headpond_sqlite_wal_size_bytes` + all + `}`:                 4096,
		`headpond_resource_constructing` + all + `}`:                 0,
		`db_client_connection_create_time_seconds_count` + all + `}`: 2,
	} {
		assert.Eventually(t, func() bool { return prom.query(expression) == want }, time.Minute, time.Second, "%s is not %v", expression, want) // a scrape may fail
	}

	assert.Eventually(t, func() bool {
		return prom.query(`ALERTS{alertname="HeadpondCallersTimeOut",alertstate="firing",db_client_connection_pool_name="orders"}`) == 1
	}, time.Minute, time.Second, "the alert of docs/operating")

	var exemplars struct {
		Data []struct {
			Exemplars []struct{ Labels map[string]string }
		}
	}
	now := time.Now()
	require.Eventually(t, func() bool {
		prom.get("/api/v1/query_exemplars", url.Values{
			"query": {"db_client_connection_wait_time_seconds_bucket"},
			"start": {strconv.FormatInt(now.Add(-time.Minute).Unix(), 10)}, "end": {strconv.FormatInt(now.Add(time.Minute).Unix(), 10)},
		}, &exemplars)
		return len(exemplars.Data) > 0
	}, time.Minute, time.Second)
	for _, series := range exemplars.Data {
		for _, exemplar := range series.Exemplars {
			_, ours := traces.Load(exemplar.Labels["trace_id"])
			assert.True(t, ours, "%v", exemplar.Labels)
		}
	}
	t.Logf("%d series have exemplars: %v", len(exemplars.Data), exemplars.Data[0].Exemplars[0].Labels)
}

// prometheusServer is a Prometheus that runs until the test ends.
type prometheusServer struct {
	t       *testing.T
	address string
}

// scrape starts a Prometheus that scrapes target every second, with the alerts for operators.
func scrape(t *testing.T, target string) prometheusServer {
	address := freeAddress(t)
	_, rules := alerts(t)
	start(t, nil, "prometheus", "--web.listen-address="+address, "--storage.tsdb.path="+t.TempDir(), "--enable-feature=exemplar-storage",
		"--config.file="+write(t, "prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
- job_name: headpond
  static_configs: [{targets: [%q]}]
`, rules, target)))
	return prometheusServer{t, address}
}

// query returns the one value of an expression, NaN if there is none or several.
func (s prometheusServer) query(expression string) float64 {
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	s.get("/api/v1/query", url.Values{"query": {expression}}, &answer)
	if len(answer.Data.Result) != 1 {
		return math.NaN()
	}
	value, _ := strconv.ParseFloat(answer.Data.Result[0].Value[1].(string), 64)
	return value
}

// get asks for JSON. An answer that can't be had yet leaves into as it is.
func (s prometheusServer) get(path string, values url.Values, into any) {
	answer, err := http.Get("http://" + s.address + path + "?" + values.Encode())
	if err != nil {
		return
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		require.NoError(s.t, json.NewDecoder(answer.Body).Decode(into))
	}
}
