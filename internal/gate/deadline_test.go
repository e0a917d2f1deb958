package gate

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inBubble is a gate whose clock is the bubble's.
func inBubble(t *testing.T, config Config[int]) *bench {
	start := time.Now()
	b := newBench(config)
	b.config.Now = func() time.Duration { return time.Since(start) }
	return b
}

func TestDeadline_EachWaitEndsAtItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inBubble(t, Config[int]{Max: 1})
		b.wait(t, Request{}) // has the slot, and no deadline
		var all sync.WaitGroup
		for _, seconds := range []int{3, 1, 2, 1, 5} { // not in the order in which they come
			deadline := b.config.Now() + time.Duration(seconds)*time.Second
			w := b.wait(t, Request{Deadline: deadline})
			all.Go(func() {
				<-w.Ready
				assert.Equal(t, Late, w.Granted().Decision)
				assert.Equal(t, deadline, w.Granted().At)
				assert.Equal(t, deadline, b.config.Now(), "it is woken then")
				b.Recycle(w)
			})
		}
		all.Wait()
		assert.Zero(t, b.Snapshot().Waiting)
		assert.Zero(t, b.expireAt, "nothing is left to wake for")
		w := b.wait(t, Request{Deadline: b.config.Now() + time.Minute})
		<-w.Ready
		assert.Equal(t, Late, w.Granted().Decision, "the timer is used again")
	})
}

func TestDeadline_OfACallerThatBuildsLeavesTheBuildToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inBubble(t, Config[int]{Max: 1})
		builds, next := b.wait(t, Request{Deadline: time.Second}), b.wait(t, Request{Deadline: time.Hour})
		<-builds.Ready
		assert.Equal(t, Late, builds.Granted().Decision)
		require.Equal(t, Kept, b.Built(b.build(t), 1))
		assert.Equal(t, 1, b.granted(t, next).Value)
		b.Close()
		assert.Zero(t, b.expireAt, "a closed gate has no timer")
	})
}

func TestDeadline_AValueBeforeItWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inBubble(t, Config[int]{Max: 1})
		first := b.wait(t, Request{Deadline: time.Second})
		require.Equal(t, Kept, b.Built(b.build(t), 1))
		time.Sleep(time.Minute)
		assert.Equal(t, 1, b.granted(t, first).Value)
		w := b.wait(t, Request{Deadline: b.config.Now() + time.Second})
		time.Sleep(time.Millisecond)
		assert.Equal(t, Kept, b.Put(1, first))
		time.Sleep(time.Minute)
		assert.Equal(t, 1, b.granted(t, w).Value)
		assert.Same(t, first, b.wait(t, Request{}), "it is used again")
	})
}

// TestUnlock_WakesInTheOrderOfTheGrants has one call give something to many.
func TestUnlock_WakesInTheOrderOfTheGrants(t *testing.T) {
	b := filled(t, Config[int]{Max: 3})
	b.Suspend()
	var waiters []*Waiter[int]
	for range 3 {
		waiters = append(waiters, b.wait(t, Request{}))
	}
	for value := 1; value <= 3; value++ {
		require.Equal(t, Kept, b.Put(value, nil))
	}
	b.Resume()
	for i, w := range waiters {
		assert.Equal(t, 3-i, b.granted(t, w).Value)
		assert.Nil(t, w.woken)
	}
	assert.Nil(t, b.woken)
	assert.Nil(t, b.lastWoken, "what was given is not kept")
}
