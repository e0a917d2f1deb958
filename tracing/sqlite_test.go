package tracing_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// The operations of a database: what the backend tells its observer, and what becomes of it here.

type useFunc = func(ctx context.Context, conn *sqlite.Conn) error

func exec(sql string) useFunc {
	return func(_ context.Context, conn *sqlite.Conn) error {
		stmt, _, err := conn.PrepareTransient(sql)
		if err != nil {
			return err
		}
		defer func() { _ = stmt.Finalize() }()
		for more := true; more && err == nil; {
			more, err = stmt.Step()
		}
		return err
	}
}

// openOrders opens orders.db, with a table, before anything is recorded.
func openOrders(t testing.TB, r *recorded, options tracing.Options) *sqlite.DB {
	db, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "orders.db"), sqlite.Options{
		Observer: r.observer(options), AcquireTimeout: -1, MaxBatchTime: time.Minute, // a busy machine takes its time
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	ctx := unsampled()
	require.NoError(t, db.Write(ctx, exec("CREATE TABLE item (id INTEGER PRIMARY KEY, name UNIQUE)")))
	require.NoError(t, db.Write(ctx, exec("CREATE TABLE part (item REFERENCES item DEFERRABLE INITIALLY DEFERRED)")))
	require.NoError(t, db.Read(ctx, exec("SELECT 1")))
	r.forget()
	return db
}

// shared queues calls of Batch behind a lease, so that they share a transaction, and returns their errors.
func shared(t testing.TB, db *sqlite.DB, ctxs []context.Context, uses ...useFunc) []error {
	t.Helper()
	lease, err := db.Writer().Acquire(unsampled())
	require.NoError(t, err)
	errs := make([]error, len(uses))
	var all sync.WaitGroup
	for i, use := range uses {
		all.Go(func() {
			defer func() {
				if thrown := recover(); thrown != nil {
					errs[i] = errPanic
				}
			}()
			errs[i] = db.Batch(ctxs[i], use)
		})
		for db.Stats().Batch.Waiting != i+1 {
			runtime.Gosched()
		}
	}
	lease.Release()
	all.Wait()
	return errs
}

// tree returns the names of the spans that have ended, each with that of its parent.
func (r *recorded) tree() map[string][]string {
	all := map[trace.SpanID]string{}
	for _, span := range r.spans.Started() {
		all[span.SpanContext().SpanID()] = span.Name()
	}
	found := map[string][]string{}
	for _, span := range r.all() {
		parent := all[span.Parent().SpanID()]
		found[parent] = append(found[parent], span.Name())
	}
	return found
}

func TestOperations_AreWhatTheCallerSees(t *testing.T) {
	for name, c := range map[string]struct {
		call  func(ctx context.Context, db *sqlite.DB, use useFunc) error
		below []string
	}{
		"read":  {func(ctx context.Context, db *sqlite.DB, use useFunc) error { return db.Read(ctx, use) }, []string{"acquire orders.readers", "release orders.readers"}},
		"write": {func(ctx context.Context, db *sqlite.DB, use useFunc) error { return db.Write(ctx, use) }, []string{"acquire orders.writer", "commit", "release orders.writer"}},
		"batch": {func(ctx context.Context, db *sqlite.DB, use useFunc) error { return db.Batch(ctx, use) }, []string{"acquire orders.writer", "commit", "release orders.writer"}},
	} {
		t.Run(name, func(t *testing.T) {
			starts := map[string]map[string]any{}
			r := record(t, sdktrace.WithSampler(sampler(func(p sdktrace.SamplingParameters) sdktrace.SamplingDecision {
				starts[p.Name] = map[string]any{}
				for _, a := range p.Attributes {
					starts[p.Name][string(a.Key)] = a.Value.AsInterface()
				}
				return sdktrace.RecordAndSample
			})))
			db := openOrders(t, r, tracing.Options{})
			ctx, request := r.span(t.Context(), "request")
			require.NoError(t, c.call(ctx, db, func(ctx context.Context, conn *sqlite.Conn) error {
				_, span := r.span(ctx, "query")
				defer span.End()
				return exec("SELECT 1")(ctx, conn)
			}))
			request.End()
			operation := name + " orders.db"
			tree := r.tree()
			assert.Equal(t, []string{operation}, tree["request"])
			assert.ElementsMatch(t, append(c.below, "query"), tree[operation])
			span := r.one(operation)
			assert.Equal(t, trace.SpanKindClient, span.SpanKind())
			assert.Equal(t, sdktrace.Status{Code: codes.Unset}, span.Status())
			assert.Empty(t, span.Links())
			want := map[string]any{"db.system.name": "sqlite", "db.namespace": "orders.db", "db.operation.name": name}
			assert.Equal(t, want, starts[operation], "for samplers")
			if name == "batch" {
				want["headpond.batch.attempt"] = int64(1)
			}
			assert.Equal(t, want, attributes(span))
			for _, ended := range r.all() {
				if ended.Name() != "request" && ended.Name() != "query" && ended.Name() != "commit" {
					assert.Equal(t, "sqlite", attributes(ended)["db.system.name"], "%s: the database says so", ended.Name())
					assert.Equal(t, "orders.db", attributes(ended)["db.namespace"], ended.Name())
				}
				if ended.Name() == "commit" {
					assert.Equal(t, trace.SpanKindInternal, ended.SpanKind())
					assert.False(t, ended.EndTime().Before(ended.StartTime()))
				}
			}
			assert.EqualValues(t, 1, points(t, r.collect()["db.client.operation.duration"])["db.namespace=orders.db,db.operation.name="+name+",db.system.name=sqlite"]-openings[name])
		})
	}
}

