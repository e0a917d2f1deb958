package tracing_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// oneEnabled is a provider of meters whose histograms say that only one of them goes anywhere.
type oneEnabled struct {
	noop.MeterProvider
	name    string
	records atomic.Int64
}

func (o *oneEnabled) Meter(string, ...metric.MeterOption) metric.Meter { return oneMeter{provider: o} }

type oneMeter struct {
	noop.Meter
	provider *oneEnabled
}

func (m oneMeter) Float64Histogram(name string, _ ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return oneHistogram{provider: m.provider, enabled: name == m.provider.name}, nil
}

type oneHistogram struct {
	noop.Float64Histogram
	provider *oneEnabled
	enabled  bool
}

func (h oneHistogram) Enabled(context.Context) bool { return h.enabled }
func (h oneHistogram) Record(context.Context, float64, ...metric.RecordOption) {
	h.provider.records.Add(1)
}

func TestHistograms_OneThatIsEnabledAloneIsRecorded(t *testing.T) {
	for _, name := range []string{"wait_time", "create_time", "use_time"} {
		provider := &oneEnabled{name: "headpond.resource." + name}
		p := newPool(t, pool.Options{Observer: tracing.Observer(tracing.Options{MeterProvider: provider, Spans: tracing.None})})
		lease(t, p, context.Background())
		assert.EqualValues(t, 1, provider.records.Load(), name)
	}
}
