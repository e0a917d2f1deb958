package pool_test

import (
	"testing"

	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestTracingNeverChangesWhatThePoolDoes runs the model with every span and metric on.
func TestTracingNeverChangesWhatThePoolDoes(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	checkModel(t, tracing.Observer(tracing.Options{
		TracerProvider: trace.NewTracerProvider(trace.WithSpanProcessor(spans)),
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())),
	}))
	assert.NotEmpty(t, spans.Ended())
	assert.Len(t, spans.Ended(), len(spans.Started()), "every span has ended")
}
