package gate

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests of pool see most of the gate. Here is what only comes about there
// when two things happen at the same moment.

func newGate(max int) *Gate[int] {
	return New(max, 0, 0, func(*Builder[int]) { panic("nothing to fill") })
}

// filled is a gate of one value, 1, which is held.
func filled(t *testing.T) *Gate[int] {
	g := newGate(1)
	_, b, turn := g.Take(false)
	require.Equal(t, Build, turn)
	w := g.Expect(b)
	require.Equal(t, Kept, g.Built(b, 1))
	require.Equal(t, Grant[int]{Turn: Value, Value: 1, Fresh: true}, granted(g, w, 0))
	return g
}

// granted waits for what w was given.
func granted(g *Gate[int], w *Waiter[int], now time.Duration) Grant[int] {
	<-w.Ready
	return g.Leave(w, now, Granted)
}

func queue(t *testing.T, g *Gate[int]) *Waiter[int] {
	_, _, w, turn := g.Queue(0, 10, false)
	require.Equal(t, Wait, turn)
	return w
}

func TestOneWhoGivesUpAtTheMomentOfHisTurnToBuildLeavesTheSlotToTheNext(t *testing.T) {
	g := filled(t)
	first, second := queue(t, g), queue(t, g)
	g.Retire(false)
	g.Gone(0, false, false) // it is the first one's turn
	grant := g.Leave(first, 10, Cancelled)
	assert.Equal(t, Grant[int]{Turn: Busy}, grant)
	assert.Equal(t, Build, granted(g, second, 20).Turn)
	s := g.Snapshot(0)
	assert.EqualValues(t, 1, s.Cancelled)
	assert.Equal(t, 1, s.Constructing)
	assert.EqualValues(t, 30, s.WaitTime)
}

func TestOneWhoGivesUpAtTheMomentOfAValueHasIt(t *testing.T) {
	g := filled(t)
	w := queue(t, g)
	g.Put(1)
	assert.Equal(t, Grant[int]{Turn: Value, Value: 1}, g.Leave(w, 0, TimedOut))
	s := g.Snapshot(0)
	assert.Zero(t, s.TimedOut, "he did not go without")
	assert.Equal(t, 1, s.Held)
	assert.Empty(t, w.Ready, "the waiter can be used again")
}

func TestCloseBetweenTheTurnToBuildAndTheBuilding(t *testing.T) {
	g := newGate(1)
	_, b, turn := g.Take(false)
	require.Equal(t, Build, turn)
	idle, drained := g.Close()
	assert.Empty(t, idle)
	select {
	case <-drained:
		t.Error("drained, while there is a slot to build in")
	default:
	}
	assert.Nil(t, g.Expect(b), "nothing is built any more")
	<-drained
	assert.Zero(t, g.Snapshot(0).Constructing)
}

func TestAFailedBuildAfterCloseDrains(t *testing.T) {
	g := newGate(1)
	_, b, _ := g.Take(false)
	w := g.Expect(b)
	_, drained := g.Close()
	assert.Equal(t, Closed, granted(g, w, 0).Turn)
	streak, _ := g.Failed(b, errors.New("late"), true)
	assert.Zero(t, streak, "there is nobody to rest for")
	<-drained
	assert.EqualValues(t, 1, g.Snapshot(0).Abandoned)
}

func TestAnOldRestEndsNothing(t *testing.T) {
	g := newGate(2)
	fail := func() (streak int, rest uint64) {
		_, b, turn := g.Take(false)
		require.Equal(t, Build, turn)
		w := g.Expect(b)
		streak, rest = g.Failed(b, errors.New("refused"), false)
		granted(g, w, 0)
		return streak, rest
	}
	streak, old := fail()
	assert.Equal(t, 1, streak)
	builders, _ := g.Reserve(1) // Warm does not wait for the rest
	assert.Equal(t, Kept, g.Built(builders[0], 1))
	_, _, turn := g.Take(false)
	require.Equal(t, Value, turn)
	streak, rest := fail()
	assert.Equal(t, 1, streak, "a success came in between")
	g.Rested(old)
	_, _, turn = g.Take(false)
	assert.Equal(t, Busy, turn)
	g.Rested(rest)
	_, _, turn = g.Take(false)
	assert.Equal(t, Build, turn)
}

func TestASecondFailureWithinARestBeginsNone(t *testing.T) {
	g := newGate(2)
	_, one, _ := g.Take(false)
	_, two, _ := g.Take(false)
	g.Expect(one)
	g.Expect(two)
	streak, rest := g.Failed(one, errors.New("one"), false)
	assert.Equal(t, 1, streak)
	streak, _ = g.Failed(two, errors.New("two"), false)
	assert.Zero(t, streak)
	assert.EqualError(t, g.Snapshot(0).Cause, "two")
	g.Rested(rest)
	_, _, turn := g.Take(false)
	assert.Equal(t, Build, turn)
	_, _, turn = g.Take(false)
	assert.Equal(t, Busy, turn, "one tries for all")
}

