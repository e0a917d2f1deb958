package tracing_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// TestStorm uses one pool from many goroutines, under parents of every kind, while values fail
// and acquires are cancelled: every span ends, once, and the figures agree with the pool's.
func TestStorm(t *testing.T) {
	r := record(t)
	maker := &fake.Maker{}
	hooks := maker.Hooks()
	construct := hooks.Construct
	var constructs atomic.Int64
	hooks.Construct = func(ctx context.Context) (*fake.Value, error) {
		runtime.Gosched()
		if constructs.Add(1)%10 == 0 {
			return nil, errors.New("failed")
		}
		return construct(ctx)
	}
	p, err := pool.New(hooks, pool.Options{MaxSize: 3, AcquireTimeout: -1, Policy: resource.Policy{MaxUses: 5, CheckAfterIdle: -1},
		Observer: pool.Observers(r.observer(tracing.Options{}), r.observer(tracing.Options{Spans: tracing.WithParent}))})
	require.NoError(t, err)
	var acquired, released, traced atomic.Int64
	var work sync.WaitGroup
	for range 16 {
		work.Go(func() {
			for range 200 {
				ctx, cancel := context.WithCancel(context.Background())
				spans := int64(2) // the second observer finds the one of the first
				switch rand.IntN(3) {
				case 0:
					ctx, _ = r.span(ctx, "request")
				case 1:
					ctx = trace.ContextWithSpanContext(ctx, trace.SpanContextFromContext(unsampled()))
					spans = 0
				}
				var cancelled sync.WaitGroup
				if rand.IntN(3) == 0 {
					cancelled.Go(cancel)
				}
				acquired.Add(1)
				traced.Add(spans)
				if lease, err := p.Acquire(ctx); err == nil {
					released.Add(spans)
					switch rand.IntN(10) {
					case 0:
						lease.Discard()
					case 1:
						maker.Destroy(lease.Detach())
					}
					lease.Release()
				}
				cancelled.Wait()
				cancel()
			}
		})
	}
	work.Wait()
	require.NoError(t, p.Close(t.Context()))
	maker.Finished(t)

	ended := map[[8]byte]int{}
	for _, span := range r.spans.Ended() {
		ended[span.SpanContext().SpanID()]++
	}
	for _, span := range r.spans.Started() {
		if span.Name() != "request" {
			assert.Equal(t, 1, ended[span.SpanContext().SpanID()], span.Name())
		}
	}
	assert.EqualValues(t, traced.Load(), len(r.ended("acquire pool")))
	assert.EqualValues(t, released.Load(), len(r.ended("release pool")))
	acquires := map[[8]byte]sdktrace.ReadOnlySpan{}
	for _, span := range r.ended("acquire pool") {
		acquires[span.SpanContext().SpanID()] = span
	}
	for _, span := range r.ended("create pool") {
		parent := acquires[span.Parent().SpanID()]
		require.NotNil(t, parent)
		assert.Equal(t, parent.SpanContext().TraceID(), span.SpanContext().TraceID())
	}
	var waits uint64
	for _, point := range r.collect()["headpond.resource.wait_time"].Data.(metricdata.Histogram[float64]).DataPoints {
		waits += point.Count
	}
	assert.EqualValues(t, 2*acquired.Load(), waits)
}
