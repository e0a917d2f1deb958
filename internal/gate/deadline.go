package gate

import (
	"time"
	"weak"
)

// One timer serves all callers that wait: theirs are nearly always in the order in which they came,
// so that to wait costs no timer of one's own.

// boundLocked has the wait of w end at its deadline, if that is not 0.
func (g *Gate[V]) boundLocked(w *Waiter[V], deadline time.Duration) {
	if deadline == 0 {
		return
	}
	w.deadline = deadline
	g.due.InsertBehind(&w.due, func(other *Waiter[V]) bool { return other.deadline <= deadline })
	if g.due.First() == w {
		g.armLocked()
	}
}

// armLocked has expire called when the first deadline is over. A timer that is set to an earlier time is left alone:
// it costs less to look once more than to stop it whenever nobody waits for a moment.
func (g *Gate[V]) armLocked() {
	first := g.due.First()
	if first == nil || g.expireAt != 0 && g.expireAt <= first.deadline {
		return
	}
	g.expireAt = first.deadline
	left := first.deadline - g.config.Now()
	if g.expiry != nil {
		g.expiry.Reset(left)
		return
	}
	gate := weak.Make(g) // a pool that is dropped without Close is not kept for as long as its callers would have waited
	g.expiry = time.AfterFunc(left, func() {
		if g := gate.Value(); g != nil {
			g.expire()
		}
	})
}

// expire ends the waits whose deadline has passed.
func (g *Gate[V]) expire() {
	g.mu.Lock()
	defer g.unlock()
	g.expireAt = 0
	now := g.config.Now()
	for w := g.due.First(); w != nil && w.deadline <= now; w = g.due.First() {
		g.grantLocked(w, Late)
	}
	g.armLocked()
	g.settleLocked() // the next ones may take what those did not want
}

// stopExpiryLocked undoes armLocked.
func (g *Gate[V]) stopExpiryLocked() {
	if g.expireAt != 0 {
		g.expireAt = 0
		g.expiry.Stop()
	}
}
