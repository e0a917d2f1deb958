package tracing

import (
	"cmp"
	"context"
	"time"

	"github.com/headpond/headpond/pool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// tap watches one pool.
type tap struct {
	tracer trace.Tracer
	mode   SpanMode
	start  []trace.SpanStartOption                        // of every span
	more   func(ctx context.Context) []attribute.KeyValue // Options.SpanAttributes

	acquireName, createName, releaseName string

	meters     *meters
	births     births
	operations operations
	statements StatementMode
}

func newTap(options Options, p pool.Inspector) *tap {
	name, options := p.Name(), options.of(p)
	set := options.attributes(name)
	t := &tap{
		tracer:      options.tracer(),
		mode:        options.Spans,
		more:        options.SpanAttributes,
		start:       []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindInternal), trace.WithAttributes(set.ToSlice()...)},
		acquireName: "acquire " + name,
		createName:  "create " + name,
		releaseName: "release " + name,
		meters:      newMeters(options, set, p),
		statements:  options.statementMode(),
	}
	t.operations.init(options, set, cmp.Or(p.Options().Owner, name))
	return t
}

func (t *tap) enabled(ctx context.Context) bool {
	return t.meters.enabled(ctx) || t.operations.duration.enabled(ctx) || t.traced(ctx)
}

// traced decides whether a lease that is acquired with ctx has spans.
func (t *tap) traced(ctx context.Context) bool {
	if t.mode == None {
		return false
	}
	span := trace.SpanFromContext(ctx)
	return span.IsRecording() || t.mode == Always && !span.SpanContext().IsValid()
}

func (t *tap) begin(ctx context.Context, event pool.Event) context.Context {
	if t.mode == None {
		return ctx
	}
	switch event.Op {
	case pool.Acquire:
		return t.beginAcquire(ctx)
	case pool.Construct:
		return t.beginConstruct(ctx)
	case pool.Release:
		return t.beginRelease(ctx)
	case pool.Operation:
		return t.beginOperation(ctx, event)
	case pool.Commit:
		return t.beginCommit(ctx, event)
	}
	return ctx
}

func (t *tap) end(ctx context.Context, event pool.Event) {
	switch event.Op {
	case pool.Acquire:
		t.endAcquire(ctx, event)
	case pool.Construct:
		t.endConstruct(ctx, event)
	case pool.Release:
		t.endRelease(ctx, event)
	case pool.Destroy:
		t.births.take(event.ID)
	case pool.Statement:
		t.endStatement(ctx, event)
	case pool.Operation:
		t.endOperation(ctx, event)
	case pool.Commit:
		t.endCommit(ctx, event)
	case pool.Checkpoint:
		t.endCheckpoint(ctx, event)
	}
}

func (t *tap) detach() {
	t.births.clear()
	t.meters.unregister()
}

// starting are the options of a span that is about to start with ctx.
func (t *tap) starting(ctx context.Context) []trace.SpanStartOption { return t.withMore(ctx, t.start) }

// withMore returns start with what Options.SpanAttributes says.
func (t *tap) withMore(ctx context.Context, start []trace.SpanStartOption) []trace.SpanStartOption {
	if t.more == nil {
		return start
	}
	return append(start[:len(start):len(start)], trace.WithAttributes(t.more(ctx)...))
}

func (t *tap) beginAcquire(ctx context.Context) context.Context {
	if !t.traced(ctx) {
		if t.lease(ctx) == nil {
			return ctx
		}
		return &lease{Context: ctx, tap: t} // hides the lease of which this is part
	}
	caller := trace.SpanFromContext(ctx)
	ctx, span := t.tracer.Start(ctx, t.acquireName, t.starting(ctx)...)
	if !span.IsRecording() {
		return &lease{Context: ctx, tap: t}
	}
	return &lease{Context: ctx, tap: t, caller: caller, acquire: span}
}

