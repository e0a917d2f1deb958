package gate

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/queue"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errRefused = errors.New("refused")

// bench is a gate whose builds, checks and clock are the test's.
type bench struct {
	*Gate[int]
	now      time.Duration
	started  []*Builder[int] // builds that began, in this order
	checking []int           // values to be checked, in this order
	stale    func(int) bool
	suspect  func(int) bool
	since    map[int]time.Duration // when a value became idle
}

// still runs a test whose clock is the test's own, and in which the gate's timers, which have another one, do not fire.
func still(test func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) { synctest.Test(t, test) }
}

func newBench(config Config[int]) *bench {
	no := func(int) bool { return false }
	b := &bench{stale: no, suspect: no, since: map[int]time.Duration{}}
	config.Now = func() time.Duration { return b.now }
	config.Stale = func(value int) bool { return b.stale(value) }
	config.Suspect = func(value int) bool { return b.suspect(value) }
	config.Start = func(builder *Builder[int]) { b.started = append(b.started, builder) }
	config.Check = func(value int) { b.checking = append(b.checking, value) }
	config.IdleSince = func(value int) time.Duration { return b.since[value] }
	b.Gate = New(config)
	return b
}

// build returns the builder of the next build that began.
func (b *bench) build(t *testing.T) *Builder[int] {
	t.Helper()
	require.NotEmpty(t, b.started, "no build has begun")
	builder := b.started[0]
	b.started = b.started[1:]
	return builder
}

// filled is a gate all of whose values, from 1 to max, are held.
func filled(t *testing.T, config Config[int]) *bench {
	b := newBench(config)
	for value := range config.Max {
		w := b.wait(t, Request{})
		require.Equal(t, Kept, b.Built(b.build(t), value+1))
		require.Equal(t, value+1, b.granted(t, w).Value)
	}
	return b
}

// wait enters, and has to wait.
func (b *bench) wait(t *testing.T, r Request) *Waiter[int] {
	t.Helper()
	r.Now = b.now
	w, _, grant := b.enter(r)
	require.NotNil(t, w, "%v", grant)
	return w
}

// enter returns the waiter on which the caller has to wait, or what it was given at once.
func (b *bench) enter(r Request) (w *Waiter[int], place uint64, grant Grant[int]) {
	w, waits := b.Enter(&r)
	place = w.Place()
	if waits {
		return w, place, grant
	}
	grant = *w.Granted()
	b.Recycle(w)
	return nil, place, grant
}

// giveUp returns what a waiter was given that gives up.
func (b *bench) giveUp(w *Waiter[int]) Grant[int] {
	b.Leave(w)
	grant := *w.Granted()
	b.Recycle(w)
	return grant
}

// granted returns what w was given.
func (b *bench) granted(t *testing.T, w *Waiter[int]) Grant[int] {
	t.Helper()
	select {
	case <-w.Ready:
	default:
		t.Fatal("nothing was granted")
	}
	return *w.Granted()
}

// leave has a waiter leave that was given nothing.
func (b *bench) leave(t *testing.T, w *Waiter[int]) {
	t.Helper()
	assert.Equal(t, None, b.giveUp(w).Decision)
}

// idle puts values on the stack that a filled gate has handed out, a second apart.
func (b *bench) putBack(t *testing.T, values ...int) {
	t.Helper()
	for _, value := range values {
		b.now += time.Second
		b.since[value] = b.now
		require.Equal(t, Kept, b.Put(value, nil))
	}
}

func TestLeave_AtTheMomentOfAValueReturnsIt(t *testing.T) {
	b := filled(t, Config[int]{Max: 1})
	w := b.wait(t, Request{})
	b.Put(1, nil)
	assert.Equal(t, Grant[int]{Decision: Value, Value: 1, Waited: true}, b.giveUp(w))
	assert.Equal(t, 1, b.Snapshot().Held)
	assert.Empty(t, w.Ready, "the waiter can be used again")
}

