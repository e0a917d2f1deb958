package pool_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
)

// TestHook_ThatKeepsItsCtxMayAskAtAnyTime has goroutines ask the ctx that hooks were given, during them, after them,
// and during later ones of the same value.
func TestHook_ThatKeepsItsCtxMayAskAtAnyTime(t *testing.T) {
	for _, name := range []string{"never by the hook itself", "by the hook for a value", "by the hook for its end"} {
		t.Run(name, func(t *testing.T) {
			type key struct{}
			var kept atomic.Value
			keep := func(ctx context.Context, _ *fake.Value) error {
				kept.Store([]context.Context{ctx})
				switch name {
				case "by the hook for a value":
					_ = ctx.Value(key{})
				case "by the hook for its end":
					assert.NoError(t, ctx.Err())
				}
				return nil
			}
			p, _ := newPool(t, pool.Options{MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1}}, func(h *resource.Hooks[*fake.Value]) {
				h.Check, h.Reset = keep, keep
			})
			acquire(t, p).Release()
			var stop atomic.Bool
			var all sync.WaitGroup
			for range 2 {
				all.Go(func() {
					for !stop.Load() {
						ctx := kept.Load().([]context.Context)[0]
						if value := ctx.Value(key{}); value != nil {
							assert.Equal(t, "caller", value)
						}
						_, _ = ctx.Deadline()
						_ = ctx.Err()
					}
				})
			}
			ctx := context.WithValue(t.Context(), key{}, "caller")
			for range 2000 {
				lease, err := p.Acquire(ctx)
				if !assert.NoError(t, err) {
					break
				}
				lease.Release()
			}
			stop.Store(true)
			all.Wait()
			assert.ErrorIs(t, kept.Load().([]context.Context)[0].Err(), context.Canceled, "no hook runs")
		})
	}
}
