package pool_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
)

// TestEvictDuringAReset evicts a value that is on its way back: it is neither held nor idle.
func TestEvictDuringAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *pool.Pool[*fake.Value]
		p, maker := newPool(t, pool.Options{MaxSize: 1}, func(h *resource.Hooks[*fake.Value]) {
			h.Reset = func(context.Context, *fake.Value) error {
				p.Evict()
				return nil
			}
		})
		acquire(t, p).Release()
		synctest.Wait()
		assert.Zero(t, p.Stats().Live())
		assert.EqualValues(t, 1, p.Stats().Destroyed[resource.Evicted])
		assert.Equal(t, 1, maker.Made())
	})
}
