package pool_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Answers brettwooldridge/HikariCP#1060, brettwooldridge/HikariCP#1342, mperham/connection_pool#20.
func TestResize_GrowsAtOnceAndShrinksOnReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1})
		first := acquire(t, p)
		var second pool.Lease[*fake.Value]
		go func() { second = acquire(t, p) }()
		synctest.Wait()
		assert.Equal(t, 1, p.Stats().Waiting)
		require.NoError(t, p.Resize(3))
		synctest.Wait()
		assert.Equal(t, 2, p.Stats().Held)
		acquire(t, p).Release()

		require.NoError(t, p.Resize(1))
		synctest.Wait()
		stats := p.Stats()
		assert.Equal(t, 1, stats.MaxSize)
		assert.EqualValues(t, 1, stats.Destroyed[resource.Shrunk], "the idle one goes first")
		assert.Equal(t, 2, stats.Live())
		first.Release()
		synctest.Wait()
		assert.EqualValues(t, 2, p.Stats().Destroyed[resource.Shrunk], "a held one when it comes back")
		second.Release()
		assert.Equal(t, 1, p.Stats().Idle)

		for _, size := range []int{0, -1} {
			assert.EqualError(t, p.Resize(size), fmt.Sprintf(`headpond/pool "pool": resize: maxSize is %d: it must be positive`, size))
		}
	})
}