func TestLeave_LeavesTheBuildToTheNextInLine(t *testing.T) {
	b := newBench(Config[int]{Max: 1})
	first, second := b.wait(t, Request{}), b.wait(t, Request{})
	b.now = 10
	b.leave(t, first)
	assert.Equal(t, 1, b.Snapshot().Constructing)
	b.now = 20
	assert.Equal(t, Kept, b.Built(b.build(t), 1))
	b.now = 30
	assert.Equal(t, Grant[int]{Decision: Value, Value: 1, Fresh: true, Waited: true, Queued: 20, At: 20}, b.granted(t, second))
	s := b.Snapshot()
	assert.EqualValues(t, 20, s.WaitTime)
	assert.EqualValues(t, 10, s.BuildWaitTime)
	assert.EqualValues(t, 1, s.Waited)
	assert.EqualValues(t, 1, s.WaitedForBuild)
}

func TestEnter_ACallerThatBuildsStandsInTheQueue(t *testing.T) {
	b := newBench(Config[int]{Max: 2, MaxWaiters: 1})
	builds := b.wait(t, Request{})
	require.Equal(t, Kept, b.Built(b.build(t), 1))
	require.Equal(t, 1, b.granted(t, builds).Value)
	builds = b.wait(t, Request{})
	queued := b.wait(t, Request{})
	s := b.Snapshot()
	assert.Equal(t, 1, s.Waiting, "the one that builds is counted apart")
	assert.Equal(t, 1, s.WaitingForBuild)
	_, _, grant := b.enter(Request{})
	assert.Equal(t, Saturated, grant.Decision)

	b.Put(1, nil)
	assert.Equal(t, 1, b.granted(t, builds).Value, "it came first")
	assert.Equal(t, Kept, b.Built(b.build(t), 2))
	assert.Equal(t, 2, b.granted(t, queued).Value, "the build that it left goes to the next in line")
	assert.Zero(t, b.Snapshot().WaitingForBuild)
}

func TestEnter_ARequeuedCallerKeepsItsPlaceAndIsNeverSaturated(t *testing.T) {
	b := filled(t, Config[int]{Max: 2, MaxWaiters: 1})
	b.putBack(t, 1, 2)
	_, first, _ := b.Take()
	_, second, _ := b.Take()
	later := b.wait(t, Request{})
	_, _, grant := b.enter(Request{})
	require.Equal(t, Saturated, grant.Decision)
	two, one := b.wait(t, Request{Place: second}), b.wait(t, Request{Place: first})
	assert.Equal(t, 3, b.Snapshot().Waiting)
	for _, w := range []*Waiter[int]{one, two, later} {
		b.Put(1, nil)
		assert.Equal(t, Value, b.granted(t, w).Decision)
	}
	assert.EqualValues(t, 1, b.Snapshot().Saturated)
	assert.EqualValues(t, 3, b.Snapshot().Waited)
}

func TestEnter_AWaitIsCountedOnceForACaller(t *testing.T) {
	b := filled(t, Config[int]{Max: 1})
	w, place, _ := b.enter(Request{})
	b.Put(1, nil)
	b.granted(t, w)
	b.Reject()
	w = b.wait(t, Request{Place: place, Waited: true})
	assert.EqualValues(t, 1, b.Snapshot().Waited)
	b.Gone(0, false, false)
	assert.Equal(t, 1, b.Snapshot().WaitingForBuild, "the slot is its")
	b.leave(t, w)
}

