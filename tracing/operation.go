package tracing

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/pool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// operation is what a tap keeps of a backend's operation: a Read, a Write, a Batch. Like a lease, it is the ctx.
type operation struct {
	context.Context // with the span
	tap             *tap

	span   trace.Span // nil: there is none
	commit trace.Span // nil: none is under way

	set [4]attribute.KeyValue // room for what is said at the end
}

type operationKey struct{ tap *tap }

// Value returns the operation for its tap.
func (o *operation) Value(key any) any {
	if k, ok := key.(operationKey); ok && k.tap == o.tap {
		return o
	}
	return o.Context.Value(key)
}

// operation returns the one that ctx belongs to, nil if there is none, or none that has a span.
func (t *tap) operation(ctx context.Context) *operation {
	if o, _ := ctx.Value(operationKey{t}).(*operation); o != nil && o.span != nil {
		return o
	}
	return nil
}

const (
	operationName  = attribute.Key("db.operation.name")
	operationBatch = attribute.Key("db.operation.batch.size")
	statusCode     = attribute.Key("db.response.status_code")
	batchAttempt   = attribute.Key("headpond.batch.attempt")
)

// durationBuckets are those of the conventions.
var durationBuckets = []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10}

// operations are the kinds of operation that a tap has seen, by name: few.
type operations struct {
	namespace string
	base      []attribute.KeyValue // of every span and record
	duration  histogram
	commit    []trace.SpanStartOption // of commits, which say no more than their operations
	internal  []trace.SpanStartOption // of checkpoints

	mu    sync.Mutex // for writing
	kinds atomic.Pointer[map[string]*operationKind]
}

// operationKind is what does not change from one Read to the next: to make it for each costs allocations.
type operationKind struct {
	spanName string
	start    []trace.SpanStartOption
	set      []attribute.KeyValue
	good     []metric.RecordOption
}

// init sets what operations have in common. set is that of the pool, owner what is said in place of a db.namespace.
func (o *operations) init(options Options, set attribute.Set, owner string) {
	o.namespace = owner
	for _, a := range set.ToSlice() {
		switch a.Key {
		case connectionPool, poolName: // of the database, whichever of its pools has the lease
			continue
		case dbNamespace:
			o.namespace = a.Value.AsString()
		}
		o.base = append(o.base, a)
	}
	o.commit = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindInternal)}
	o.internal = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindInternal), trace.WithAttributes(o.base...)}
	o.duration = newHistogram(options.meter(), attribute.NewSet(o.base...), "db.client.operation.duration", "Duration of database client operations.", durationBuckets)
	o.kinds.Store(&map[string]*operationKind{})
}

// kind returns that of a name.
func (o *operations) kind(name string) *operationKind {
	if kind := (*o.kinds.Load())[name]; kind != nil {
		return kind
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	known := *o.kinds.Load()
	if kind := known[name]; kind != nil {
		return kind
	}
	set := append(o.base[:len(o.base):len(o.base)], operationName.String(name))
	kind := &operationKind{
		spanName: name + " " + o.namespace,
		start:    []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(set...)},
		set:      set,
		good:     []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(set...))},
	}
	more := maps.Clone(known)
	more[name] = kind
	o.kinds.Store(&more)
	return kind
}

// record records the duration of an operation.
func (o *operations) record(ctx context.Context, event pool.Event, failed failure) {
	if !o.duration.enabled(ctx) {
		return
	}
	kind := o.kind(event.Operation.Name)
	if failed.name == "" {
		o.duration.Record(ctx, event.Took.Seconds(), kind.good...)
		return
	}
	set := append(kind.set[:len(kind.set):len(kind.set)], errorType.String(failed.name))
	if event.Code != nil {
		set = append(set, statusCode.String(event.Code.Number))
	}
	o.duration.Record(ctx, event.Took.Seconds(), metric.WithAttributes(set...))
}

func (t *tap) beginOperation(ctx context.Context, event pool.Event) context.Context {
	if !t.traced(ctx) {
		if t.operation(ctx) == nil {
			return ctx
		}
		return &operation{Context: ctx, tap: t} // hides the operation of which this is part
	}
	kind := t.operations.kind(event.Operation.Name)
	ctx, span := t.tracer.Start(ctx, kind.spanName, t.withMore(ctx, kind.start)...)
	if !span.IsRecording() {
		return &operation{Context: ctx, tap: t}
	}
	return &operation{Context: ctx, tap: t, span: span}
}

