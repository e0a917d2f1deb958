package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func TestSpansOfALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		p := newPool(t, pool.Options{Name: "orders", Observer: r.observer(tracing.Options{
			System: "sqlite", Attributes: []attribute.KeyValue{attribute.String("db.namespace", "orders.db")},
		})})
		ctx, root := r.span(t.Context(), "request")
		acquired, err := p.Acquire(ctx)
		require.NoError(t, err)
		<-time.After(1500 * time.Millisecond) // of the bubble
		acquired.Release()
		root.End()
		assert.Equal(t, []string{"create orders", "acquire orders", "release orders", "request"}, r.names())

		acquire, create, release := r.one("acquire orders"), r.one("create orders"), r.one("release orders")
		caller := root.SpanContext().SpanID()
		assert.Equal(t, caller, acquire.Parent().SpanID())
		assert.Equal(t, caller, release.Parent().SpanID(), "a sibling of the acquire")
		assert.Equal(t, acquire.SpanContext().SpanID(), create.Parent().SpanID())
		for _, span := range []sdktrace.ReadOnlySpan{acquire, create, release} {
			assert.Equal(t, trace.SpanKindInternal, span.SpanKind())
			assert.Equal(t, sdktrace.Status{Code: codes.Unset}, span.Status())
			assert.Empty(t, span.Events())
			assert.Empty(t, span.Links())
			assert.Equal(t, "github.com/headpond/headpond/tracing", span.InstrumentationScope().Name)
			assert.Contains(t, span.InstrumentationScope().SchemaURL, "https://opentelemetry.io/schemas/1.")
		}
		with := func(more map[string]any) map[string]any {
			more["db.client.connection.pool.name"], more["db.system.name"], more["db.namespace"] = "orders", "sqlite", "orders.db"
			return more
		}
		assert.Equal(t, with(map[string]any{"headpond.resource.id": int64(1), "headpond.acquire.source": "created"}), attributes(acquire))
		assert.Equal(t, with(map[string]any{"headpond.resource.id": int64(1)}), attributes(create))
		assert.Equal(t, with(map[string]any{
			"headpond.resource.id": int64(1), "headpond.resource.use_time": 1.5, "headpond.release.outcome": "returned",
		}), attributes(release))
	})
}

func TestSourcesAndOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		p := newPool(t, pool.Options{MaxSize: 1, Policy: resource.Policy{MaxUses: 3}, Observer: r.observer(tracing.Options{})})
		first, err := p.Acquire(t.Context())
		require.NoError(t, err)
		go lease(t, p, context.Background())
		synctest.Wait()
		first.Release() // to the one that waits
		synctest.Wait()
		lease(t, p, context.Background()) // the third use
		detached, err := p.Acquire(t.Context())
		require.NoError(t, err)
		detached.Detach()
		discarded, err := p.Acquire(t.Context())
		require.NoError(t, err)
		discarded.Discard()
		synctest.Wait()
		var sources, outcomes []any
		for _, span := range r.ended("acquire pool") {
			sources = append(sources, attributes(span)["headpond.acquire.source"])
			assert.Equal(t, "pool", attributes(span)["headpond.pool.name"])
			assert.NotContains(t, attributes(span), "db.system.name")
		}
		for _, span := range r.ended("release pool") {
			outcomes = append(outcomes, [2]any{attributes(span)["headpond.release.outcome"], attributes(span)["headpond.destroy.reason"]})
		}
		assert.Equal(t, []any{"created", "handoff", "idle", "created", "created"}, sources)
		assert.Equal(t, []any{[2]any{"returned", nil}, [2]any{"returned", nil}, [2]any{"destroyed", "max_uses"},
			[2]any{"detached", nil}, [2]any{"destroyed", "discarded"}}, outcomes)
	})
}

func TestReplacingStaleValuesIsSuccess(t *testing.T) {
	r := record(t)
	fails := 1
	p, err := pool.New(resource.Hooks[int]{
		Construct: func(context.Context) (int, error) { return 1, nil },
		Check: func(context.Context, int) error {
			fails--
			if fails == 0 {
				return errors.New("gone away")
			}
			return nil
		},
	}, pool.Options{Observer: r.observer(tracing.Options{}), MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1}})
	require.NoError(t, err)
	lease(t, p, context.Background())
	require.NoError(t, p.Close(t.Context()))
	acquire := r.one("acquire pool")
	assert.Equal(t, int64(1), attributes(acquire)["headpond.acquire.discarded"])
	assert.Equal(t, codes.Unset, acquire.Status().Code)
	assert.NotContains(t, attributes(acquire), "error.type")
}

