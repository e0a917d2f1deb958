// Package gate decides whose turn it is: who gets an idle value, who may build one,
// and who waits, in the order in which they came.
//
// A slot is a live value, not a permit. A value counts as live
// from the decision to build it until its destructor has returned,
// so that the number of live values never exceeds the maximum.
// One mutex holds everything, so that every question has one exact answer.
package gate

import (
	"slices"
	"sync"
	"time"
)

// Turn is what a caller may do.
type Turn uint8

const (
	Busy      Turn = iota // nothing: there is neither an idle value nor a slot
	Value                 // take the value that came with the turn
	Build                 // build a value: a slot was counted for it
	Wait                  // wait on the waiter that came with the turn
	Saturated             // nothing: as many wait as may
	Closed                // nothing: the gate is closed
	Failed                // nothing: the value that the caller waited for could not be built
)

// Fate is what becomes of a value that is brought to the gate.
type Fate uint8

const (
	Kept    Fate = iota // it is idle, or somebody else's by now
	Excess              // to be destroyed: there are more than the maximum
	Refused             // to be destroyed: the gate is closed
)

// MaxReasons is how many reasons for a value's end can be counted.
const MaxReasons = 16

// Counts only grow.
type Counts struct {
	Acquired, Unfit, Released, Detached, Waited, TimedOut, Cancelled, Saturated uint64
	Created, CreateFailed, DestroyFailed, Abandoned                             uint64
	Destroyed                                                                   [MaxReasons]uint64
	WaitTime                                                                    time.Duration
}

// Snapshot is how a gate stands at one instant.
type Snapshot struct {
	Counts
	Max, Idle, Held, Constructing, Destroying, Waiting int
	OldestWait                                         time.Duration
	Suspended, Closed                                  bool
	Cause                                              error // of the last build, where it failed
}

// Gate lets callers in, one for each value. Make one with New.
// Times are durations since any one instant, the same for all calls.
type Gate[V any] struct {
	refill func(*Builder[V])

	mu sync.Mutex // protects all of the following

	// live = len(idle) + held + constructing + destroying.
	// live <= max, but while more are drained after Resize.
	max, live, constructing, destroying int
	idle                                []V // a stack: the last one released is the next one taken

	minIdle, filling int  // filling: builds under way that nobody waits for
	used             bool // somebody came: minIdle counts from here on

	maxWaiters int
	queue      list[V] // in the order of their coming; empty where there is something to give
	builders   list[V] // each waits for what is built for it
	free       *Waiter[V]
	spare      int // how many are free

	suspended, closed bool
	drained           chan struct{} // made by Close, closed when nothing is live any more

	// After a failed build none begins until Rested, and then one at a time until one succeeds.
	resting bool
	rests   uint64 // how many there were: the number of the last one
	probes  int    // builds under way that began after it
	streak  int    // failures in a row, those that came while resting left out
	cause   error  // of the last build; nil where it succeeded

	counts Counts
}

// New returns a gate for at most max live values, of which minIdle are kept ready,
// and at most maxWaiters waiters (0: any number).
// refill is called with the lock held, and must only see to it that the builder
// goes to Built or Failed later, from another goroutine.
func New[V any](max, minIdle, maxWaiters int, refill func(*Builder[V])) *Gate[V] {
	return &Gate[V]{max: max, minIdle: minIdle, maxWaiters: maxWaiters, refill: refill}
}

// Take returns an idle value, or the turn to build one and the builder, where nobody waits for either;
// otherwise Busy or Closed. After Build the caller goes on with Expect.
// One whose turn it was before, and who was handed a value in vain, is ahead of those who wait.
func (g *Gate[V]) Take(ahead bool) (value V, builder *Builder[V], turn Turn) {
	g.mu.Lock()
	value, builder, turn = g.take(ahead)
	g.mu.Unlock()
	return value, builder, turn
}

