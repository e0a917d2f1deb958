package gate

import (
	"time"

	"github.com/headpond/headpond/internal/queue"
)

// Waiter is a caller that waits: in the queue, or for what is built for it.
// It ends with Put, together with the value that the caller was given, or else with Recycle.
type Waiter[V any] struct {
	Ready chan struct{} // receives once, when there is a grant, if the caller waits
	Order               // of what is built for it

	// The gate's lock protects the following until there is a grant. From then on they belong to the caller.

	node     queue.Node[*Waiter[V]]
	place    uint64 // in the order of arrival
	since    time.Duration
	due      queue.Node[*Waiter[V]] // in Gate.due, if it has a deadline
	deadline time.Duration
	woken    *Waiter[V]  // the next one of Gate.woken
	enters   bool        // Enter has not returned: it needs no wake-up
	cautious bool        // takes no suspect
	nested   bool        // must not wait in the queue
	agent    bool        // is no caller, and not counted
	builder  *Builder[V] // nil: it waits in the queue; else among the builders
	failure  error       // of its build: it waits only for as long as the backoff lasts
	grant    Grant[V]
}

// Grant is what a waiter was given. The zero Grant is nothing.
type Grant[V any] struct {
	Value    V
	Err      error // of Failed: the build's
	Decision Decision
	Fresh    bool // Value was just built

	Waited           bool          // in the queue, now or before
	Queued, Building time.Duration // how long the waiter waited in the queue, and for its builds
	At               time.Duration // when the wait ended
}

// Place is the caller's, in the order of arrival.
func (w *Waiter[V]) Place() uint64 { return w.place }

// Granted returns what the waiter was given, after Ready was received from, or Leave.
func (w *Waiter[V]) Granted() *Grant[V] { return &w.grant }

// Outcome is why a caller ended its wait by itself.
type Outcome uint8

const (
	TimedOut Outcome = iota
	Cancelled
)

// Leave ends a wait because the caller gives up: Ready was not received from. What the waiter was given, if that came
// at the same moment, is in Granted. What is being built for it goes on, for the next in line.
func (g *Gate[V]) Leave(w *Waiter[V]) {
	g.mu.Lock()
	granted := w.grant.Decision != None
	if !granted {
		w.grant.At = g.endLocked(w)
		g.settleLocked() // the next one may take what this one did not want
	}
	g.unlock()
	if granted {
		<-w.Ready // it is sent as soon as the granter has unlocked: a waiter that is used again must not receive it
	}
}

// Recycle ends a waiter that was given no value, so that another caller can wait on it.
func (g *Gate[V]) Recycle(w *Waiter[V]) {
	g.mu.Lock()
	g.recycleLocked(w)
	g.unlock()
}

// Refuse counts a caller that gave up.
func (g *Gate[V]) Refuse(outcome Outcome) {
	g.mu.Lock()
	defer g.unlock()
	switch outcome {
	case TimedOut:
		g.counts.TimedOut++
	case Cancelled:
		g.counts.Cancelled++
	}
}

// grantLocked ends the wait of w. The caller fills in what it returns; unlock wakes the waiter.
func (g *Gate[V]) grantLocked(w *Waiter[V], decision Decision) *Grant[V] {
	w.grant.At = g.endLocked(w)
	w.grant.Decision = decision
	if w.enters {
		return &w.grant
	}
	if g.woken == nil {
		g.woken = w
	} else {
		g.lastWoken.woken = w
	}
	g.lastWoken = w
	return &w.grant
}

// unlock unlocks, and then wakes those that were given something, in the order in which they were:
// what they do next does not wait for this lock. A wait gets one grant, and a grant is sent once.
func (g *Gate[V]) unlock() {
	w := g.woken
	if w == nil {
		g.mu.Unlock()
		return
	}
	g.woken, g.lastWoken = nil, nil
	g.mu.Unlock()
	for w != nil {
		next := w.woken // w is the caller's as soon as it is woken
		w.woken = nil
		w.Ready <- struct{}{} // never blocks: it has room for one
		w = next
	}
}

// endLocked ends the wait of w, at the time that it returns.
func (g *Gate[V]) endLocked(w *Waiter[V]) (now time.Duration) {
	if w.due.Queued() {
		g.due.Remove(&w.due)
	}
	return g.removeLocked(w)
}

// queueLocked puts w in the queue, at its place.
func (g *Gate[V]) queueLocked(w *Waiter[V], now time.Duration) {
	w.since = now
	if w.agent {
		g.agents.queued++
	}
	if g.queue.Len() == 0 {
		g.crowded.Store(true)
	}
	if w.place == g.places { // it came last
		g.queue.PushBack(&w.node)
	} else {
		g.queue.Insert(&w.node, func(other *Waiter[V]) bool { return other.place > w.place })
	}
}

// countWaitLocked counts the caller of w, once.
func (g *Gate[V]) countWaitLocked(w *Waiter[V]) {
	if !w.grant.Waited {
		w.grant.Waited = true
		if !w.agent {
			g.counts.Waited++
		}
	}
}

// buildForLocked has a value built for w, which is in the queue.
func (g *Gate[V]) buildForLocked(w *Waiter[V]) {
	now := g.removeLocked(w)
	b := &Builder[V]{Order: w.Order, waiter: w}
	w.since, w.builder, w.failure = now, b, nil
	if w.place == g.places {
		g.builders.PushBack(&w.node)
	} else {
		g.builders.Insert(&w.node, func(other *Waiter[V]) bool { return other.place > w.place })
	}
	if w.agent {
		g.agents.building++
	} else {
		g.counts.WaitedForBuild++
	}
	g.startLocked(b)
}

// removeLocked takes w out of the queue, or away from its build, which goes on for the next in line.
func (g *Gate[V]) removeLocked(w *Waiter[V]) (now time.Duration) {
	now = g.config.Now()
	waited := max(0, now-w.since)
	if w.builder == nil {
		g.queue.Remove(&w.node)
		w.grant.Queued += waited
		if w.agent {
			g.agents.queued--
		} else if w.grant.Waited { // otherwise it has only passed through
			g.counts.WaitTime += waited
		}
		if g.queue.Len() == 0 {
			g.crowded.Store(false)
		}
		return now
	}
	g.builders.Remove(&w.node)
	if w.agent {
		g.agents.building--
	} else {
		g.counts.BuildWaitTime += waited
	}
	w.grant.Building += waited
	if w.builder.waiter = nil; !w.builder.over {
		g.filling++
	}
	w.builder = nil
	return now
}

func (g *Gate[V]) waiterLocked() *Waiter[V] {
	w := g.free.Get()
	if w == nil {
		w = &Waiter[V]{Ready: make(chan struct{}, 1)}
		w.node.Element, w.due.Element = w, w
	}
	return w
}

// recycleLocked keeps w for another caller. Enter sets what is not cleared here.
func (g *Gate[V]) recycleLocked(w *Waiter[V]) {
	w.Order, w.failure, w.deadline, w.grant = Order{}, nil, 0, Grant[V]{}
	g.free.Put(&w.node)
}
