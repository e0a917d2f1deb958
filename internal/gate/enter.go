package gate

import "time"

// Crowded reports whether callers wait in the queue. It takes no lock, and may be out of date:
// a caller that has just come then has to Enter, and need not Take.
func (g *Gate[V]) Crowded() bool { return g.crowded.Load() }

// Take returns an idle value and the caller's place in the order of arrival,
// or None if there is none for a caller that has just come, or Closed. It never waits: see Enter.
func (g *Gate[V]) Take() (value V, place uint64, decision Decision) {
	g.mu.Lock()
	if len(g.idle) == 0 || g.suspended || g.closed || g.builders.Len() > 0 || g.queue.Len() > 0 {
		if g.closed {
			decision = Closed
		}
		g.mu.Unlock() // nobody was given anything: there is nobody to wake
		return value, 0, decision
	}
	g.used = true
	g.places++
	place = g.places
	value = g.popLocked()
	if g.config.MinIdle > 0 {
		g.settleLocked()
	}
	g.mu.Unlock()
	return value, place, Value
}

// TakeIdle is Take for a caller that goes no further. A cautious one takes no suspect.
func (g *Gate[V]) TakeIdle(cautious bool) (value V, decision Decision) {
	g.mu.Lock()
	defer g.unlock()
	if g.closed {
		return value, Closed
	}
	g.used = true
	if !g.suspended && g.firstLocked() == nil {
		if i := g.idleLocked(cautious); i >= 0 {
			value, decision = g.takeLocked(i), Value
		}
	}
	if g.config.MinIdle > 0 {
		g.settleLocked()
	}
	return value, decision
}

// Request is what a caller asks for.
type Request struct {
	Place    uint64 // what Take or Enter returned to this caller before; 0: it has just come
	Waited   bool   // it was in the queue before
	Cautious bool   // it takes no suspect
	Nested   bool   // it must not wait in the queue
	Agent    bool   // it is no caller: its wait is not counted, and MaxWaiters does not bound it
	Order    Order

	Now      time.Duration // when the caller came
	Deadline time.Duration // when it is given TimedOut if it waits still; 0: never
}

// Enter gives the caller an idle value, or has one built for it, or puts it in the queue.
// It returns a waiter. If the caller has to wait, that is on w.Ready; otherwise w.Granted is a value or a refusal already.
// A caller whose value was rejected keeps its place, and is never refused as Saturated.
func (g *Gate[V]) Enter(r *Request) (w *Waiter[V], waits bool) {
	g.mu.Lock()
	w = g.waiterLocked()
	w.place, w.grant.Waited, w.cautious, w.nested, w.agent, w.Order = r.Place, r.Waited, r.Cautious, r.Nested, r.Agent, r.Order
	w.grant.Decision = g.enterLocked(w, r)
	waits = w.grant.Decision == None
	g.unlock()
	return w, waits
}

// enterLocked returns None if the caller of w has to wait.
func (g *Gate[V]) enterLocked(w *Waiter[V], r *Request) (decision Decision) {
	if g.closed {
		return Closed
	}
	g.used = true
	if w.place == 0 {
		g.places++
		w.place = g.places
	}
	w.enters = true
	g.queueLocked(w, r.Now)
	g.settleLocked()
	w.enters = false
	switch {
	case w.grant.Decision != None:
		return w.grant.Decision
	case w.builder != nil:
	case r.Nested:
		decision = Busy
	case g.config.MaxWaiters > 0 && g.queue.Len()-g.agents.queued > g.config.MaxWaiters && r.Place == 0 && !r.Agent:
		decision = Saturated
		g.counts.Saturated++
	default:
		g.countWaitLocked(w)
	}
	if decision == None {
		g.boundLocked(w, r.Deadline)
	} else {
		g.removeLocked(w)
	}
	return decision
}
