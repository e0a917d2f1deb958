package gate

import "time"

// Waiter is a caller that waits: in the queue, or for what is being built for it.
type Waiter[V any] struct {
	Ready chan struct{} // receives once, when there is a grant; then call Leave
	Timer *time.Timer   // for the caller's use, stopped while nobody waits; nil until somebody needed one

	// The following belong to the gate's lock.

	queued     bool // it waited in the queue, since then:
	since      time.Duration
	came       time.Duration // to the pool
	in         *list[V]      // nil: granted
	prev, next *Waiter[V]
	builder    *Builder[V] // what is built for it, if anything
	grant      Grant[V]
}

// Grant is what a waiter was given. The zero Grant is nothing.
type Grant[V any] struct {
	Turn    Turn
	Value   V
	Fresh   bool        // Value was just built
	Builder *Builder[V] // of Turn Build
	Err     error       // of Turn Failed: the build's
}

// Outcome is how a wait ended for the one who waited.
type Outcome uint8

const (
	Granted Outcome = iota // Ready was received from
	TimedOut
	Cancelled
)

// Leave ends a wait, and returns what the waiter was given, even where that came
// at the same moment as the end of its patience. A slot to build in is not taken
// by one who gives up: it goes to the next. The waiter must not be used again.
func (g *Gate[V]) Leave(w *Waiter[V], now time.Duration, outcome Outcome) Grant[V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.queued {
		g.counts.WaitTime += now - w.since
	}
	if outcome != Granted {
		select {
		case <-w.Ready:
		default:
		}
	}
	if w.in != nil {
		w.in.remove(w)
		g.refused(outcome)
	}
	if w.builder != nil {
		w.builder.waiter = nil
	}
	grant := w.grant
	if grant.Turn == Build && outcome != Granted {
		g.refused(outcome)
		g.giveUp(grant.Builder)
		grant = Grant[V]{}
	}
	g.recycle(w)
	return grant
}

// Refused counts a caller that timed out or was cancelled before it waited.
func (g *Gate[V]) Refused(outcome Outcome) {
	g.mu.Lock()
	g.refused(outcome)
	g.mu.Unlock()
}

// Below, the lock is held.

func (g *Gate[V]) refused(outcome Outcome) {
	switch outcome {
	case TimedOut:
		g.counts.TimedOut++
	case Cancelled:
		g.counts.Cancelled++
	}
}

// grant gives the waiter what it waits for.
func (g *Gate[V]) grant(w *Waiter[V], grant Grant[V]) {
	w.in.remove(w)
	if w.builder != nil {
		w.builder.waiter, w.builder = nil, nil
	}
	w.grant = grant
	w.Ready <- struct{}{} // never blocks: it has room for one, and a wait gets one grant
}

// maxSpare bounds what a burst of waiters leaves behind: about 400 KiB.
const maxSpare = 1024

// waiter returns a waiter of the gate's own free list.
// (A package-level sync.Pool would carry channels and timers from one testing/synctest bubble to another.)
func (g *Gate[V]) waiter() *Waiter[V] {
	w := g.free
	if w == nil {
		return &Waiter[V]{Ready: make(chan struct{}, 1)}
	}
	g.free, w.next = w.next, nil
	g.spare--
	return w
}

func (g *Gate[V]) recycle(w *Waiter[V]) {
	if g.spare == maxSpare {
		return
	}
	*w = Waiter[V]{Ready: w.Ready, Timer: w.Timer, next: g.free}
	g.free = w
	g.spare++
}

// list is a queue of waiters, out of which any may step.
type list[V any] struct {
	first, last *Waiter[V]
	len         int
}

func (l *list[V]) push(w *Waiter[V]) {
	w.in, w.prev = l, l.last
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
	l.len++
}

// insert puts w before those who came later.
func (l *list[V]) insert(w *Waiter[V]) {
	next := l.first
	for next != nil && next.came <= w.came {
		next = next.next
	}
	if next == nil {
		l.push(w)
		return
	}
	w.in, w.next, w.prev = l, next, next.prev
	if next.prev == nil {
		l.first = w
	} else {
		next.prev.next = w
	}
	next.prev = w
	l.len++
}

func (l *list[V]) remove(w *Waiter[V]) {
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.in, w.prev, w.next = nil, nil, nil
	l.len--
}
