package pool_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// crowd is a pool with a queue before it. It is only used inside a testing/synctest bubble.
type crowd struct {
	t      *testing.T
	pool   *pool.Pool[*fake.Value]
	ends   chan ended
	cancel map[int]context.CancelFunc
	held   []pool.Lease[*fake.Value]
}

type ended struct {
	who   int
	lease pool.Lease[*fake.Value]
	err   error
}

// join has one more caller acquire, and waits until it waits or is done.
func (c *crowd) join(who int) {
	ctx, cancel := context.WithCancel(c.t.Context())
	c.cancel[who] = cancel
	go func() {
		lease, err := c.pool.Acquire(ctx)
		c.ends <- ended{who, lease, err}
	}()
	synctest.Wait()
}

// served returns whom the queue let go since the last call: those who got a lease, which is kept, and those who did not.
func (c *crowd) served() (got, gaveUp []int) {
	synctest.Wait()
	for {
		select {
		case e := <-c.ends:
			c.cancel[e.who]()
			if e.err != nil {
				require.ErrorIs(c.t, e.err, context.Canceled)
				gaveUp = append(gaveUp, e.who)
				continue
			}
			got = append(got, e.who)
			c.held = append(c.held, e.lease)
		default:
			slices.Sort(got)
			return got, gaveUp
		}
	}
}

func newCrowd(t *testing.T, size, waiters int) *crowd {
	p, _ := newPool(t, pool.Options{MaxSize: size, AcquireTimeout: -1})
	c := &crowd{t: t, pool: p, ends: make(chan ended, waiters), cancel: make(map[int]context.CancelFunc)}
	for range size {
		c.held = append(c.held, acquire(t, p))
	}
	for who := range waiters {
		c.join(who)
		require.Equal(t, who+1, p.Stats().Waiting)
	}
	return c
}

// TestFIFO has 1,000 wait, of whom a third is cancelled in between, while the pool grows and shrinks:
// at every step exactly those who came first get what there is.
func TestFIFO(t *testing.T) {
	const waiters = 1000
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			size := 3
			c := newCrowd(t, size, waiters)
			var queue []int
			for who := range waiters {
				queue = append(queue, who)
			}
			cancelled := 0
			for len(queue) > 0 {
				var gone []int
				switch step := random.IntN(12); {
				case step == 0:
					size = 1 + random.IntN(6)
					require.NoError(t, c.pool.Resize(size))
				case step < 5 && cancelled < waiters/3:
					i := random.IntN(len(queue))
					gone = append(gone, queue[i])
					c.cancel[queue[i]]()
					queue = slices.Delete(queue, i, i+1)
					cancelled++
				default:
					i := random.IntN(len(c.held))
					if random.IntN(2) == 0 {
						c.held[i].Release()
					} else {
						c.held[i].Discard()
					}
					c.held = slices.Delete(c.held, i, i+1)
				}
				next := min(len(queue), max(0, size-len(c.held)))
				want := append([]int(nil), queue[:next]...)
				queue = queue[next:]
				got, gaveUp := c.served()
				require.Equal(t, want, got)
				require.Equal(t, gone, gaveUp)
				require.Equal(t, len(queue), c.pool.Stats().Waiting)
			}
			assert.Equal(t, waiters/3, cancelled)
			assert.EqualValues(t, cancelled, c.pool.Stats().Cancelled)
			assert.EqualValues(t, waiters, c.pool.Stats().Waited)
			for _, lease := range c.held {
				lease.Release()
			}
		})
	}
}

// TestFIFO_ACallerThatLeavesTakesNothingAlong cancels the first in the queue at the very moment when his turn comes.
func TestFIFO_ACallerThatLeavesTakesNothingAlong(t *testing.T) {
	for range 500 {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowd(t, 1, 2)
			lease := c.held[0]
			c.held = nil
			go c.cancel[0]()
			go lease.Release()
			got, _ := c.served()
			if len(got) == 1 && got[0] == 0 { // he was faster
				c.held[0].Release()
				got, _ = c.served()
			}
			require.Equal(t, []int{1}, got)
			c.held[len(c.held)-1].Release()
			assert.Equal(t, 1, c.pool.Stats().Idle)
		})
	}
}

func TestFIFO_WaitingWhileSuspendedKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 1, 0)
		c.ends = make(chan ended, 10)
		c.held[0].Release()
		c.held = nil
		c.pool.Suspend()
		for who := range 10 {
			c.join(who)
		}
		c.pool.Resume()
		for who := range 10 {
			got, _ := c.served()
			require.Equal(t, []int{who}, got)
			c.held[who].Release()
		}
	})
}

// TestFIFO_WhatIsBuiltForACallerThatLeftGoesToTheNext cancels the caller whose value is being built.
func TestFIFO_WhatIsBuiltForACallerThatLeftGoesToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		maker := &fake.Maker{}
		maker.Follow(fake.Script{Construct: fake.Slow})
		p, err := pool.New(maker.Scripted(), pool.Options{MaxSize: 1})
		require.NoError(t, err)
		c := &crowd{t: t, pool: p, ends: make(chan ended, 3), cancel: make(map[int]context.CancelFunc)}
		for who := range 3 {
			c.join(who)
		}
		c.cancel[0]()
		c.cancel[1]()
		got, gaveUp := c.served()
		assert.Empty(t, got)
		assert.ElementsMatch(t, []int{0, 1}, gaveUp)
		e := <-c.ends
		assert.Equal(t, 2, e.who)
		require.NoError(t, e.err)
		assert.Equal(t, 1, e.lease.Value().ID)
		e.lease.Release()
		assert.Equal(t, 1, maker.Made())
		require.NoError(t, p.Close(t.Context()))
		maker.Finished(t)
	})
}

func TestFIFO_ACallerHandedAnUnfitValueKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checks atomic.Int64
		unfit := map[*fake.Value]bool{}
		p, _ := newPool(t, pool.Options{MaxSize: 2, AcquireTimeout: -1, Policy: resource.Policy{CheckAfterIdle: -1}}, func(h *resource.Hooks[*fake.Value]) {
			slow(h, pool.Destroy)
			h.Check = func(_ context.Context, v *fake.Value) error {
				if !unfit[v] {
					return nil
				}
				<-time.After(time.Duration(checks.Add(1)) * time.Millisecond) // the one who came first is back first
				return errHook
			}
		})
		first, second := acquire(t, p), acquire(t, p)
		unfit[first.Value()], unfit[second.Value()] = true, true
		p.Suspend()
		first.Release()
		second.Release()
		var mu sync.Mutex
		var order []int
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				lease := acquire(t, p)
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				<-time.After(10 * time.Second)
				lease.Release()
			})
			synctest.Wait()
			<-time.After(time.Millisecond)
		}
		p.Resume()
		all.Wait()
		assert.Equal(t, 2, order[2], "of %v the last one came last", order)
		assert.EqualValues(t, 2, p.Stats().Rejected)
	})
}