func TestEnter_NestedNeverWaitsInTheQueue(t *testing.T) {
	b := newBench(Config[int]{Max: 1, MaxWaiters: 1})
	nested := b.wait(t, Request{Nested: true})
	b.FailedToBuild(b.build(t), errRefused, false)
	assert.Equal(t, Failed, b.granted(t, nested).Decision)
	b.wake()

	b = filled(t, Config[int]{Max: 2, MaxWaiters: 1})
	b.Detach()
	nested = b.wait(t, Request{Nested: true}) // a slot is free
	_, _, grant := b.enter(Request{Nested: true})
	assert.Equal(t, Busy, grant.Decision)
	assert.Zero(t, b.Snapshot().Waited)
	b.FailedToBuild(b.build(t), errRefused, false)
	assert.Equal(t, Grant[int]{Decision: Failed, Err: errRefused}, b.granted(t, nested), "though a value is live")

	b = newBench(Config[int]{Max: 1})
	nested = b.wait(t, Request{Nested: true})
	b.stale = func(int) bool { return true }
	assert.Equal(t, Stale, b.Built(b.build(t), 1))
	assert.Equal(t, Busy, b.granted(t, nested).Decision)
}

func TestClose_WakesEveryWaiterAndDrainsAfterTheLastBuild(t *testing.T) {
	b := newBench(Config[int]{Max: 1})
	builds, queued := b.wait(t, Request{}), b.wait(t, Request{})
	warm := b.Warm(context.Background(), 1)
	idle, drained := b.Close()
	assert.Empty(t, idle)
	assert.Equal(t, Closed, b.granted(t, builds).Decision)
	assert.Equal(t, Closed, b.granted(t, queued).Decision)
	<-warm.Done
	assert.Equal(t, Closed, warm.Decision)
	select {
	case <-drained:
		t.Error("drained, while a value is being built")
	default:
	}
	b.FailedToBuild(b.build(t), errRefused, true)
	<-drained
	s := b.Snapshot()
	assert.EqualValues(t, 1, s.Abandoned)
	assert.Nil(t, b.timer, "there is no backoff any more")
	_, _, grant := b.enter(Request{})
	assert.Equal(t, Closed, grant.Decision)
	warm = b.Warm(context.Background(), 1)
	<-warm.Done
	assert.Equal(t, Closed, warm.Decision)
}

func TestClose_RefusesWhatIsStillOut(t *testing.T) {
	b := filled(t, Config[int]{Max: 3})
	b.Doubt(3)
	_, drained := b.Close()
	assert.Equal(t, Refused, b.Put(1, nil))
	assert.Equal(t, Refused, b.GiveBack(2))
	assert.Equal(t, Refused, b.Checked(3, false), "whatever its check said")
	for range 3 {
		b.Gone(0, false, false)
	}
	<-drained
}

func TestBuilt_AStaleValueCostsItsCallerNoPlace(t *testing.T) {
	b := newBench(Config[int]{Max: 1})
	first, second := b.wait(t, Request{}), b.wait(t, Request{})
	b.stale = func(value int) bool { return value == 1 }
	assert.Equal(t, Stale, b.Built(b.build(t), 1))
	assert.Empty(t, first.Ready)
	assert.Equal(t, 2, b.Snapshot().Waiting)
	b.Gone(0, false, false)
	assert.Equal(t, Kept, b.Built(b.build(t), 2))
	assert.Equal(t, 2, b.granted(t, first).Value)
	b.leave(t, second)
}

func TestFailedToBuild_TellsAtOnceIfNothingIsLive(t *testing.T) {
	b := newBench(Config[int]{Max: 2})
	one, two := b.wait(t, Request{}), b.wait(t, Request{})
	b.FailedToBuild(b.build(t), errRefused, false)
	assert.Equal(t, Failed, b.granted(t, one).Decision, "another build is no live value")
	b.FailedToBuild(b.build(t), errRefused, false)
	assert.Equal(t, Failed, b.granted(t, two).Decision)
}

