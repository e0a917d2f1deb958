package tracing_test

import (
	"context"
	"sync"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/tracing"
	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/otel"
)

// installed is the SDK that is installed globally. That can be done only once in a process:
// what was made before then uses it from then on.
var installed = sync.OnceValue(func() *recorded {
	r := record(nil)
	otel.SetTracerProvider(r.tracer)
	otel.SetMeterProvider(r.meter)
	return r
})

func TestMadeBeforeTheSDKIsInstalled(t *testing.T) {
	p := newPool(t, pool.Options{Name: "early", Observer: tracing.Observer(tracing.Options{})})
	lease(t, p, context.Background()) // with -count=1 there is no SDK yet
	held, err := p.Acquire(t.Context())
	assert.NoError(t, err)
	r := installed()
	before := len(r.ended("acquire early"))
	held.Release()
	assert.Len(t, r.ended("acquire early"), before)
	lease(t, p, context.Background())
	assert.Len(t, r.ended("acquire early"), before+1)
	assert.NotEmpty(t, r.ended("release early"))
	got := collect(t, r.reader)
	assert.Contains(t, points(t, got["headpond.resource.wait_time"]), "")
	assert.EqualValues(t, 1, points(t, got["headpond.resource.count"])["headpond.resource.state=idle"])
}
