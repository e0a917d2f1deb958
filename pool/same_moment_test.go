package pool_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

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
	for n := range int64(rounds) {
		lease = acquire(t, p)
		round.Store(n + 1)
		lease.Release()
		reach(&over, n+1)
		if p.Stats().Released != uint64(n+1) {
			break // below
		}
	}
	round.Store(rounds)
	other.Wait()
	assert.EqualValues(t, rounds, p.Stats().Released)
	assert.Equal(t, 1, p.Stats().Idle)
}
