package pool_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
)

// TestTwoWhoEndALeaseAtTheSameMoment has two goroutines wait for each other, and then release one lease.
func TestTwoWhoEndALeaseAtTheSameMoment(t *testing.T) {
	const rounds = 10_000
	p, _ := newPool(t, pool.Options{MaxSize: 1})
	var lease pool.Lease[*fake.Value]
	var round, over atomic.Int64
	reach := func(counter *atomic.Int64, n int64) {
		for spin := 0; counter.Load() < n; spin++ {
			if spin > 1000 { // the other one has no processor
				runtime.Gosched()
			}
		}
	}
	var other sync.WaitGroup
	other.Go(func() {
		for n := range int64(rounds) {
			reach(&round, n+1)
			lease.Release()
			over.Store(n + 1)
		}
	})
	n := int64(0)
	for began := time.Now(); n < rounds && time.Since(began) < 10*time.Second; { // where both share a busy processor a round takes milliseconds
		lease = acquire(t, p)
		n++
		round.Store(n)
		lease.Release()
		reach(&over, n)
		if p.Stats().Released != uint64(n) {
			break // below
		}
	}
	round.Store(rounds)
	other.Wait()
	assert.EqualValues(t, n, p.Stats().Released)
	assert.Equal(t, 1, p.Stats().Idle)
}
