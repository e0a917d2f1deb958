package pool_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Answers brettwooldridge/HikariCP#1060, brettwooldridge/HikariCP#1342, mperham/connection_pool#20.
func TestSuspend_HoldsAcquireBackUntilResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 2})
		held := acquire(t, p)
		acquire(t, p).Release()
		p.Suspend()
		assert.True(t, p.Stats().Suspended)
		held.Release() // a lease may end
		assert.Equal(t, 2, p.Stats().Idle)
		_, err := p.TryAcquire(t.Context())
		assert.ErrorIs(t, err, pool.ErrUnavailable)
		assert.EqualError(t, err, `headpond/pool "pool": acquire: no resource is idle: it is suspended, until Resume`)

		_, err = p.Acquire(t.Context())
		require.ErrorIs(t, err, pool.ErrAcquireTimeout)
		assert.ErrorContains(t, err, "it is suspended, until Resume")

		time.AfterFunc(time.Second, p.Resume)
		began := time.Now()
		acquire(t, p).Release()
		assert.Equal(t, time.Second, time.Since(began))
		assert.False(t, p.Stats().Suspended)
	})
}
