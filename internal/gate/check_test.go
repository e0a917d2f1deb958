package gate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCautious_TakesNoSuspectAndHasThemCheckedLastReleasedFirst(t *testing.T) {
	b := filled(t, Config[int]{Max: 8})
	b.putBack(t, 1, 2, 3, 4, 5, 6, 7)
	b.suspect = func(value int) bool { return value < 7 }
	value, decision := b.TakeIdle(true)
	require.Equal(t, Value, decision)
	assert.Equal(t, 7, value)
	_, decision = b.TakeIdle(true)
	assert.Equal(t, None, decision)

	cautious := b.wait(t, Request{Place: 1, Cautious: true})
	behind := b.wait(t, Request{})
	assert.Equal(t, []int{6}, b.checking, "the last one released, alone")
	assert.Equal(t, Bad, b.Checked(6, false))
	assert.Equal(t, []int{6, 5, 4}, b.checking, "twice as many")
	assert.Equal(t, Bad, b.Checked(4, false))
	assert.Equal(t, []int{6, 5, 4, 3, 2, 1}, b.checking)
	s := b.Snapshot()
	assert.Equal(t, 4, s.Checking)
	assert.Equal(t, 0, s.Idle)
	assert.Equal(t, 2, s.Held, "7 and 8")

	suspects := b.suspect
	b.suspect = func(value int) bool { return value != 3 && suspects(value) }
	assert.Equal(t, Kept, b.Checked(3, true))
	assert.Equal(t, 3, b.granted(t, cautious).Value, "what passes serves the queue")
	assert.Equal(t, Kept, b.Checked(1, true))
	assert.Equal(t, 1, b.granted(t, behind).Value)
	b.suspect = func(int) bool { return false }
	assert.Equal(t, Kept, b.Checked(5, true))
	assert.Equal(t, Kept, b.Checked(2, true))
	assert.Equal(t, []int{2, 5}, b.idle, "where they were")
}

func TestCautious_ChecksEndWithTheWait(t *testing.T) {
	b := filled(t, Config[int]{Max: 4})
	b.putBack(t, 1, 2, 3, 4)
	b.suspect = func(int) bool { return true }
	cautious := b.wait(t, Request{Place: 1, Cautious: true})
	require.Equal(t, []int{4}, b.checking)
	b.leave(t, cautious)
	assert.Equal(t, Bad, b.Checked(4, false))
	assert.Equal(t, []int{4}, b.checking, "nobody waits for another")
	value, _, decision := b.Take()
	require.Equal(t, Value, decision, "a caller that has just come takes a suspect")
	assert.Equal(t, 3, value)
}

func TestCautious_TheNextOneMayTakeWhatTheFirstDidNotWant(t *testing.T) {
	b := filled(t, Config[int]{Max: 2})
	b.putBack(t, 1)
	b.suspect = func(int) bool { return true }
	cautious := b.wait(t, Request{Place: 1, Cautious: true})
	behind := b.wait(t, Request{})
	assert.Equal(t, Kept, b.Put(2, nil), "a Check failed while it was on its way")
	assert.Empty(t, cautious.Ready)
	assert.Empty(t, behind.Ready)
	assert.Equal(t, 1, b.Snapshot().Idle)
	b.leave(t, cautious)
	assert.Equal(t, 2, b.granted(t, behind).Value)
	assert.Equal(t, Kept, b.Checked(1, true))
}

func TestCautious_ASuspectAgainIsCheckedAgain(t *testing.T) {
	b := filled(t, Config[int]{Max: 1})
	b.putBack(t, 1)
	b.suspect = func(int) bool { return true }
	cautious := b.wait(t, Request{Place: 1, Cautious: true})
	assert.Equal(t, Kept, b.Checked(1, true), "another Check failed meanwhile")
	assert.Equal(t, []int{1, 1}, b.checking)
	b.suspect = func(int) bool { return false }
	assert.Equal(t, Kept, b.Checked(1, true))
	assert.Equal(t, 1, b.granted(t, cautious).Value)
}

func TestDoubt_KeepsTheSlotAndServesTheNextInLine(t *testing.T) {
	b := filled(t, Config[int]{Max: 1})
	next := b.wait(t, Request{})
	b.Doubt(1)
	s := b.Snapshot()
	assert.Equal(t, 1, s.Checking)
	assert.Zero(t, s.Held)
	assert.EqualValues(t, 1, s.Rejected)
	assert.Empty(t, b.started, "its slot is taken")
	b.stale = func(int) bool { return true }
	assert.Equal(t, Stale, b.Checked(1, true))
	b.stale = func(int) bool { return false }
	b.Gone(0, false, false)
	assert.Equal(t, Kept, b.Built(b.build(t), 2))
	assert.Equal(t, 2, b.granted(t, next).Value)
	b.Doubt(2)
	b.Resize(1)
	assert.Equal(t, Kept, b.Checked(2, true))
	assert.Equal(t, 1, b.Snapshot().Idle)
}

func TestMinIdle_CountsWhatIsBeingChecked(t *testing.T) {
	b := newBench(Config[int]{Max: 2, MinIdle: 1})
	w := b.wait(t, Request{})
	require.Equal(t, Kept, b.Built(b.build(t), 1))
	require.Equal(t, 1, b.granted(t, w).Value)
	b.Built(b.build(t), 2)
	b.Put(1, nil)
	value, _, _ := b.Take()
	b.Take()
	require.Empty(t, b.started)
	b.Doubt(value)
	b.Detach()
	assert.Empty(t, b.started, "it will be idle soon")
}