func TestFailedToBuild_WhileValuesAreLiveWaitsForTheBackoff(t *testing.T) {
	start := func(t *testing.T) (*bench, *Waiter[int]) {
		b := newBench(Config[int]{Max: 3, ShortestBackoff: time.Second, LongestBackoff: time.Second})
		w := b.wait(t, Request{})
		require.Equal(t, Kept, b.Built(b.build(t), 1))
		require.Equal(t, 1, b.granted(t, w).Value)
		w = b.wait(t, Request{})
		b.FailedToBuild(b.build(t), errRefused, false)
		assert.Empty(t, w.Ready)
		assert.Equal(t, 1, b.Snapshot().Waiting)
		assert.EqualValues(t, 1, b.Snapshot().Waited)
		return b, w
	}
	t.Run("the error comes when it is over", still(func(t *testing.T) {
		b, w := start(t)
		later := b.wait(t, Request{})
		b.now = b.wakeAt
		b.wake()
		assert.Equal(t, Grant[int]{Decision: Failed, Err: errRefused, Waited: true, Queued: b.now, At: b.now}, b.granted(t, w))
		assert.Equal(t, 1, b.Snapshot().WaitingForBuild, "the next one is the trial")
		b.leave(t, later)
		b.Close()
	}))
	t.Run("a value that comes back", still(func(t *testing.T) {
		b, w := start(t)
		b.Put(1, nil)
		assert.Equal(t, 1, b.granted(t, w).Value)
		b.Close()
	}))
	t.Run("another build succeeds: it builds again", still(func(t *testing.T) {
		b, w := start(t)
		warm := b.Warm(context.Background(), 2)
		assert.Equal(t, Kept, b.Built(b.build(t), 2))
		assert.Equal(t, 2, b.granted(t, w).Value)
		<-warm.Done
		assert.Equal(t, Value, warm.Decision)
		assert.False(t, b.willWake)
	}))
	t.Run("a success does not lengthen it", still(func(t *testing.T) {
		b, w := start(t)
		first := b.wait(t, Request{Place: 1})
		b.Warm(context.Background(), 2)
		b.Resize(2)
		assert.Equal(t, Kept, b.Built(b.build(t), 2))
		assert.Equal(t, 2, b.granted(t, first).Value)
		assert.True(t, b.willWake)
		b.now = b.wakeAt
		b.wake()
		assert.Equal(t, Failed, b.granted(t, w).Decision)
	}))
}

func TestWake_AnOldTimerEndsNothing(t *testing.T) {
	still(func(t *testing.T) {
		b := newBench(Config[int]{Max: 2, ShortestBackoff: time.Second, LongestBackoff: time.Second})
		fail := func() {
			w := b.wait(t, Request{})
			b.FailedToBuild(b.build(t), errRefused, false)
			assert.Equal(t, Failed, b.granted(t, w).Decision)
		}
		fail()
		warm := b.Warm(context.Background(), 1) // it does not wait for the backoff
		assert.Equal(t, Kept, b.Built(b.build(t), 1))
		<-warm.Done
		assert.False(t, b.willWake, "a success ends the backoff")
		value, _, decision := b.Take()
		require.Equal(t, Value, decision)
		require.Equal(t, 1, value)
		b.Detach()
		b.now = time.Millisecond
		fail()
		b.wake() // of the first backoff, too late to be stopped
		waits := b.wait(t, Request{})
		assert.Equal(t, 1, b.Snapshot().Waiting)
		b.now = b.wakeAt
		b.wake()
		assert.Equal(t, 1, b.Snapshot().WaitingForBuild)
		b.leave(t, waits)
		b.Close()
	})(t)
}

