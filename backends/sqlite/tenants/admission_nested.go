package tenants

import (
	"time"

	"github.com/headpond/headpond/pool"
)

// refuseNested ends the wait of a call that might wait for itself, and reports whether there was one.
// A call inside another one may wait for what the pool does by itself, which ends: an open, a close, the eviction
// of an idle database. It must not wait for another call to end: that one may be its own, or wait for it in turn.
func (a *admission) refuseNested(now time.Duration) (refused bool) {
	for w := range a.nested.All {
		if !a.certain(w) {
			a.counts.nested++
			a.resolve(w, pool.ErrNested)
			a.settle(w.entry, now)
			return true // the list may have changed
		}
	}
	return false
}

// certain reports whether w gets its hold without the end of another call's.
func (a *admission) certain(w *waiter) bool {
	e := w.entry
	for outer := w.hold.outer; outer != nil; outer = outer.outer {
		if outer.kind == kindOpening && !outer.over.Load() {
			return false // it has a turn to open, for which w may wait
		}
	}
	for ahead := range e.waiters.All {
		if ahead == w {
			break
		}
		if ahead.hold.kind == kindExclusive || w.hold.kind == kindExclusive {
			return false // the one ahead holds the database before w can have it
		}
	}
	switch e.state {
	case stateOpen, stateExclusive:
		return false // else it would have been admitted
	case stateOpening:
		return true
	case stateClosing:
		if w.hold.kind == kindExclusive {
			return true
		}
	}
	ahead := 0
	for other := range a.queue.All {
		if other == e {
			break
		}
		if other.state != stateOpen {
			ahead++
		}
	}
	return ahead < a.free()+a.closing+a.idleList.Len()
}
