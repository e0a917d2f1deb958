package tracing_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestMetricNames(t *testing.T) {
	type instrument struct{ kind, unit string }
	headponds := map[string]instrument{
		"headpond.resource.count":            {"updown", "{resource}"},
		"headpond.resource.max":              {"updown", "{resource}"},
		"headpond.resource.idle.min":         {"updown", "{resource}"},
		"headpond.resource.pending_requests": {"updown", "{request}"},
		"headpond.resource.timeouts":         {"counter", "{timeout}"},
		"headpond.resource.wait_time":        {"histogram", "s"},
		"headpond.resource.create_time":      {"histogram", "s"},
		"headpond.resource.use_time":         {"histogram", "s"},
		"headpond.resource.destroyed":        {"counter", "{resource}"},
		"headpond.resource.constructing":     {"updown", "{resource}"},
		"headpond.resource.oldest_use":       {"gauge", "s"},
		"headpond.resource.oldest_wait":      {"gauge", "s"},
		"headpond.resource.leaked":           {"counter", "{lease}"},
		"headpond.sqlite.batches":            {"float counter", "{batch}"},
		"headpond.sqlite.wal.size":           {"gauge", "By"},
	}
	sqlites := map[string]instrument{
		"db.client.connection.count":            {"updown", "{connection}"},
		"db.client.connection.max":              {"updown", "{connection}"},
		"db.client.connection.idle.min":         {"updown", "{connection}"},
		"db.client.connection.pending_requests": {"updown", "{request}"},
		"db.client.connection.timeouts":         {"counter", "{timeout}"},
		"db.client.connection.wait_time":        {"histogram", "s"},
		"db.client.connection.create_time":      {"histogram", "s"},
		"db.client.connection.use_time":         {"histogram", "s"},
		"headpond.resource.destroyed":           {"counter", "{connection}"},
		"headpond.resource.constructing":        {"updown", "{connection}"},
		"headpond.resource.oldest_use":          {"gauge", "s"},
		"headpond.resource.oldest_wait":         {"gauge", "s"},
		"headpond.resource.leaked":              {"counter", "{lease}"},
		"headpond.sqlite.batches":               {"float counter", "{batch}"},
		"headpond.sqlite.wal.size":              {"gauge", "By"},
	}
	kind := func(data metricdata.Aggregation) string {
		switch data := data.(type) {
		case metricdata.Sum[int64]:
			if data.IsMonotonic {
				return "counter"
			}
			return "updown"
		case metricdata.Sum[float64]:
			return "float counter"
		case metricdata.Gauge[float64]:
			return "gauge"
		case metricdata.Histogram[float64]:
			return "histogram"
		}
		return "unknown"
	}
	for system, want := range map[string]map[string]instrument{"": headponds, "sqlite": sqlites} {
		synctest.Test(t, func(t *testing.T) {
			r := record(t)
			p := newPool(t, pool.Options{Name: "orders",
				Observer: r.observer(tracing.Options{System: system}),
				Figures: func() []pool.Figure {
					return []pool.Figure{
						{Name: "headpond.sqlite.wal.size", Unit: "By", Value: 4096},
						{Name: "headpond.sqlite.batches", Unit: "{batch}", Kind: pool.Counter, Value: 7},
					}
				},
			})
			acquired, err := p.Acquire(t.Context())
			require.NoError(t, err)
			acquired.Discard()
			synctest.Wait()
			got := map[string]instrument{}
			for name, m := range r.collect() {
				got[name] = instrument{kind(m.Data), m.Unit}
			}
			assert.Equal(t, want, got)
		})
	}
}

func TestMetricValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		wal := 1.0
		p := newPool(t, pool.Options{MaxSize: 3, MinIdle: 1, AcquireTimeout: time.Minute,
			Observer: r.observer(tracing.Options{System: "sqlite", Attributes: []attribute.KeyValue{attribute.String("db.namespace", "a.db")}}),
			Figures:  func() []pool.Figure { wal *= 2; return []pool.Figure{{Name: "wal", Unit: "By", Value: wal}} },
		})
		const base = "db.namespace=a.db,db.system.name=sqlite"
		state := func(state string) string { return "db.client.connection.state=" + state + "," + base }

		empty := r.collect()
		assert.Equal(t, map[string]float64{state("idle"): 0, state("used"): 0}, points(t, empty["db.client.connection.count"]))
		assert.Equal(t, map[string]float64{base: 0}, points(t, empty["db.client.connection.timeouts"]), "there from the start, for rates")
		assert.Equal(t, map[string]float64{base: 0}, points(t, empty["headpond.resource.oldest_use"]))
		assert.Equal(t, map[string]float64{base: 4}, points(t, empty["wal"]))

		require.NoError(t, p.Warm(t.Context(), 3))
		acquire := func() pool.Lease[int] {
			acquired, err := p.Acquire(t.Context())
			require.NoError(t, err)
			return acquired
		}
		first := acquire()
		<-time.After(2 * time.Second)
		second := acquire()
		got := r.collect()
		assert.Equal(t, map[string]float64{state("idle"): 1, state("used"): 2}, points(t, got["db.client.connection.count"]))
		assert.Equal(t, map[string]float64{base: 3}, points(t, got["db.client.connection.max"]))
		assert.Equal(t, map[string]float64{base: 1}, points(t, got["db.client.connection.idle.min"]))
		assert.Equal(t, map[string]float64{base: 2}, points(t, got["headpond.resource.oldest_use"]))
		assert.Equal(t, map[string]float64{base: 8}, points(t, got["wal"]))

		third := acquire()
		go func() { _, _ = p.Acquire(context.Background()) }()
		synctest.Wait()
		assert.Equal(t, map[string]float64{base: 1}, points(t, r.collect()["db.client.connection.pending_requests"]))
		<-time.After(time.Minute)
		synctest.Wait()
		first.Release()
		second.Discard()
		third.Detach()
		synctest.Wait()
		got = r.collect()
		assert.Equal(t, map[string]float64{base: 1}, points(t, got["db.client.connection.timeouts"]))
		assert.Equal(t, map[string]float64{base: 0}, points(t, got["db.client.connection.pending_requests"]))
		assert.Equal(t, map[string]float64{base: 3, base + ",error.type=timeout": 1}, points(t, got["db.client.connection.wait_time"]))
		assert.Equal(t, map[string]float64{base: 3}, points(t, got["db.client.connection.use_time"]))
		assert.Equal(t, map[string]float64{base: 3}, points(t, got["db.client.connection.create_time"]))
		assert.Equal(t, map[string]float64{base + ",headpond.destroy.reason=discarded": 1}, points(t, got["headpond.resource.destroyed"]))
		for name, m := range got {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
				assert.Equal(t, metricdata.CumulativeTemporality, sum.Temporality, name)
			}
		}
	})
}

func TestBucketsAndExemplars(t *testing.T) {
	r := record(t)
	p := newPool(t, pool.Options{Observer: r.observer(tracing.Options{})})
	ctx, root := r.span(t.Context(), "request")
	lease(t, p, ctx)
	wait := []float64{1e-5, 1e-4, .001, .005, .01, .05, .1, .5, 1, 5, 10}
	got := r.collect()
	for name, buckets := range map[string][]float64{
		"headpond.resource.wait_time":   wait,
		"headpond.resource.create_time": wait,
		"headpond.resource.use_time":    append(wait, 30, 60, 300),
	} {
		point := got[name].Data.(metricdata.Histogram[float64]).DataPoints[0]
		assert.Equal(t, buckets, point.Bounds, name)
		require.NotEmpty(t, point.Exemplars, name)
		id := root.SpanContext().TraceID()
		assert.Equal(t, id[:], point.Exemplars[0].TraceID, name)
	}
}

func TestCloseUnregisters(t *testing.T) {
	r := record(t)
	asked := 0
	options := pool.Options{Observer: r.observer(tracing.Options{}), Figures: func() []pool.Figure { asked++; return nil }}
	closed := newPool(t, options)
	options.Name = "open"
	newPool(t, options)
	assert.Len(t, r.collect()["headpond.resource.max"].Data.(metricdata.Sum[int64]).DataPoints, 2)
	require.NoError(t, closed.Close(t.Context()))
	before := asked
	left := r.collect()["headpond.resource.max"].Data.(metricdata.Sum[int64]).DataPoints
	require.Len(t, left, 1)
	name, _ := left[0].Attributes.Value("headpond.pool.name")
	assert.Equal(t, "open", name.AsString())
	assert.Equal(t, 1, asked-before)
}

func TestMax_FollowsResize(t *testing.T) {
	r := record(t)
	p := newPool(t, pool.Options{MaxSize: 3, Observer: r.observer(tracing.Options{})})
	for _, size := range []int{3, 7, 2} {
		require.NoError(t, p.Resize(size))
		assert.Equal(t, map[string]float64{"": float64(size)}, points(t, r.collect()["headpond.resource.max"]))
	}
}

func TestPendingRequests_CountThoseThatWaitForABuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(t)
		p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { <-time.After(time.Second); return 1, nil }},
			pool.Options{MaxSize: 1, Observer: r.observer(tracing.Options{})})
		require.NoError(t, err)
		for range 3 {
			go func() {
				if lease, err := p.Acquire(t.Context()); err == nil {
					lease.Release()
				}
			}()
		}
		synctest.Wait()
		assert.Equal(t, map[string]float64{"": 3}, points(t, r.collect()["headpond.resource.pending_requests"]))
		<-time.After(2 * time.Second)
		require.NoError(t, p.Close(t.Context()))
	})
}