func TestWake_TrialsThatHangAreDoubled(t *testing.T) {
	still(func(t *testing.T) {
		b := newBench(Config[int]{Max: 100, MaxConstructing: 5, ShortestBackoff: 1, LongestBackoff: 1})
		w := b.wait(t, Request{})
		b.FailedToBuild(b.build(t), errRefused, false)
		b.granted(t, w)
		for range 20 {
			b.wait(t, Request{})
		}
		b.now = b.wakeAt
		b.wake()
		for _, want := range []int{1, 2, 4, 5, 5} { // MaxConstructing is 5
			assert.Equal(t, want, b.Snapshot().Constructing)
			assert.Equal(t, b.now+time.Second, b.wakeAt)
			b.now = b.wakeAt
			b.wake()
		}
		// One that succeeds lets all in, and how long it took is how long the next ones may take.
		for range 4 {
			b.build(t)
		}
		b.now += 3 * time.Second
		assert.Equal(t, Kept, b.Built(b.build(t), 1))
		assert.Greater(t, b.breaker.patience(), 6*time.Second)
		b.Close()
	})(t)
}

func TestPut_BeyondMaxIdleIsSurplus(t *testing.T) {
	b := filled(t, Config[int]{Max: 4, MaxIdle: 1})
	waits := b.wait(t, Request{})
	assert.Equal(t, Kept, b.Put(1, nil))
	assert.Equal(t, 1, b.granted(t, waits).Value)
	assert.Equal(t, Kept, b.Put(1, nil))
	assert.Equal(t, Surplus, b.Put(2, nil))
	b.Gone(0, false, false)
	b.stale = func(value int) bool { return value == 3 }
	assert.Equal(t, Stale, b.Put(3, nil), "it would end anyway")
	b.Gone(0, false, false)
	warm := b.Warm(context.Background(), 3)
	assert.Equal(t, Kept, b.Built(b.build(t), 5), "never what Warm builds")
	<-warm.Done
	assert.Equal(t, 2, b.Snapshot().Idle)
}

func TestMaxConstructing_CallersBeforeWarmBeforeMinIdle(t *testing.T) {
	b := newBench(Config[int]{Max: 9, MaxConstructing: 1, MinIdle: 2, ShortestBackoff: time.Hour, LongestBackoff: time.Hour}) // no timer fires
	builds := b.wait(t, Request{Order: Order{Ctx: context.Background()}})
	warm := b.Warm(context.Background(), 3)
	second := b.wait(t, Request{})
	assert.Equal(t, 1, b.Snapshot().Waiting, "past it a caller waits in the queue")
	next := func() *Builder[int] {
		assert.Equal(t, 1, b.Snapshot().Constructing)
		return b.build(t)
	}
	assert.Equal(t, Kept, b.Built(next(), 1))
	assert.Equal(t, 1, b.granted(t, builds).Value)
	builder := next()
	assert.Same(t, second, builder.waiter, "a caller before Warm")
	b.FailedToBuild(builder, errRefused, true) // abandoned: its place is free
	b.now = b.wakeAt
	builder = next()
	assert.Same(t, warm, builder.warmup, "Warm does not wait for a backoff")
	assert.Equal(t, Kept, b.Built(builder, 2))
	assert.Equal(t, 2, b.granted(t, second).Value)
	builder = next()
	assert.Same(t, warm, builder.warmup, "Warm before MinIdle")
	assert.Equal(t, Kept, b.Built(builder, 3))
	<-warm.Done
	assert.Equal(t, Value, warm.Decision)
	builder = next()
	assert.Nil(t, builder.warmup)
	assert.Nil(t, builder.waiter)
	assert.Equal(t, Kept, b.Built(builder, 4))
	assert.Equal(t, 2, b.Snapshot().Idle)
	assert.Empty(t, b.started)
}

func TestWarm_CountsNoValueThatIsBeingDestroyed(t *testing.T) {
	b := filled(t, Config[int]{Max: 3})
	b.putBack(t, 1, 2, 3)
	b.Evict(func() {})
	warm := b.Warm(context.Background(), 1)
	<-warm.Done
	assert.Equal(t, Busy, warm.Decision, "there is no room")
	b.Gone(0, false, false)
	warm = b.Warm(context.Background(), 1)
	assert.Equal(t, Kept, b.Built(b.build(t), 4))
	<-warm.Done
	assert.Equal(t, Value, warm.Decision)
}

