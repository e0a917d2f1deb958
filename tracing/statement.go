package tracing

import (
	"context"
	"strings"
	"time"

	"github.com/headpond/headpond/pool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// StatementMode says which statements have spans.
type StatementMode uint8

const (
	NoStatements   StatementMode = iota // none
	SlowStatements                      // those that the backend was told are slow, as with sqlite.Options.SlowAfter
	AllStatements                       // all: with it the backend is asked for them, and each costs it time
)

const (
	queryText          = attribute.Key("db.query.text")
	statementRows      = attribute.Key("headpond.statement.rows")
	statementScans     = attribute.Key("headpond.statement.fullscan_steps")
	statementSorts     = attribute.Key("headpond.statement.sorts")
	statementAutoIndex = attribute.Key("headpond.statement.auto_indexes")
)

// statementMode is what Options ask for: there is no statement where there are no spans.
func (o Options) statementMode() StatementMode {
	if o.Spans == None {
		return NoStatements
	}
	return o.Statements
}

// endStatement makes the span of a statement, which has ended: below the operation, else below the caller's span.
func (t *tap) endStatement(ctx context.Context, event pool.Event) {
	run := event.Statement
	if t.statements == NoStatements || t.statements == SlowStatements && !run.Slow {
		return
	}
	parent := t.parentOfStatement(ctx)
	if parent == nil {
		return
	}
	now := time.Now()
	start := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(now.Add(-event.Took)),
		trace.WithAttributes(t.operations.base...), trace.WithAttributes(queryText.String(run.Text))}
	_, span := t.tracer.Start(within(ctx, parent), keyword(run.Text)+" "+t.operations.namespace, t.withMore(ctx, start)...)
	if !span.IsRecording() {
		span.End()
		return
	}
	set := []attribute.KeyValue{statementRows.Int64(run.Rows), statementScans.Int64(run.FullScanSteps), statementSorts.Int64(run.Sorts)}
	if run.AutoIndexes > 0 {
		set = append(set, statementAutoIndex.Int64(run.AutoIndexes))
	}
	finishAt(span, now, set, failureOf(event.Err))
}

// parentOfStatement returns the span below which a statement's is; nil if it has none: no statement is a trace of its own.
func (t *tap) parentOfStatement(ctx context.Context) trace.Span {
	if o := t.operation(ctx); o != nil {
		return o.span
	}
	if l := t.lease(ctx); l != nil {
		switch {
		case l.acquire == nil:
			return nil
		case l.caller.SpanContext().IsValid():
			return l.caller
		}
		return l.acquire
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		return span
	}
	return nil
}

// keyword is the first word of a statement, in upper case.
func keyword(text string) string {
	for {
		text = strings.TrimLeft(text, " \t\r\n\f;")
		switch {
		case strings.HasPrefix(text, "--"):
			_, text, _ = strings.Cut(text, "\n")
			continue
		case strings.HasPrefix(text, "/*"):
			_, text, _ = strings.Cut(text[2:], "*/")
			continue
		}
		end := strings.IndexFunc(text, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
		if end < 0 {
			end = len(text)
		}
		if end == 0 {
			return "statement"
		}
		return strings.ToUpper(text[:min(end, 20)])
	}
}
