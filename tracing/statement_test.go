package tracing_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

type uniqueError struct{}

func (uniqueError) Error() string     { return "UNIQUE constraint failed: people.s3cr3t" }
func (uniqueError) ErrorType() string { return "SQLITE_CONSTRAINT_UNIQUE" }

// tapOf returns the tap that an observer makes for a pool, beside that of the pool itself.
func tapOf(t testing.TB, observer pool.Observer) pool.Tap {
	return observer(newPool(t, pool.Options{Name: "orders.readers", Owner: "orders"}))
}

func ran(tap pool.Tap, ctx context.Context, run pool.StatementRun) {
	tap.End(ctx, pool.Event{Op: pool.Statement, Took: run.Took, Err: run.Err, Statement: &run})
}

func TestStatementSpans(t *testing.T) {
	r := record(t)
	tap := tapOf(t, r.observer(tracing.Options{System: "sqlite", Statements: tracing.AllStatements, Attributes: []attribute.KeyValue{attribute.String("db.namespace", "/home/me/orders.db")}}))
	assert.True(t, tap.Statements)
	ctx, request := r.span(t.Context(), "request")
	held := tap.Begin(ctx, pool.Event{Op: pool.Acquire})
	tap.End(held, pool.Event{Op: pool.Acquire, ID: 1})
	ran(tap, held, pool.StatementRun{Text: "SELECT * FROM t WHERE x=?", Took: 3 * time.Second, Rows: 7, FullScanSteps: 99, Sorts: 1})
	span := r.one("SELECT orders.db")
	assert.Equal(t, request.SpanContext().SpanID(), span.Parent().SpanID(), "below the caller's, not below the acquire")
	assert.Equal(t, trace.SpanKindClient, span.SpanKind())
	assert.Equal(t, map[string]any{
		"db.system.name": "sqlite", "db.namespace": "orders.db", "db.query.text": "SELECT * FROM t WHERE x=?",
		"headpond.statement.rows": int64(7), "headpond.statement.fullscan_steps": int64(99), "headpond.statement.sorts": int64(1),
	}, attributes(span))
	assert.Equal(t, codes.Unset, span.Status().Code)
	assert.Equal(t, 3*time.Second, span.EndTime().Sub(span.StartTime()))

	ran(tap, ctx, pool.StatementRun{Text: "insert into t values (?)", AutoIndexes: 5, Err: uniqueError{}})
	span = r.one("INSERT orders.db")
	assert.Equal(t, request.SpanContext().SpanID(), span.Parent().SpanID(), "a call that shares a lease has its caller's ctx")
	assert.Equal(t, codes.Error, span.Status().Code)
	assert.Empty(t, span.Status().Description)
	assert.Equal(t, "SQLITE_CONSTRAINT_UNIQUE", attributes(span)["error.type"])
	assert.EqualValues(t, 5, attributes(span)["headpond.statement.auto_indexes"])
	ran(tap, ctx, pool.StatementRun{Text: "PRAGMA x", Err: context.Canceled})
	assert.Equal(t, codes.Unset, r.one("PRAGMA orders.db").Status().Code)
}

func TestStatementSpans_WithoutACallersSpan(t *testing.T) {
	r := record(t)
	tap := tapOf(t, r.observer(tracing.Options{Statements: tracing.AllStatements}))
	held := tap.Begin(t.Context(), pool.Event{Op: pool.Acquire})
	tap.End(held, pool.Event{Op: pool.Acquire, ID: 1})
	ran(tap, held, pool.StatementRun{Text: "SELECT 1"})
	assert.Equal(t, r.one("acquire orders.readers").SpanContext().SpanID(), r.one("SELECT orders").Parent().SpanID(), "one trace, no root of its own")
	ran(tap, t.Context(), pool.StatementRun{Text: "DELETE FROM t"})
	assert.Empty(t, r.ended("DELETE orders"), "it would be a root")
}

func TestStatementSpans_AreWhatTheModesSay(t *testing.T) {
	slow, quick := pool.StatementRun{Text: "SELECT 1", Slow: true}, pool.StatementRun{Text: "INSERT INTO t DEFAULT VALUES", Err: errors.New("it failed")}
	for _, test := range []struct {
		name    string
		options tracing.Options
		want    []string
	}{
		{"by default", tracing.Options{}, nil},
		{"slow", tracing.Options{Statements: tracing.SlowStatements}, []string{"SELECT orders"}},
		{"all", tracing.Options{Statements: tracing.AllStatements}, []string{"SELECT orders", "INSERT orders"}},
		{"all without spans", tracing.Options{Statements: tracing.AllStatements, Spans: tracing.None}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := record(t)
			tap := tapOf(t, r.observer(test.options))
			assert.Equal(t, test.name == "all", tap.Statements)
			ctx, _ := r.span(t.Context(), "request")
			ran(tap, ctx, slow)
			ran(tap, ctx, quick)
			ran(tap, unsampled(), slow)
			var got []string
			got = append(got, r.names()...)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestStatementSpans_AreNamedAfterTheFirstWord(t *testing.T) {
	r := record(t)
	tap := tapOf(t, r.observer(tracing.Options{Statements: tracing.AllStatements}))
	ctx, _ := r.span(t.Context(), "request")
	for text, want := range map[string]string{
		" \n-- why\n /* more */ with x as (select 1) select * from x": "WITH", ";;REPLACE": "REPLACE", "": "statement", "-- nothing": "statement", "(": "statement",
		"/* never closed": "statement", "select*from t": "SELECT",
	} {
		ran(tap, ctx, pool.StatementRun{Text: text})
		names := r.names()
		require.NotEmpty(t, names)
		assert.Equal(t, want+" orders", names[len(names)-1], "%q", text)
	}
}