func TestOneWhoWasHandedAValueInVainIsAhead(t *testing.T) {
	g := filled(t)
	later := queue(t, g)
	g.Retire(true) // it was not fit
	_, _, turn := g.Take(true)
	require.Equal(t, Busy, turn, "it is being destroyed")
	_, _, ahead, turn := g.Queue(0, 5, true)
	require.Equal(t, Wait, turn)
	g.Gone(0, false, false)
	assert.Equal(t, Build, granted(g, ahead, 0).Turn)
	assert.Empty(t, later.Ready)
	s := g.Snapshot(0)
	assert.EqualValues(t, 1, s.Acquired)
	assert.EqualValues(t, 1, s.Unfit)
}

func TestAheadOfNobody(t *testing.T) {
	g := newGate(1)
	g.Suspend()
	_, _, w, turn := g.Queue(0, 5, true)
	require.Equal(t, Wait, turn)
	behind := queue(t, g)
	g.Resume()
	assert.Equal(t, Build, granted(g, w, 0).Turn)
	assert.Equal(t, 1, g.Snapshot(0).Waiting)
	g.Leave(behind, 0, Cancelled)
}

// TestTheQueueLetsAnyoneStepOut removes from it in every order.
func TestTheQueueLetsAnyoneStepOut(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		g := filled(t)
		waiters := []*Waiter[int]{queue(t, g), queue(t, g), queue(t, g)}
		left := []int{0, 1, 2}
		for _, i := range order {
			g.Leave(waiters[i], 0, Cancelled)
			left = slices.DeleteFunc(left, func(j int) bool { return i == j })
			var forth, back []*Waiter[int]
			for w := g.queue.first; w != nil; w = w.next {
				forth = append(forth, w)
			}
			for w := g.queue.last; w != nil; w = w.prev {
				back = append(back, w)
			}
			slices.Reverse(back)
			require.Len(t, forth, len(left))
			assert.Equal(t, len(left), g.queue.len)
			for k, j := range left {
				assert.Same(t, waiters[j], forth[k])
				assert.Same(t, waiters[j], back[k])
			}
		}
	}
}

func TestABurstOfWaitersLeavesABoundedNumberBehind(t *testing.T) {
	g := filled(t)
	var waiters []*Waiter[int]
	for range maxSpare + 10 {
		waiters = append(waiters, queue(t, g))
	}
	for _, w := range waiters {
		g.Leave(w, 0, Cancelled)
	}
	assert.Equal(t, maxSpare, g.spare)
	assert.NotNil(t, queue(t, g))
	assert.Equal(t, maxSpare-1, g.spare)
}

func TestThoseWhoAreAheadKeepTheirOwnOrder(t *testing.T) {
	g := filled(t)
	behind := queue(t, g)
	var ahead []*Waiter[int]
	for _, came := range []time.Duration{5, 3, 4, 5} {
		_, _, w, turn := g.Queue(0, came, true)
		require.Equal(t, Wait, turn)
		ahead = append(ahead, w)
	}
	for _, w := range []*Waiter[int]{ahead[1], ahead[2], ahead[0], ahead[3], behind} {
		g.Put(1)
		assert.Equal(t, Value, granted(g, w, 0).Turn)
	}
}

func TestAStrayIsCountedAndFreesNoSlot(t *testing.T) {
	g := filled(t)
	g.Stray(true, true)
	s := g.Snapshot(0)
	assert.Equal(t, 1, s.Held)
	assert.EqualValues(t, 1, s.DestroyFailed)
	assert.EqualValues(t, 1, s.Abandoned)
}

func TestABuildThatHangsDoesNotKeepOthersFromBuilding(t *testing.T) {
	g := newGate(3)
	_, hanging, _ := g.Take(false)
	g.Expect(hanging)
	_, failing, _ := g.Take(false)
	g.Expect(failing)
	_, rest := g.Failed(failing, errors.New("refused"), false)
	g.Rested(rest)
	_, probe, turn := g.Take(false)
	require.Equal(t, Build, turn, "the one that hangs began before the failure")
	_, _, turn = g.Take(false)
	assert.Equal(t, Busy, turn, "one tries for all")
	g.Expect(probe)
	assert.Equal(t, Kept, g.Built(probe, 1))
	_, _, turn = g.Take(false)
	assert.Equal(t, Build, turn)
	assert.Equal(t, Kept, g.Built(hanging, 2))
}