func TestModes(t *testing.T) {
	all := []string{"create pool", "acquire pool", "release pool"}
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
		p := newPool(t, pool.Options{Observer: r.observer(tracing.Options{Spans: c.mode})})
		ctx := context.Background()
		switch c.parent {
		case "recording":
			ctx, _ = r.span(ctx, "request")
		case "not recording":
			ctx = unsampled()
		}
		lease(t, p, ctx)
		assert.ElementsMatch(t, c.want, r.names(), "mode %d under a parent that is %s", c.mode, c.parent)
		assert.EqualValues(t, 1, points(t, r.collect()["headpond.resource.wait_time"])[""], "metrics in every mode")
	}
}

func TestTheDecisionIsKeptOnTheLease(t *testing.T) {
	r := record(t)
	p := newPool(t, pool.Options{Observer: r.observer(tracing.Options{Spans: tracing.WithParent})})
	ctx, root := r.span(t.Context(), "request")
	acquired, err := p.Acquire(ctx)
	require.NoError(t, err)
	root.End()
	require.False(t, root.IsRecording())
	acquired.Release()
	assert.Equal(t, root.SpanContext().SpanID(), r.one("release pool").Parent().SpanID())
}

// TestARootThatIsNotSampledHasNoRelease drops acquires alone: what comes of them is dropped with them.
func TestARootThatIsNotSampledHasNoRelease(t *testing.T) {
	r := record(t, sdktrace.WithSampler(sampler(func(p sdktrace.SamplingParameters) sdktrace.SamplingDecision {
		if p.Name == "acquire pool" {
			return sdktrace.Drop
		}
		return sdktrace.RecordAndSample
	})))
	p := newPool(t, pool.Options{Observer: r.observer(tracing.Options{})})
	lease(t, p, t.Context())
	assert.Empty(t, r.spans.Started())
}

func TestSamplersSeeTheStartAttributes(t *testing.T) {
	seen := map[string]map[attribute.Key]attribute.Value{}
	r := record(t, sdktrace.WithSampler(sampler(func(p sdktrace.SamplingParameters) sdktrace.SamplingDecision {
		seen[p.Name] = map[attribute.Key]attribute.Value{}
		for _, a := range p.Attributes {
			seen[p.Name][a.Key] = a.Value
		}
		return sdktrace.RecordAndSample
	})))
	type key struct{}
	p := newPool(t, pool.Options{Name: "orders", Observer: r.observer(tracing.Options{System: "sqlite", SpanAttributes: func(ctx context.Context) []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String("tenant", ctx.Value(key{}).(string))}
	}})})
	lease(t, p, context.WithValue(t.Context(), key{}, "acme"))
	want := map[attribute.Key]attribute.Value{
		"db.client.connection.pool.name": attribute.StringValue("orders"),
		"db.system.name":                 attribute.StringValue("sqlite"),
		"tenant":                         attribute.StringValue("acme"),
	}
	for name, metric := range r.collect() {
		assert.NotContains(t, fmt.Sprint(metric), "acme", name)
	}
	for _, name := range []string{"acquire orders", "create orders", "release orders"} {
		assert.Equal(t, want, seen[name], name)
	}
}

// sampler decides by a function.
type sampler func(sdktrace.SamplingParameters) sdktrace.SamplingDecision

func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	return sdktrace.SamplingResult{Decision: s(p)}
}
func (s sampler) Description() string { return "sampler" }

func TestAnAcquireLinksToABuildOfAnotherTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		built := make(chan struct{})
		p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { <-built; return 1, nil }},
			pool.Options{Observer: r.observer(tracing.Options{})})
		require.NoError(t, err)
		first, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := p.Acquire(first)
			assert.ErrorIs(t, err, context.Canceled)
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(built)
		synctest.Wait()
		create := r.one("create pool")
		assert.Equal(t, r.one("acquire pool").SpanContext().SpanID(), create.Parent().SpanID(), "which had ended by then")

		lease(t, p, context.Background())
		lease(t, p, context.Background())
		require.NoError(t, p.Close(t.Context()))
		acquires := r.ended("acquire pool")
		require.Len(t, acquires, 3)
		require.Len(t, acquires[1].Links(), 1)
		assert.Equal(t, create.SpanContext(), acquires[1].Links()[0].SpanContext)
		assert.Empty(t, acquires[2].Links(), "only who got it first")
	})
}

func TestHooksAndUsersSpans(t *testing.T) {
	r := record(t)
	in := func(name string) func(context.Context, int) error {
		return func(ctx context.Context, _ int) error {
			_, span := r.span(ctx, name)
			span.End()
			return nil
		}
	}
	construct := in("construct")
	p, err := pool.New(resource.Hooks[int]{
		Construct: func(ctx context.Context) (int, error) { return 1, construct(ctx, 1) },
		Prepare:   in("prepare"), Reset: in("reset"), Destroy: in("destroy"),
	}, pool.Options{Observer: r.observer(tracing.Options{})})
	require.NoError(t, err)
	ctx, root := r.span(t.Context(), "request")
	require.NoError(t, p.Do(ctx, in("query")))
	require.NoError(t, p.Close(t.Context()))
	for child, parent := range map[string]trace.SpanContext{
		"construct": r.one("create pool").SpanContext(),
		"prepare":   r.one("acquire pool").SpanContext(),
		"query":     root.SpanContext(),
		"reset":     r.one("release pool").SpanContext(),
		"destroy":   {},
	} {
		assert.Equal(t, parent.SpanID(), r.one(child).Parent().SpanID(), child)
	}
}

