package pool_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
)

// TestTheObserverNeverChangesWhatThePoolDoes runs the model under three observers:
// one of everything, one of every second lease, and one that asks for nothing.
func TestTheObserverNeverChangesWhatThePoolDoes(t *testing.T) {
	type key struct{}
	var began, ended, asked, detached atomic.Int64
	everything := func(pool.Inspector) pool.Tap {
		return pool.Tap{
			Begin: func(ctx context.Context, event pool.Event) context.Context {
				began.Add(1)
				return context.WithValue(ctx, key{}, event.Op)
			},
			End: func(ctx context.Context, event pool.Event) {
				ended.Add(1)
				assert.NotNil(t, ctx.Value(key{}), "the ctx of Begin")
			},
			Leak:   func(pool.Leak) {},
			Detach: func() { detached.Add(1) },
		}
	}
	everySecond := func(inspector pool.Inspector) pool.Tap {
		tap := everything(inspector)
		tap.Enabled = func(context.Context) bool { return asked.Add(1)%2 == 0 }
		tap.Detach = nil
		return tap
	}
	nothing := func(pool.Inspector) pool.Tap { return pool.Tap{} }
	checkModel(t, pool.Observers(everything, everySecond, nothing))
	assert.Equal(t, began.Load(), ended.Load())
	assert.NotZero(t, detached.Load())
	assert.NotZero(t, asked.Load())
}