func TestWarm_IsOverWhenItsNumberIsLiveAndBuilt(t *testing.T) {
	over := func(w *Warmup[int]) bool {
		select {
		case <-w.Done:
			return true
		default:
			return false
		}
	}
	b := newBench(Config[int]{Max: 3})
	first := b.Warm(context.Background(), 2)
	second := b.Warm(context.Background(), 2)
	assert.False(t, over(second), "two are being built, for the other one")
	assert.Equal(t, Kept, b.Built(b.build(t), 1))
	b.FailedToBuild(b.build(t), errRefused, false)
	assert.True(t, over(first))
	assert.Equal(t, Failed, first.Decision)
	assert.Equal(t, errRefused, first.Err)
	assert.False(t, over(second), "it builds what is missing itself")
	assert.Equal(t, Kept, b.Built(b.build(t), 2))
	assert.True(t, over(second))
	assert.Equal(t, Value, second.Decision)
	none := b.Warm(context.Background(), -1)
	assert.True(t, over(none))

	stopped := b.Warm(context.Background(), 3)
	b.StopWarm(stopped)
	assert.Equal(t, 1, b.Snapshot().Constructing, "what is being built goes on")
	assert.Equal(t, Kept, b.Built(b.build(t), 3))
	b.StopWarm(stopped)
	assert.Equal(t, 3, b.Snapshot().Idle)
}

func TestResize_EndsTheLongestIdle(t *testing.T) {
	b := filled(t, Config[int]{Max: 3})
	b.putBack(t, 2, 3, 1)
	assert.Equal(t, []int{2, 3}, b.Resize(1))
	value, _, _ := b.Take()
	assert.Equal(t, 1, value)
}

func TestSnapshot_OldestWaitIsOfTheFirstInTheQueue(t *testing.T) {
	b := filled(t, Config[int]{Max: 1})
	first, second := b.wait(t, Request{}), (*Waiter[int])(nil)
	b.now = 10
	second = b.wait(t, Request{})
	b.now = 12
	assert.EqualValues(t, 12, b.Snapshot().OldestWait)
	b.leave(t, first)
	assert.EqualValues(t, 2, b.Snapshot().OldestWait)
	b.leave(t, second)
	assert.Zero(t, b.Snapshot().OldestWait)
}

func TestWaiters_ABurstLeavesABoundedNumberBehind(t *testing.T) {
	b := filled(t, Config[int]{Max: 1})
	var waiters []*Waiter[int]
	for range queue.MaxFree + 10 {
		waiters = append(waiters, b.wait(t, Request{}))
	}
	for _, w := range waiters {
		b.leave(t, w)
	}
	assert.Equal(t, queue.MaxFree, b.free.Len())
	b.wait(t, Request{})
	assert.Equal(t, queue.MaxFree-1, b.free.Len())
}

func TestStray_IsCountedAndFreesNoSlot(t *testing.T) {
	b := filled(t, Config[int]{Max: 1})
	b.Stray(true, true)
	s := b.Snapshot()
	assert.Equal(t, 1, s.Held)
	assert.EqualValues(t, 1, s.DestroyFailed)
	assert.EqualValues(t, 1, s.Abandoned)
}

func TestSuspend_HoldsBackNoBuildThatBegan(t *testing.T) {
	b := newBench(Config[int]{Max: 2})
	builds := b.wait(t, Request{})
	b.Suspend()
	queued := b.wait(t, Request{})
	assert.Equal(t, Kept, b.Built(b.build(t), 1))
	assert.Equal(t, 1, b.granted(t, builds).Value, "it came before")
	assert.Equal(t, Kept, b.Put(1, nil))
	assert.Empty(t, queued.Ready)
	assert.Empty(t, b.started)
	_, decision := b.TakeIdle(false)
	assert.Equal(t, None, decision)
	b.Resume()
	assert.Equal(t, 1, b.granted(t, queued).Value)
}
