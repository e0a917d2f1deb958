package pool_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
)

// Answers zombiezen/go-sqlite#72.
func TestRelease_APanicInTheMiddleLosesNoSlot(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 1}, func(hooks *resource.Hooks[*fake.Value]) {
		hooks.Reset = func(_ context.Context, v *fake.Value) error {
			if v.ID == 1 {
				panic("in the middle of rows")
			}
			return nil
		}
	})
	lease := acquire(t, p)
	assert.NotPanics(t, lease.Release)
	next := acquire(t, p)
	assert.Equal(t, 2, next.Value().ID)
	next.Release()
	assert.EqualValues(t, 1, p.Stats().Destroyed[resource.Panicked])
}

// Answers jackc/pgx#2564, mattn/go-sqlite3#445.
func TestRelease_ASecondOneIsNothing(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 1})
	first := acquire(t, p)
	first.Release()
	second := acquire(t, p)
	first.Release()
	first.Discard()
	assert.Equal(t, 1, p.Stats().Held, "a stale lease does not touch the next holder")
	assert.NotPanics(t, func() { second.Value() })
	assert.PanicsWithValue(t, `headpond/pool "pool": Value of a lease that has ended: resource #1 was released, discarded or detached before`, func() { first.Value() })
	assert.Panics(t, func() { first.Detach() })
	second.Release()
}

// TestRelease_ByTwoAtTheSameMoment has two goroutines wait for each other, and then release one lease.
// Answers jackc/pgx#2564, mattn/go-sqlite3#445.
func TestRelease_ByTwoAtTheSameMoment(t *testing.T) {
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
	for began := time.Now(); n < rounds && time.Since(began) < 10*time.Second; { // if both share a busy processor a round takes milliseconds
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

func TestRelease_AStaleLeaseTouchesNobody(t *testing.T) {
	ends := map[string]func(pool.Lease[*fake.Value]){
		"Release": pool.Lease[*fake.Value].Release,
		"Discard": pool.Lease[*fake.Value].Discard,
		"Detach":  func(l pool.Lease[*fake.Value]) { _ = l.Detach() },
	}
	for first, end := range ends {
		for second, again := range ends {
			t.Run(first+" then "+second, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, maker := newPool(t, pool.Options{MaxSize: 1})
					lease := acquire(t, p)
					value := lease.Value()
					end(lease)
					if first == "Detach" {
						maker.Destroy(value)
					}
					next := acquire(t, p)
					if second == "Detach" {
						assert.Panics(t, func() { again(lease) })
					} else {
						again(lease)
					}
					synctest.Wait()
					assert.NotPanics(t, func() { next.Value() })
					assert.Equal(t, 1, p.Stats().Held)
					assert.EqualValues(t, 1, p.Stats().Released)
					next.Release()
					acquire(t, p).Release() // nothing blocks
				})
			})
		}
	}
}

func TestRelease_ASlotIsHeldUntilItsDestructorReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, maker := scripted(t, pool.Options{MaxSize: 1}, fake.Script{Destroy: fake.Slow})
		began := time.Now()
		acquire(t, p).Discard()
		assert.Zero(t, time.Since(began), "Discard does not wait")
		assert.Equal(t, 1, p.Stats().Destroying)
		acquire(t, p).Release()
		assert.Equal(t, fake.SlowTime, time.Since(began))
		_, most := maker.Live()
		assert.Equal(t, 1, most, "a pool of one is a lock")
	})
}

func TestRelease_OnlyOneOfManyCounts(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 1})
	for range 200 {
		lease := acquire(t, p)
		var enders sync.WaitGroup
		for i := range 4 {
			enders.Go(func() {
				if i%2 == 0 {
					lease.Release()
				} else {
					lease.Discard()
				}
			})
		}
		enders.Wait()
	}
	stats := p.Stats()
	assert.EqualValues(t, 200, stats.Acquired)
	assert.EqualValues(t, 200, stats.Released)
}