// openings is how many operations openOrders makes.
var openings = map[string]float64{"read": 1, "write": 2}

func TestOperations_ThatFail(t *testing.T) {
	mine := errors.New("the text of an error")
	run := func(sqls ...string) useFunc {
		return func(ctx context.Context, conn *sqlite.Conn) error {
			for _, sql := range sqls {
				if err := exec(sql)(ctx, conn); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		use             useFunc
		errorType, code string
		status          codes.Code
		commit          bool // it is the commit that fails
	}{
		"UNIQUE":             {run("INSERT INTO item VALUES (1, 'a')", "INSERT INTO item VALUES (2, 'a')"), "SQLITE_CONSTRAINT_UNIQUE", "2067", codes.Error, false},
		"COMMIT":             {run("INSERT INTO part VALUES (7)"), "SQLITE_CONSTRAINT_FOREIGNKEY", "787", codes.Error, true},
		"no such table":      {run("SELECT * FROM nothing"), "SQLITE_ERROR", "1", codes.Error, false},
		"the function's":     {func(context.Context, *sqlite.Conn) error { return mine }, "_OTHER", "", codes.Error, false},
		"panic":              {func(context.Context, *sqlite.Conn) error { panic(mine) }, "panicked", "", codes.Error, false},
		"the caller gave up": {func(context.Context, *sqlite.Conn) error { return context.Canceled }, "canceled", "", codes.Unset, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t)
			db := openOrders(t, r, tracing.Options{})
			ctx, _ := r.span(t.Context(), "request")
			func() {
				defer func() { _ = recover() }()
				require.Error(t, db.Write(ctx, c.use))
			}()
			span := r.one("write orders.db")
			check := func(span sdktrace.ReadOnlySpan) {
				assert.Equal(t, sdktrace.Status{Code: c.status}, span.Status(), "without a text")
				assert.Equal(t, c.errorType, attributes(span)["error.type"])
				if c.code == "" {
					assert.NotContains(t, attributes(span), "db.response.status_code")
				} else {
					assert.Equal(t, c.code, attributes(span)["db.response.status_code"])
				}
			}
			check(span)
			if c.commit {
				check(r.one("commit"))
			} else {
				assert.Empty(t, r.ended("commit"))
			}
			assert.Equal(t, span.SpanContext().SpanID(), r.one("release orders.writer").Parent().SpanID())
			want := "db.namespace=orders.db,db.operation.name=write,"
			if c.code != "" {
				want += "db.response.status_code=" + c.code + ","
			}
			assert.EqualValues(t, 1, points(t, r.collect()["db.client.operation.duration"])[want+"db.system.name=sqlite,error.type="+c.errorType])
		})
	}
	t.Run("nested", func(t *testing.T) {
		r := record(t)
		db := openOrders(t, r, tracing.Options{})
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, _ *sqlite.Conn) error {
			assert.ErrorIs(t, db.Batch(ctx, exec("SELECT 1")), pool.ErrNested)
			return db.Read(ctx, exec("SELECT 1"))
		}))
		assert.Equal(t, "nested", attributes(r.one("batch orders.db"))["error.type"])
		assert.Contains(t, r.tree()["write orders.db"], "batch orders.db")
		assert.Contains(t, r.tree()["write orders.db"], "read orders.db")
		assert.Equal(t, []string{"acquire orders.readers", "release orders.readers"}, r.tree()["read orders.db"])
	})
}

