package pool_test

import (
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMaintain_APoolWithNothingLiveHasNoTimer drops a pool whose last value has expired, and that was never closed.
func TestMaintain_APoolWithNothingLiveHasNoTimer(t *testing.T) {
	p, err := pool.New((&fake.Maker{}).Hooks(), pool.Options{MaintainEvery: time.Millisecond, Policy: resource.Policy{MaxIdleTime: time.Millisecond}})
	require.NoError(t, err)
	acquire(t, p).Release()
	for p.Stats().Live() > 0 {
		runtime.Gosched()
	}
	kept := weak.Make(p)
	p = nil
	assert.True(t, collected(kept))
}
