package tracing_test

import (
	"context"
	"os"
	"regexp"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// TestVersion compares the version of the instrumentation scope with the newest one in the changelog.
func TestVersion(t *testing.T) {
	changelog, err := os.ReadFile("../CHANGELOG.md")
	require.NoError(t, err)
	newest := regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\] - `).FindSubmatch(changelog)
	require.NotNil(t, newest)

	r := record(t)
	p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }},
		pool.Options{Name: "versions", Observer: r.observer(tracing.Options{})})
	require.NoError(t, err)
	require.NoError(t, p.Do(t.Context(), func(context.Context, int) error { return nil }))
	var collected metricdata.ResourceMetrics
	require.NoError(t, r.reader.Collect(t.Context(), &collected))
	require.NoError(t, p.Close(t.Context()))

	require.Len(t, collected.ScopeMetrics, 1)
	assert.Equal(t, string(newest[1]), collected.ScopeMetrics[0].Scope.Version)
	require.NotEmpty(t, r.spans.Ended())
	for _, span := range r.spans.Ended() {
		assert.Equal(t, string(newest[1]), span.InstrumentationScope().Version, span.Name())
	}
}
