package tracing_test

import (
	"math"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestFiguresThatAreNoMetrics(t *testing.T) {
	var failures []error
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { failures = append(failures, err) }))
	t.Cleanup(func() { otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {})) })
	r := record(t)
	figures := []pool.Figure{{Name: "no metric's name", Value: 1}, {Name: "good", Value: math.NaN()}}
	newPool(t, pool.Options{Observer: r.observer(tracing.Options{}), Figures: func() []pool.Figure { return figures }})
	require.Len(t, failures, 1)
	figures = append(figures, pool.Figure{Name: "later", Value: 1})
	got := r.collect()
	assert.Contains(t, got, "good")
	assert.Contains(t, got, "headpond.resource.max")
	assert.NotContains(t, got, "later", "the names are those of the start")
	assert.Len(t, failures, 1)
}

func TestFigures_AreOfTheirKindUnderTheOwnersName(t *testing.T) {
	r := record(t)
	calls := 0.0
	found := func(kind string, count float64) pool.Figure {
		return pool.Figure{Name: "findings", Unit: "{finding}", Help: "What was found.", Kind: pool.Counter, Value: count, Labels: []pool.Label{{Name: "kind", Value: kind}}}
	}
	for _, system := range []string{"", "sqlite"} {
		newPool(t, pool.Options{Name: system + "orders.readers", Owner: system + "orders", Observer: r.observer(tracing.Options{System: system}), Figures: func() []pool.Figure {
			calls++
			return []pool.Figure{{Name: "size", Unit: "By", Help: "How large it is.", Value: 1 - calls}, found("pragma", 0), found("statement", calls)}
		}})
		newPool(t, pool.Options{Name: system + "orders.writer", Owner: system + "orders", Observer: r.observer(tracing.Options{System: system})})
	}
	calls = 4
	got := r.collect()
	assert.Equal(t, "What was found.", got["findings"].Description)
	assert.Equal(t, "How large it is.", got["size"].Description)
	sum, ok := got["findings"].Data.(metricdata.Sum[float64])
	require.True(t, ok)
	assert.True(t, sum.IsMonotonic)
	require.IsType(t, metricdata.Gauge[float64]{}, got["size"].Data)
	require.Len(t, sum.DataPoints, 4, "two kinds of two owners, each once")
	values := map[[2]string]float64{}
	for _, p := range sum.DataPoints {
		name, _ := p.Attributes.Value("headpond.pool.name")
		if system, _ := p.Attributes.Value("db.system.name"); system.AsString() != "" {
			name, _ = p.Attributes.Value("db.client.connection.pool.name")
		}
		kind, _ := p.Attributes.Value("kind")
		values[[2]string{name.AsString(), kind.AsString()}] = p.Value
	}
	assert.Equal(t, []float64{0, 0, 11}, []float64{values[[2]string{"orders", "pragma"}], values[[2]string{"sqliteorders", "pragma"}],
		values[[2]string{"orders", "statement"}] + values[[2]string{"sqliteorders", "statement"}]}, "%v", values)
	_, ofThePool := values[[2]string{"orders.readers", "pragma"}]
	assert.False(t, ofThePool)
}