// TakeIdle is Take without the turn to build.
func (g *Gate[V]) TakeIdle() (value V, turn Turn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || len(g.idle) > 0 {
		value, _, turn = g.take(false)
		return value, turn
	}
	g.used = true
	g.settle()
	return value, Busy
}

// Queue is Take, but where Take would return Busy it takes a place in the queue
// and returns Wait, or Saturated where too many wait. Among those who are ahead
// the place is that of the time at which they came.
func (g *Gate[V]) Queue(now, came time.Duration, ahead bool) (value V, builder *Builder[V], waiter *Waiter[V], turn Turn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	value, builder, turn = g.take(ahead)
	if turn != Busy {
		return value, builder, nil, turn
	}
	if g.maxWaiters > 0 && g.queue.len >= g.maxWaiters && !ahead {
		g.counts.Saturated++
		return value, nil, nil, Saturated
	}
	if !ahead {
		g.counts.Waited++
	}
	waiter = g.waiter()
	waiter.queued, waiter.since, waiter.came = true, now, came
	if ahead {
		g.queue.insert(waiter)
	} else {
		g.queue.push(waiter)
	}
	return value, nil, waiter, Wait
}

// take is Take with the lock held.
func (g *Gate[V]) take(ahead bool) (value V, builder *Builder[V], turn Turn) {
	if g.closed {
		return value, nil, Closed
	}
	g.used = true
	if g.suspended || g.queue.first != nil && !ahead {
		return value, nil, Busy
	}
	if len(g.idle) > 0 {
		value, turn = g.pop(), Value
		g.counts.Acquired++
	} else if g.mayBuild() {
		builder, turn = g.reserve(), Build
	}
	if g.minIdle > 0 {
		g.settle()
	}
	return value, builder, turn
}

// Put brings back a value whose lease has ended. It goes to the first waiter, else it is idle, else it has to be destroyed, and Gone told.
func (g *Gate[V]) Put(value V) Fate {
	g.mu.Lock()
	g.counts.Released++
	fate := g.offer(value, false)
	g.mu.Unlock()
	return fate
}

// Retire says that a value that was handed out will be destroyed, and Gone told:
// its lease has ended, or it was unfit and never became one.
func (g *Gate[V]) Retire(unfit bool) {
	g.mu.Lock()
	if unfit {
		g.counts.Unfit++
	} else {
		g.counts.Released++
	}
	g.destroying++
	g.mu.Unlock()
}

// Detach says that a value that was held is live no more, but was not destroyed.
func (g *Gate[V]) Detach() {
	g.mu.Lock()
	g.counts.Released++
	g.counts.Detached++
	g.vacate()
	g.mu.Unlock()
}

// Gone says that a value that was to be destroyed is gone; failed and abandoned say how.
func (g *Gate[V]) Gone(reason uint8, failed, abandoned bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.destroying--
	g.counts.Destroyed[reason]++
	g.ended(failed, abandoned)
	g.vacate()
}

// Stray says that a value that never had a slot is gone: its build was abandoned before.
func (g *Gate[V]) Stray(failed, abandoned bool) {
	g.mu.Lock()
	g.ended(failed, abandoned)
	g.mu.Unlock()
}

func (g *Gate[V]) ended(failed, abandoned bool) {
	if failed {
		g.counts.DestroyFailed++
	}
	if abandoned {
		g.counts.Abandoned++
	}
}

// Expire takes the first idle value, the longest idle ones first, of which expired says true;
// it has to be destroyed, and Gone told. expired is called with the lock held.
func (g *Gate[V]) Expire(expired func(V) bool) (value V, found bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, value := range g.idle {
		if expired(value) {
			g.remove(i)
			g.destroying++
			return value, true
		}
	}
	return value, false
}

// Resize sets the maximum and returns the idle values that have to be destroyed for it, and Gone told.
func (g *Gate[V]) Resize(max int) (excess []V) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.max = max
	if n := min(g.live-g.destroying-g.max, len(g.idle)); n > 0 {
		excess = slices.Clone(g.idle[:n]) // those that were idle for the longest time
		g.idle = slices.Delete(g.idle, 0, n)
		g.destroying += n
	}
	g.settle()
	return excess
}