func (t *tap) endOperation(ctx context.Context, event pool.Event) {
	failed := t.failed(event)
	t.operations.record(ctx, event, failed)
	if t.mode == None {
		return
	}
	o := t.operation(ctx)
	if o == nil {
		return
	}
	run := event.Operation
	if shared, ok := ctxValue(run.Commit, sharedKey{t}).(*sharedCommit); ok {
		shared.show(o)
	}
	set := o.set[:0]
	if run.Shared > 1 { // one alone is no batch to the conventions
		set = append(set, operationBatch.Int(run.Shared))
	}
	if run.Attempts > 0 {
		set = append(set, batchAttempt.Int(run.Attempts))
	}
	finish(o.span, withCode(set, event), failed)
}

func ctxValue(ctx context.Context, key any) any {
	if ctx == nil {
		return nil
	}
	return ctx.Value(key)
}

// withCode adds the code of an error to what is said of it.
func withCode(set []attribute.KeyValue, event pool.Event) []attribute.KeyValue {
	if event.Code == nil {
		return set
	}
	return append(set, statusCode.String(event.Code.Number))
}

// failed names the error of an event: in the words of the backend, if it has one for it.
func (t *tap) failed(event pool.Event) failure {
	if event.Err == nil {
		return failure{}
	}
	code := ""
	if event.Code != nil && isName(event.Code.Name) {
		code = event.Code.Name
	}
	return nameFailure(event.Err, code)
}

// beginCommit begins the commit of an operation, or one that several operations share: which of them has its span shows when they end.
func (t *tap) beginCommit(ctx context.Context, event pool.Event) context.Context {
	if event.Shared > 0 {
		return &sharedCommit{Context: ctx, tap: t, began: time.Now()}
	}
	o := t.operation(ctx)
	if o == nil {
		return ctx
	}
	ctx = within(ctx, o.span)
	ctx, o.commit = t.tracer.Start(ctx, commitName, t.withMore(ctx, t.operations.commit)...)
	return ctx
}

const commitName = "commit"

func (t *tap) endCommit(ctx context.Context, event pool.Event) {
	failed := t.failed(event)
	if shared, ok := ctx.Value(sharedKey{t}).(*sharedCommit); ok {
		shared.ended, shared.failed, shared.set = time.Now(), failed, withCode(nil, event)
		return
	}
	if o := t.operation(ctx); o != nil && o.commit != nil {
		finish(o.commit, withCode(o.set[:0], event), failed)
		o.commit = nil
	}
}

// sharedCommit is a commit that several operations share. It is the ctx of its events.
type sharedCommit struct {
	context.Context
	tap    *tap
	began  time.Time
	ended  time.Time // this and what follows is set before an operation that shares it ends
	failed failure
	set    []attribute.KeyValue

	mu   sync.Mutex // protects the following
	span trace.SpanContext
}

type sharedKey struct{ tap *tap }

// Value returns the commit for its tap.
func (c *sharedCommit) Value(key any) any {
	if k, ok := key.(sharedKey); ok && k.tap == c.tap {
		return c
	}
	return c.Context.Value(key)
}

// show makes the commit's span below the first operation that is recorded; every other one links to it.
func (c *sharedCommit) show(o *operation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.span.IsValid() {
		o.span.AddLink(trace.Link{SpanContext: c.span})
		return
	}
	t := c.tap
	start := t.operations.commit
	start = append(start[:len(start):len(start)], trace.WithTimestamp(c.began))
	_, span := t.tracer.Start(within(o, o.span), commitName, t.withMore(o, start)...)
	finishAt(span, c.ended, c.set, c.failed)
	c.span = span.SpanContext()
}

// endCheckpoint makes the span of a checkpoint, which has ended: below the caller's, or by itself if it is the backend's own.
func (t *tap) endCheckpoint(ctx context.Context, event pool.Event) {
	if !t.traced(ctx) {
		return
	}
	now := time.Now()
	start := t.operations.internal
	start = append(start[:len(start):len(start)], trace.WithTimestamp(now.Add(-event.Took)))
	_, span := t.tracer.Start(ctx, "checkpoint "+t.operations.namespace, t.withMore(ctx, start)...)
	var set []attribute.KeyValue
	for _, figure := range event.Figures {
		if figure.Unit == "s" {
			set = append(set, attribute.Float64(figure.Name, figure.Value))
		} else {
			set = append(set, attribute.Int64(figure.Name, int64(figure.Value)))
		}
	}
	finishAt(span, now, withCode(set, event), t.failed(event))
}