func TestAnotherObserversSpansAreNotTouched(t *testing.T) {
	r := record(t)
	other := func(pool.Inspector) pool.Tap {
		return pool.Tap{
			Begin: func(ctx context.Context, event pool.Event) context.Context {
				ctx, _ = r.span(ctx, "other "+event.Op.String())
				return ctx
			},
			End: func(ctx context.Context, event pool.Event) {
				span := trace.SpanFromContext(ctx)
				assert.Equal(t, "other "+event.Op.String(), span.(sdktrace.ReadOnlySpan).Name())
				assert.True(t, span.IsRecording())
				span.End()
			},
		}
	}
	p := newPool(t, pool.Options{Observer: pool.Observers(r.observer(tracing.Options{}), other)})
	ctx, root := r.span(t.Context(), "request")
	lease(t, p, ctx)
	caller, acquire := root.SpanContext().SpanID(), r.one("acquire pool").SpanContext().SpanID()
	assert.Equal(t, caller, r.one("acquire pool").Parent().SpanID())
	assert.Equal(t, caller, r.one("release pool").Parent().SpanID())
	assert.Equal(t, acquire, r.one("create pool").Parent().SpanID())
	assert.Equal(t, acquire, r.one("other acquire").Parent().SpanID())
}

func TestAPoolWhoseValuesComeFromAnother(t *testing.T) {
	r := record(t)
	observer := r.observer(tracing.Options{})
	inner := newPool(t, pool.Options{Name: "inner", Observer: observer})
	outer, err := pool.New(resource.Hooks[pool.Lease[int]]{
		Construct: inner.Acquire,
		Destroy:   func(_ context.Context, l pool.Lease[int]) error { l.Release(); return nil },
	}, pool.Options{Name: "outer", Observer: observer})
	require.NoError(t, err)
	ctx, _ := r.span(t.Context(), "request")
	acquired, err := outer.Acquire(ctx)
	require.NoError(t, err)
	acquired.Release()
	require.NoError(t, outer.Close(t.Context()))
	assert.Equal(t, []string{"create inner", "acquire inner", "create outer", "acquire outer", "release outer", "release inner"}, r.names())
	assert.Equal(t, r.one("create outer").SpanContext().SpanID(), r.one("acquire inner").Parent().SpanID())
	assert.Equal(t, r.one("create outer").SpanContext().SpanID(), r.one("release inner").Parent().SpanID())
}

// TestAcquireInAHookWithoutItsSpan acquires in Construct, from the same pool, under a span
// for which there are none: that must not end those of the acquire that it is part of.
func TestAcquireInAHookWithoutItsSpan(t *testing.T) {
	r := record(t)
	var p *pool.Pool[int]
	p, err := pool.New(resource.Hooks[int]{Construct: func(ctx context.Context) (int, error) {
		_, err := p.TryAcquire(trace.ContextWithSpanContext(ctx, trace.SpanContextFromContext(unsampled())))
		assert.ErrorIs(t, err, pool.ErrUnavailable)
		return 1, nil
	}}, pool.Options{Observer: r.observer(tracing.Options{})})
	require.NoError(t, err)
	lease(t, p, t.Context())
	require.NoError(t, p.Close(t.Context()))
	assert.NotContains(t, attributes(r.one("acquire pool")), "error.type")
	assert.Equal(t, []string{"create pool", "acquire pool", "release pool"}, r.names())
}

func TestFillingHasNoSpans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		p := newPool(t, pool.Options{MaxSize: 3, MinIdle: 2, Observer: r.observer(tracing.Options{})})
		lease(t, p, t.Context())
		synctest.Wait()
		require.EqualValues(t, 3, p.Stats().Created)
		assert.Len(t, r.ended("create pool"), 1, "that of the acquire")
		assert.EqualValues(t, 3, points(t, r.collect()["headpond.resource.create_time"])[""])
		p.Evict()
		synctest.Wait()
		assert.ElementsMatch(t, []string{"create pool", "acquire pool", "release pool"}, r.names())
	})
}

func TestWarmIsPartOfItsCallersTrace(t *testing.T) {
	r := record(t)
	p := newPool(t, pool.Options{Observer: r.observer(tracing.Options{})})
	require.NoError(t, p.Warm(t.Context(), 1))
	assert.Empty(t, r.names())
	ctx, root := r.span(t.Context(), "start")
	require.NoError(t, p.Warm(ctx, 2))
	assert.Equal(t, root.SpanContext().SpanID(), r.one("create pool").Parent().SpanID())
}
