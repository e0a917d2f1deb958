package tenants

import (
	"time"

	"github.com/headpond/headpond/resource"
)

// fill gives free places to those who wait for one, and sees to it that more become free.
func (a *admission) fill(now time.Duration) {
	for {
		a.grant()
		a.evict(now)
		if !a.refuseNested(now) {
			break
		}
	}
	a.drain(now)
}

// grant begins to open the databases that are first in the queue, as far as there are places.
// It passes over those that are closing: the place that they wait for is their own, or comes later.
func (a *admission) grant() {
	for e := range a.queue.All {
		if a.opening >= a.maxOpening || a.free() == 0 {
			return
		}
		if e.state == stateClosed {
			a.beginOpen(e)
		}
	}
}

func (a *admission) beginOpen(e *entry) {
	a.queue.Remove(&e.queued)
	a.places++
	a.opening++
	a.lastID++
	e.state, e.id = stateOpening, a.lastID
	e.scanned = e.waiters.First().hold.kind == kindScan
	a.toOpen = append(a.toOpen, e)
}

func (a *admission) beginClose(e *entry, reason resource.Reason) {
	a.unidle(e)
	a.openedList.Remove(&e.opened)
	if e.draining {
		e.draining = false
		a.draining--
	}
	if e.queued.Queued() {
		a.notWanting--
	}
	a.closing++
	e.state, e.reason = stateClosing, reason
	a.toClose = append(a.toClose, e)
	a.requeue(e)
}

// evict closes idle databases: all of a closed pool, those that only a scan used, those that were idle for too long,
// and the least recently used ones until as many places are free, or will be, as tenants wait for one and reserve asks for.
// As many close at the same time as may open.
func (a *admission) evict(now time.Duration) {
	target := max(a.reserve, min(a.wanting(), a.maxOpening))
	for a.closing < a.maxOpening && a.idleList.Len() > 0 {
		e := a.idleList.First()
		switch {
		case a.ended:
			a.beginClose(e, resource.Closed)
		case a.idleAfter > 0 && now-e.idleAt >= a.idleAfter:
			a.beginClose(e, resource.MaxIdleTime)
		case e.scanned, e.retired, a.free()+a.closing < target:
			a.beginClose(e, resource.Evicted)
		default:
			return
		}
	}
}

// nextExpiry returns when the database that has been idle for the longest reaches idleAfter.
// There is none while no further database may close: the end of the next close evicts what is due.
func (a *admission) nextExpiry() (at time.Duration, exists bool) {
	if a.idleAfter <= 0 || a.idleList.Len() == 0 || a.closing >= a.maxOpening || a.ended {
		return 0, false
	}
	return a.idleList.First().idleAt + a.idleAfter, true
}

// A call that waits must not starve while those that use the open databases never pause. So while no place is free,
// or will be by itself, the database that has been open for the longest drains: it admits no new calls, which queue
// behind the tenant that waits, and is evicted when its last call has ended. One drains for each tenant that waits,
// maxOpening at most.
func (a *admission) drain(now time.Duration) {
	need := min(a.wanting(), a.maxOpening) - a.free() - a.closing
	if need <= 0 {
		a.stopDraining(now)
		return
	}
	for e := range a.openedList.All {
		if a.draining >= need {
			return
		}
		if !e.draining && !e.retired {
			a.beginDrain(e, now)
		}
	}
}

func (a *admission) beginDrain(e *entry, now time.Duration) {
	e.draining = true
	a.draining++
	a.drainedSeq, a.drainedAt = a.lastSeq, now
}

// stopDraining admits the calls that wait for databases which drain: their places are not needed any more.
func (a *admission) stopDraining(now time.Duration) {
	if a.draining == 0 {
		return
	}
	for e := range a.openedList.All {
		if e.draining {
			e.draining = false
			a.draining--
			a.settle(e, now)
		}
	}
}

// drainPatience is how long those that wait wait for a database that drains, before another one drains as well.
const drainPatience = 100 * time.Millisecond

// relieve drains a further database if the one that drains is held by a call that lasts: e is one that would have
// become idle meanwhile, because every call that holds it is younger than the last drain.
// It is called when the oldest call of e has ended.
func (a *admission) relieve(e *entry, now time.Duration) {
	if a.draining > 0 && e.state == stateOpen && !e.draining && !e.retired && e.waiters.Len() == 0 &&
		e.holds.First().seq > a.drainedSeq && now-a.drainedAt >= drainPatience {
		a.beginDrain(e, now)
	}
}

// requeue gives e the place in the queue that its first waiting call has by its arrival,
// or takes it out if that one does not wait for room.
func (a *admission) requeue(e *entry) {
	w := e.waiters.First()
	waits := w != nil && w.hold.kind != kindExclusive &&
		(e.state == stateClosed || e.state == stateClosing || e.state == stateOpen && (e.draining || e.retired))
	if !waits {
		if e.queued.Queued() {
			a.unqueue(e)
		}
		return
	}
	if e.queued.Queued() {
		if e.place == w.seq {
			return
		}
		a.unqueue(e) // its first call gave up: calls for other tenants may have come before the next one
	}
	e.place = w.seq
	if last := a.queue.Last(); last == nil || last.place < e.place {
		a.queue.PushBack(&e.queued)
	} else {
		a.queue.Insert(&e.queued, func(other *entry) bool { return other.place > e.place })
	}
	if e.state == stateOpen {
		a.notWanting++
	}
}

func (a *admission) unqueue(e *entry) {
	a.queue.Remove(&e.queued)
	if e.state == stateOpen {
		a.notWanting--
	}
}