// Max returns the maximum.
func (g *Gate[V]) Max() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.max
}

// Suspend lets nobody in until Resume.
func (g *Gate[V]) Suspend() {
	g.mu.Lock()
	g.suspended = true
	g.mu.Unlock()
}

// Resume undoes Suspend.
func (g *Gate[V]) Resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.suspended = false
	g.settle()
}

// Close lets nobody in any more and wakes all waiters. It returns the idle values, which have
// to be destroyed, and Gone told, and a channel that is closed when nothing is live any more.
// Closing again returns the same channel.
func (g *Gate[V]) Close() (idle []V, drained <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, g.drained
	}
	g.closed = true
	g.drained = make(chan struct{})
	for _, waiting := range []*list[V]{&g.queue, &g.builders} {
		for waiting.first != nil {
			g.grant(waiting.first, Grant[V]{Turn: Closed})
		}
	}
	idle, g.idle = g.idle, nil
	g.destroying += len(idle)
	if g.live == 0 {
		close(g.drained)
	}
	return idle, g.drained
}

// Snapshot returns how the gate stands.
func (g *Gate[V]) Snapshot(now time.Duration) Snapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Snapshot{
		Counts: g.counts, Max: g.max,
		Idle: len(g.idle), Constructing: g.constructing, Destroying: g.destroying,
		Held:    g.live - len(g.idle) - g.constructing - g.destroying,
		Waiting: g.queue.len, Suspended: g.suspended, Closed: g.closed, Cause: g.cause,
	}
	if g.queue.first != nil {
		s.OldestWait = now - g.queue.first.since
	}
	return s
}

// Below, the lock is held.

// offer gives a live value that is nobody's to the first waiter, else makes it idle.
func (g *Gate[V]) offer(value V, fresh bool) Fate {
	switch {
	case g.closed:
		g.destroying++
		return Refused
	case g.live-g.destroying > g.max:
		g.destroying++
		return Excess
	case g.queue.first == nil || g.suspended:
		g.idle = append(g.idle, value)
	default:
		g.counts.Acquired++
		g.grant(g.queue.first, Grant[V]{Turn: Value, Value: value, Fresh: fresh})
	}
	return Kept
}

// settle gives what there is to those who wait for it, and keeps minIdle.
// It is called after every change that leaves something to give.
func (g *Gate[V]) settle() {
	for g.queue.first != nil && !g.suspended {
		if len(g.idle) > 0 {
			g.counts.Acquired++
			g.grant(g.queue.first, Grant[V]{Turn: Value, Value: g.pop()})
		} else if g.mayBuild() {
			g.grant(g.queue.first, Grant[V]{Turn: Build, Builder: g.reserve()})
		} else {
			break
		}
	}
	for g.used && len(g.idle)+g.filling < g.minIdle && g.mayBuild() {
		g.refill(g.reserve().forNobody(g))
	}
}

func (g *Gate[V]) mayBuild() bool {
	return g.live < g.max && !g.closed && !g.resting && (g.cause == nil || g.probes == 0)
}

// reserve counts a slot to build in.
func (g *Gate[V]) reserve() *Builder[V] {
	g.live++
	g.constructing++
	g.probes++
	return &Builder[V]{rest: g.rests}
}

// vacate says that a slot is free.
func (g *Gate[V]) vacate() {
	g.live--
	g.settle()
	if g.closed && g.live == 0 {
		close(g.drained)
	}
}

func (g *Gate[V]) pop() V {
	var none V
	last := len(g.idle) - 1
	value := g.idle[last]
	g.idle[last] = none
	g.idle = g.idle[:last]
	return value
}

func (g *Gate[V]) remove(i int) { g.idle = slices.Delete(g.idle, i, i+1) }
