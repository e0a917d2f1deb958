package tracing_test

import (
	"context"
	"fmt"
	"log"
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

// answers are hooks for a pool of a value that takes a connection, a process or a file in earnest.
var answers = resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 42, nil }}

// One line in the options of a pool turns everything on; the providers are the global ones
// unless others are given, as here.
func ExampleObserver() {
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))

	p, err := pool.New(answers, pool.Options{
		Name:     "answers",
		Observer: tracing.Observer(tracing.Options{TracerProvider: provider}),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())
	ctx, request := provider.Tracer("example").Start(context.Background(), "request")
	lease, err := p.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
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

// Every span says which of the service's databases it is about.
func ExampleOptions() {
	spans := tracetest.NewSpanRecorder()
	p, err := pool.New(answers, pool.Options{
		Name: "orders",
		Observer: tracing.Observer(tracing.Options{
			TracerProvider: trace.NewTracerProvider(trace.WithSpanProcessor(spans)),
			Attributes:     []attribute.KeyValue{attribute.String("region", "north")},
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())
	if err := p.Do(context.Background(), func(context.Context, int) error { return nil }); err != nil {
		log.Fatal(err)
	}
	for _, span := range spans.Ended() {
		if span.Name() != "acquire orders" {
			continue
		}
		for _, a := range span.Attributes() {
			fmt.Println(a.Key, a.Value.AsInterface())
		}
	}
	// Output:
	// headpond.pool.name orders
	// region north
	// headpond.resource.id 1
	// headpond.acquire.source created
}

// With a System the metrics have the names of the semantic conventions.
func ExampleOptions_system() {
	reader := metric.NewManualReader()
	p, err := pool.New(answers, pool.Options{
		Name: "orders",
		Observer: tracing.Observer(tracing.Options{
			MeterProvider: metric.NewMeterProvider(metric.WithReader(reader)),
			Spans:         tracing.None,
			System:        "sqlite",
			Attributes:    []attribute.KeyValue{attribute.String("db.namespace", "orders.db")},
		}),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())
	if err := p.Do(context.Background(), func(context.Context, int) error { return nil }); err != nil {
		log.Fatal(err)
	}

	var collected metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &collected); err != nil {
		log.Fatal(err)
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
	// headpond.resource.leaked ({lease})
	// headpond.resource.oldest_use (s)
	// headpond.resource.oldest_wait (s)
}

// WithParent leaves out what no request asked for: a job in the background makes no traces of its own.
func ExampleSpanMode() {
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	p, err := pool.New(answers, pool.Options{
		Name:     "answers",
		Observer: tracing.Observer(tracing.Options{TracerProvider: provider, Spans: tracing.WithParent}),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())

	use := func(ctx context.Context) {
		if err := p.Do(ctx, func(context.Context, int) error { return nil }); err != nil {
			log.Fatal(err)
		}
	}
	use(context.Background())
	fmt.Println("without a parent:", len(spans.Ended()))
	ctx, request := provider.Tracer("example").Start(context.Background(), "request")
	use(ctx)
	request.End()
	for _, span := range spans.Ended() {
		fmt.Println(span.Name())
	}
	// Output:
	// without a parent: 0
	// acquire answers
	// release answers
	// request
}