// The calls of a shared batch have spans of their own, in their callers' traces, and one commit: below the first that is recorded;
// the others link to it.
func TestOperations_OfASharedBatch(t *testing.T) {
	r := record(t)
	db := openOrders(t, r, tracing.Options{})
	ctxs := []context.Context{unsampled()}
	for range 4 {
		ctx, _ := r.span(t.Context(), "request")
		ctxs = append(ctxs, ctx)
	}
	mine := errors.New("mine")
	errs := shared(t, db, ctxs,
		exec("INSERT INTO item VALUES (1, 'a')"), // its caller is not recorded
		exec("INSERT INTO item VALUES (2, 'b')"),
		exec("INSERT INTO item VALUES (3, 'b')"),
		func(context.Context, *sqlite.Conn) error { return mine },
		exec("INSERT INTO item VALUES (4, 'd')"))
	assert.Equal(t, mine, errs[3])
	operations := r.ended("batch orders.db")
	require.Len(t, operations, 4)
	commit := r.one("commit")
	parents, links := 0, 0
	for _, span := range operations {
		set := attributes(span)
		assert.Equal(t, int64(1), set["headpond.batch.attempt"])
		below := 0
		for _, other := range r.all() {
			if other.Parent().SpanID() == span.SpanContext().SpanID() {
				below++
			}
		}
		switch {
		case set["error.type"] != nil:
			assert.Empty(t, span.Links(), "it has no part in the commit")
			assert.NotContains(t, set, "db.operation.batch.size")
			assert.Equal(t, 2, below)
		case commit.Parent().SpanID() == span.SpanContext().SpanID():
			parents++
			assert.Empty(t, span.Links())
			assert.Equal(t, int64(3), set["db.operation.batch.size"])
			assert.Equal(t, 3, below, "acquire, commit and release")
		default:
			links++
			require.Len(t, span.Links(), 1)
			assert.Equal(t, commit.SpanContext(), span.Links()[0].SpanContext)
			assert.Equal(t, int64(3), set["db.operation.batch.size"])
			assert.Equal(t, 2, below)
		}
	}
	assert.Equal(t, 1, parents)
	assert.Equal(t, 1, links)
	assert.False(t, commit.EndTime().Before(commit.StartTime()))

	// Another one ends the transaction: the first runs again.
	r.forget()
	errs = shared(t, db, ctxs[1:3], exec("INSERT INTO item VALUES (5, 'e')"), exec("ROLLBACK"))
	assert.NoError(t, errs[0])
	assert.ErrorIs(t, errs[1], sqlite.ErrRolledBack)
	attempts := map[any]any{}
	for _, span := range r.ended("batch orders.db") {
		attempts[attributes(span)["error.type"]] = attributes(span)["headpond.batch.attempt"]
		assert.NotContains(t, attributes(span), "db.operation.batch.size", "one alone is no batch")
	}
	assert.Equal(t, map[any]any{nil: int64(2), "_OTHER": int64(1)}, attempts)
}

func TestOperations_Modes(t *testing.T) {
	all := []string{"acquire orders.writer", "commit", "release orders.writer", "write orders.db"}
	for _, c := range []struct {
		mode   tracing.SpanMode
		parent string
		want   []string
	}{
		{tracing.Always, "none", all}, {tracing.Always, "recording", all}, {tracing.Always, "not recording", nil},
		{tracing.WithParent, "none", nil}, {tracing.WithParent, "recording", all}, {tracing.WithParent, "not recording", nil},
		{tracing.None, "none", nil}, {tracing.None, "recording", nil}, {tracing.None, "not recording", nil},
	} {
		r := record(t)
		db := openOrders(t, r, tracing.Options{Spans: c.mode})
		ctx := context.Background()
		switch c.parent {
		case "recording":
			ctx, _ = r.span(ctx, "request")
		case "not recording":
			ctx = unsampled()
		}
		require.NoError(t, db.Write(ctx, exec("SELECT 1")))
		assert.ElementsMatch(t, c.want, r.names(), "mode %d under a parent that is %s", c.mode, c.parent)
		roots := 0
		for _, span := range r.all() {
			if !span.Parent().SpanID().IsValid() {
				roots++
			}
		}
		assert.LessOrEqual(t, roots, 1, "one trace")
		assert.EqualValues(t, 3, points(t, r.collect()["db.client.operation.duration"])["db.namespace=orders.db,db.operation.name=write,db.system.name=sqlite"], "metrics in every mode")
	}
}

// Without a caller's span, what is acquired by hand is one trace.
func TestReleaseWithoutAParentIsInTheTraceOfItsAcquire(t *testing.T) {
	r := record(t)
	p := newPool(t, pool.Options{Observer: r.observer(tracing.Options{})})
	lease(t, p, context.Background())
	assert.Equal(t, r.one("acquire pool").SpanContext().SpanID(), r.one("release pool").Parent().SpanID())
	assert.Equal(t, []string{"acquire pool"}, r.tree()[""])
}