func (t *tap) endAcquire(ctx context.Context, event pool.Event) {
	failed := failureOf(event.Err)
	t.meters.wait.record(ctx, event.Took, failed.name)
	var birth trace.SpanContext
	if event.ID != 0 {
		birth = t.births.take(event.ID)
	}
	if t.mode == None {
		return
	}
	l := t.lease(ctx)
	if l == nil || l.acquire == nil {
		return
	}
	span := l.acquire
	if birth.IsValid() && birth.TraceID() != span.SpanContext().TraceID() {
		span.AddLink(trace.Link{SpanContext: birth})
	}
	set := l.set[:0:4]
	if event.ID != 0 {
		set = append(set, resourceID.Int64(int64(event.ID)), acquireSource.String(event.Source.String()))
	}
	if event.Discarded > 0 {
		set = append(set, acquireDiscarded.Int(event.Discarded))
	}
	if event.Shared > 0 {
		set = append(set, batchSize.Int(event.Shared))
	}
	finish(span, set, failed)
}

// beginConstruct makes a span below the acquire that the build is for.
// A build without one is Warm's, whose ctx may have a span, or the pool's own, which has none.
func (t *tap) beginConstruct(ctx context.Context) context.Context {
	parent := trace.SpanFromContext(ctx)
	l := t.lease(ctx)
	if l != nil {
		parent = l.acquire
	}
	if parent == nil || l == nil && !parent.IsRecording() {
		return context.WithValue(ctx, buildKey{t}, nil)
	}
	ctx, span := t.tracer.Start(within(ctx, parent), t.createName, t.starting(ctx)...)
	return context.WithValue(ctx, buildKey{t}, span)
}

func (t *tap) endConstruct(ctx context.Context, event pool.Event) {
	failed := failureOf(event.Err)
	t.meters.create.record(ctx, event.Took, failed.name)
	span, _ := ctx.Value(buildKey{t}).(trace.Span)
	if span == nil {
		return
	}
	if event.Err == nil {
		t.births.put(event.ID, span.SpanContext())
	}
	finish(span, []attribute.KeyValue{resourceID.Int64(int64(event.ID))}, failed)
}

func (t *tap) beginRelease(ctx context.Context) context.Context {
	l := t.lease(ctx)
	if l == nil || l.acquire == nil {
		return ctx
	}
	parent := l.caller
	if !parent.SpanContext().IsValid() { // or it would be a trace of its own
		parent = l.acquire
	}
	ctx, l.release = t.tracer.Start(within(ctx, parent), t.releaseName, t.starting(ctx)...)
	return ctx
}

func (t *tap) endRelease(ctx context.Context, event pool.Event) {
	t.meters.use.record(ctx, event.Held, "")
	if t.mode == None {
		return
	}
	l := t.lease(ctx)
	if l == nil || l.release == nil {
		return
	}
	set := append(l.set[4:4],
		resourceID.Int64(int64(event.ID)),
		useTime.Float64(event.Held.Seconds()),
		releaseOutcome.String(event.Outcome.String()))
	if event.Outcome == pool.Destroyed {
		set = append(set, destroyReason.String(event.Reason.String()))
	}
	finish(l.release, set, failureOf(event.Err))
}

const (
	resourceID       = attribute.Key("headpond.resource.id")
	acquireSource    = attribute.Key("headpond.acquire.source")
	acquireDiscarded = attribute.Key("headpond.acquire.discarded")
	batchSize        = attribute.Key("headpond.batch.size")
	useTime          = attribute.Key("headpond.resource.use_time")
	releaseOutcome   = attribute.Key("headpond.release.outcome")
	destroyReason    = attribute.Key("headpond.destroy.reason")
)

// finish ends span with the attributes of set and what is to be said of a failure.
// The description of the status stays empty: the text of an error may contain a path.
func finish(span trace.Span, set []attribute.KeyValue, failed failure) {
	describe(span, set, failed)
	span.End()
}

// finishAt is finish of a span that ended then.
func finishAt(span trace.Span, then time.Time, set []attribute.KeyValue, failed failure) {
	describe(span, set, failed)
	span.End(trace.WithTimestamp(then))
}

func describe(span trace.Span, set []attribute.KeyValue, failed failure) {
	if failed.name != "" {
		set = append(set, errorType.String(failed.name))
	}
	span.SetAttributes(set...)
	if failed.isError {
		span.SetStatus(codes.Error, "")
	}
}
