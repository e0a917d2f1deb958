package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// lease is what a tap keeps of a lease that may have spans, from the start of its acquire on.
// It is the ctx of the acquire: to be a context of its own saves an allocation,
// and to be found by a key of its own saves it from the spans that other observers put in between.
type lease struct {
	context.Context // with the acquire span
	tap             *tap

	caller  trace.Span // of the ctx that the acquire came with
	acquire trace.Span // nil: there are no spans for this lease
	release trace.Span // nil until then

	set [9]attribute.KeyValue // room for what acquire (4) and release (5) say at their end
}

// Value returns the lease for its tap.
func (l *lease) Value(key any) any {
	if t, ok := key.(*tap); ok && t == l.tap {
		return l
	}
	return l.Context.Value(key)
}

// lease returns the one that ctx belongs to, nil where there is none.
func (t *tap) lease(ctx context.Context) *lease {
	l, _ := ctx.Value(t).(*lease)
	return l
}

// buildKey is under which the ctx of a Construct carries its span, nil where it has none.
type buildKey struct{ tap *tap }

// within returns ctx with span as its span.
func within(ctx context.Context, span trace.Span) context.Context {
	if trace.SpanFromContext(ctx) == span {
		return ctx
	}
	return trace.ContextWithSpan(ctx, span)
}