// What the database does by itself makes no traces, but for a checkpoint that took part in something.
func TestHousekeepingMakesNoRoots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "orders.db"), sqlite.Options{Observer: r.observer(tracing.Options{})})
		require.NoError(t, err)
		require.NoError(t, db.Write(unsampled(), exec("CREATE TABLE item (id INTEGER PRIMARY KEY, name)")))
		<-time.After(time.Minute) // the checkpoint after that
		r.forget()
		for range 5 {
			ctx, request := r.span(t.Context(), "request")
			require.NoError(t, db.Write(ctx, exec("SELECT 1")))
			require.NoError(t, db.Batch(ctx, exec("SELECT 1")))
			require.NoError(t, db.Read(ctx, exec("SELECT 1")))
			request.End()
			<-time.After(time.Minute) // checkpoints run, and find nothing
		}
		roots := func() []string { return r.tree()[""] }
		assert.Equal(t, []string{"request", "request", "request", "request", "request"}, roots())

		r.forget()
		ctx, request := r.span(t.Context(), "request")
		require.NoError(t, db.Write(ctx, exec("INSERT INTO item (name) VALUES (zeroblob(100000))")))
		request.End()
		<-time.After(time.Minute)
		assert.Equal(t, []string{"request", "checkpoint orders.db"}, roots())
		span := r.one("checkpoint orders.db")
		set := attributes(span)
		assert.Equal(t, trace.SpanKindInternal, span.SpanKind())
		assert.Equal(t, codes.Unset, span.Status().Code)
		assert.Greater(t, set["headpond.checkpoint.moved"], int64(20))
		assert.Equal(t, set["headpond.checkpoint.pages"], set["headpond.checkpoint.moved"])
		assert.Equal(t, 0., set["headpond.checkpoint.held_back"])
		assert.Equal(t, "orders.db", set["db.namespace"])

		r.forget()
		lease, err := db.Writer().Acquire(unsampled())
		require.NoError(t, err)
		require.NoError(t, exec("INSERT INTO item (name) VALUES (1)")(t.Context(), lease.Value()))
		<-time.After(time.Minute) // runs try to get the writer
		failed := r.ended("checkpoint orders.db")
		require.NotEmpty(t, failed)
		assert.Equal(t, "timeout", attributes(failed[0])["error.type"])
		assert.Equal(t, codes.Error, failed[0].Status().Code)
		lease.Release()
		<-time.After(time.Minute)

		r.forget()
		ctx, request = r.span(t.Context(), "request")
		require.NoError(t, db.Write(ctx, exec("INSERT INTO item (name) VALUES (2)")))
		done, err := db.Checkpoint(ctx)
		require.NoError(t, err)
		assert.True(t, done.Complete)
		assert.Equal(t, request.SpanContext().SpanID(), r.one("checkpoint orders.db").Parent().SpanID(), "its caller's")
		request.End()
		r.forget()
		require.NoError(t, db.Close(context.Background()))
		assert.Empty(t, r.names(), "Close has nothing left to move")
	})
}

func TestStatements_AreBelowTheirOperations(t *testing.T) {
	r := record(t)
	db := openOrders(t, r, tracing.Options{Statements: tracing.AllStatements})
	ctx, request := r.span(t.Context(), "request")
	require.NoError(t, db.Write(ctx, exec("INSERT INTO item VALUES (1, 'rope')")))
	require.NoError(t, db.Read(ctx, exec("SELECT * FROM item")))
	for _, err := range shared(t, db, []context.Context{ctx, ctx}, exec("DELETE FROM item"), exec("UPDATE item SET name=1")) {
		require.NoError(t, err)
	}
	lease, err := db.Readers().Acquire(ctx)
	require.NoError(t, err)
	require.NoError(t, exec("VALUES (1)")(ctx, lease.Value()))
	lease.Release()
	require.Error(t, db.Write(t.Context(), exec("REPLACE INTO part VALUES (7)")), "a deferred foreign key")
	request.End()
	tree := r.tree()
	assert.Contains(t, tree["write orders.db"], "INSERT orders.db")
	assert.Contains(t, tree["write orders.db"], "REPLACE orders.db", "without a caller's span, too")
	assert.Contains(t, tree["read orders.db"], "SELECT orders.db")
	assert.Subset(t, tree["batch orders.db"], []string{"DELETE orders.db", "UPDATE orders.db"})
	assert.Contains(t, tree["request"], "VALUES orders.db", "by a lease that was taken by hand")
	assert.Equal(t, "INSERT INTO item VALUES (1, 'rope')", attributes(r.one("INSERT orders.db"))["db.query.text"])
	assert.Len(t, r.ended("DELETE orders.db"), 1)
	for _, names := range tree {
		for _, name := range names {
			assert.NotContains(t, name, "BEGIN")
			assert.NotContains(t, name, "PRAGMA")
		}
	}
}
