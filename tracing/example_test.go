package tracing_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// One line in the options of a pool turns everything on; the providers are the global ones
// unless others are given, as here.
func ExampleObserver() {
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))

	hooks := resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 42, nil }}
	p, err := pool.New(hooks, pool.Options{
		Name:     "answers",
		Observer: tracing.Observer(tracing.Options{TracerProvider: provider}),
	})
	if err != nil {
		panic(err)
	}
	ctx, request := provider.Tracer("example").Start(context.Background(), "request")
	lease, err := p.Acquire(ctx)
	if err != nil {
		panic(err)
	}
	_, query := provider.Tracer("example").Start(ctx, "query") // the user's own: a sibling of both
	query.End()
	lease.Release()
	request.End()

	names := map[string]string{}
	for _, span := range spans.Ended() {
		names[span.SpanContext().SpanID().String()] = span.Name()
	}
	for _, span := range spans.Ended() {
		fmt.Printf("%s, child of %q\n", span.Name(), names[span.Parent().SpanID().String()])
	}
	// Output:
	// create answers, child of "acquire answers"
	// acquire answers, child of "request"
	// query, child of "request"
	// release answers, child of "request"
	// request, child of ""
}

// With a System the metrics have the names of the semantic conventions.
func ExampleOptions_system() {
	reader := metric.NewManualReader()
	p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 42, nil }}, pool.Options{
		Name: "orders",
		Observer: tracing.Observer(tracing.Options{
			MeterProvider: metric.NewMeterProvider(metric.WithReader(reader)),
			Spans:         tracing.None,
			System:        "sqlite",
			Attributes:    []attribute.KeyValue{attribute.String("db.namespace", "orders.db")},
		}),
	})
	if err != nil {
		panic(err)
	}
	lease, err := p.Acquire(context.Background())
	if err != nil {
		panic(err)
	}
	lease.Release()

	var collected metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &collected); err != nil {
		panic(err)
	}
	var names []string
	for _, m := range collected.ScopeMetrics[0].Metrics {
		names = append(names, fmt.Sprintf("%s (%s)", m.Name, m.Unit))
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Println(name)
	}
	// Output:
	// db.client.connection.count ({connection})
	// db.client.connection.create_time (s)
	// db.client.connection.idle.min ({connection})
	// db.client.connection.max ({connection})
	// db.client.connection.pending_requests ({request})
	// db.client.connection.timeouts ({timeout})
	// db.client.connection.use_time (s)
	// db.client.connection.wait_time (s)
	// headpond.resource.constructing ({connection})
	// headpond.resource.oldest_use (s)
}
