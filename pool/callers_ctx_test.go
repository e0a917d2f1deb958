package pool_test

import (
	"context"
	"runtime"
	"testing"
	"weak"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
)

// TestThePoolKeepsNoCallersCtx has what a caller's ctx carries be garbage once his lease has ended,
// though hooks listened to that ctx, and the value lives on.
func TestThePoolKeepsNoCallersCtx(t *testing.T) {
	type request [1 << 10]byte
	type key struct{}
	listen := func(ctx context.Context, _ *fake.Value) error {
		assert.NotNil(t, ctx.Done())
		return nil
	}
	p, _ := newPool(t, pool.Options{MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1}}, func(h *resource.Hooks[*fake.Value]) {
		construct := h.Construct
		h.Construct = func(ctx context.Context) (*fake.Value, error) {
			_ = listen(ctx, nil)
			return construct(ctx)
		}
		h.Check, h.Prepare, h.Reset = listen, listen, listen
	})
	var kept []weak.Pointer[request]
	for range 3 { // the first one builds
		r := new(request)
		lease, err := p.Acquire(context.WithValue(t.Context(), key{}, r))
		if assert.NoError(t, err) {
			lease.Release()
		}
		kept = append(kept, weak.Make(r))
	}
	for range 100 { // goroutines that end hold on to it for a moment
		runtime.GC()
		runtime.Gosched()
	}
	for i, r := range kept {
		assert.Nil(t, r.Value(), "the ctx of acquire %d", i)
	}
	assert.Equal(t, 1, p.Stats().Idle)
}
