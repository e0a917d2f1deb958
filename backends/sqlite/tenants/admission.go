package tenants

import (
	"errors"
	"time"

	"github.com/headpond/headpond/internal/queue"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
)

// admission decides which databases are open, and which calls may use them. It is a state machine without a lock,
// a goroutine or a clock: the Pool calls it with its own lock held, tells it the time, and does what it lists in
// toOpen and toClose.
//
// A place is taken from the moment a database begins to open until it is closed: never are more than maxOpen taken.
// So the maximum is kept by admission, and cleaning up late can't break it.
type admission struct {
	maxOpen    int
	maxOpening int           // databases that open at the same time; as many close at the same time
	reserve    int           // places that are kept free ahead of demand
	maxWaiters int           // 0: no bound
	idleAfter  time.Duration // 0: idle databases stay open

	entries map[string]*entry
	places  int // taken: databases open, opening or closing
	opening int
	closing int
	ended   bool // the pool is closed

	exclusive  int                 // entries that a caller of Exclusive has
	idleList   queue.Queue[*entry] // open, and held by no call: the least recently used first
	openedList queue.Queue[*entry] // open: the one that has been open for the longest first
	queue      queue.Queue[*entry] // wait for room, in the order in which their first waiting calls came
	notWanting int                 // entries of queue that are open still: they wait for room from their closing on
	draining   int                 // entries that drain
	nested     queue.Queue[*waiter]
	failedList queue.Queue[*entry] // entries with a failure: the oldest first

	calls      int                  // that hold a database
	arrivals   queue.Queue[*waiter] // calls that wait: the one that has waited for the longest first
	lastSeq    uint64               // of waiters, holds and drains
	lastID     uint64               // of openings
	drainedSeq uint64               // when the last drain began
	drainedAt  time.Duration        // the same as a time

	toOpen, toClose []*entry // what the Pool is to do next

	counts counts
}

// counts only grow.
type counts struct {
	hits, admitted, opened, openFailed, waited, saturated, nested uint64
	closed                                                        [resource.Reasons]uint64 // by why
}

func (a *admission) free() int { return a.maxOpen - a.places }

// wanting is how many tenants wait for a place.
func (a *admission) wanting() int { return a.queue.Len() - a.notWanting }

// enter admits a call to the database of e if it is open and no call waits for it, and reports whether it did.
// A call inside another one that holds the database is admitted whatever waits, which might be for that one.
// It opens and closes nothing.
func (a *admission) enter(e *entry, h *hold, now time.Duration) bool {
	if e.state != stateOpen || h.kind == kindExclusive {
		return false
	}
	if (e.waiters.Len() > 0 || e.draining || e.retired || a.ended) && !h.within(e) {
		return false
	}
	a.counts.hits++
	a.admit(e, h, now)
	if a.queue.Len() > 0 { // there is an idle database less, on which those that wait may have counted
		a.fill(now)
	}
	return true
}

// entry returns the entry of a tenant, a new one if there is none.
func (a *admission) entry(tenant, path string) *entry {
	e := a.entries[tenant]
	if e == nil {
		e = newEntry(tenant, path)
		a.entries[tenant] = e
	}
	return e
}

// wait lets a call wait for the database of e. The error says why it may not.
func (a *admission) wait(e *entry, h *hold, now time.Duration) (*waiter, error) {
	err := a.mayWait(e, h, now)
	if err != nil {
		a.settle(e, now) // it may be new
		return nil, err
	}
	a.lastSeq++
	w := &waiter{hold: h, entry: e, seq: a.lastSeq, since: now, ready: make(chan struct{})}
	w.node.Element, w.arrived.Element, w.nested.Element = w, w, w
	e.waiters.PushBack(&w.node)
	a.arrivals.PushBack(&w.arrived)
	if h.outer != nil {
		a.nested.PushBack(&w.nested)
	}
	a.counts.waited++
	a.step(e, now)
	return w, nil
}

func (a *admission) mayWait(e *entry, h *hold, now time.Duration) error {
	switch {
	case a.ended:
		return pool.ErrClosed
	case h.kind != kindExclusive && e.state == stateClosed && e.failure.err != nil && now < e.failure.until:
		return e.failure.again(now)
	case a.maxWaiters > 0 && a.arrivals.Len() >= a.maxWaiters:
		a.counts.saturated++
		return pool.ErrSaturated
	}
	return nil
}

// abandon ends a wait, and reports whether it was not over.
func (a *admission) abandon(w *waiter, now time.Duration) bool {
	if w.over {
		return false
	}
	a.resolve(w, errAbandoned)
	a.step(w.entry, now)
	return true
}

var errAbandoned = errors.New("its caller gave up")

// leave ends a call's hold.
func (a *admission) leave(h *hold, now time.Duration) {
	e := h.entry
	first := e.holds.First() == h
	e.holds.Remove(&h.node)
	a.calls--
	if h.kind == kindExclusive {
		a.exclusive--
		e.state, e.path = stateClosed, ""
		a.forgive(e)
		a.step(e, now)
		return
	}
	e.usedAt = now
	if e.holds.Len() == 0 {
		a.rest(e, now)
	} else if first {
		a.relieve(e, now)
	} else {
		return
	}
	a.step(e, now)
}

// rest puts an open database that no call holds among the idle ones.
func (a *admission) rest(e *entry, now time.Duration) {
	e.idleAt = now
	if e.scanned || e.retired {
		a.idleList.PushFront(&e.idle)
	} else {
		a.idleList.PushBack(&e.idle)
	}
}

// unidle takes e out of the idle databases, if it is one.
func (a *admission) unidle(e *entry) {
	if e.idle.Queued() {
		a.idleList.Remove(&e.idle)
	}
}

// retire lets no new call use the database of that opening, and closes it when no call holds it.
func (a *admission) retire(e *entry, id uint64, now time.Duration) {
	if e.state != stateOpen || e.id != id || e.retired {
		return
	}
	e.retired = true
	if e.idle.Queued() {
		a.idleList.Remove(&e.idle)
		a.idleList.PushFront(&e.idle)
	}
	a.step(e, now)
}

// opened says that the database of e is open.
func (a *admission) opened(e *entry, db database, now time.Duration) {
	a.opening--
	a.counts.opened++
	e.state, e.db = stateOpen, db
	e.uses = 0
	e.openedAt, e.usedAt = now, now
	a.forgive(e)
	a.openedList.PushBack(&e.opened)
	a.rest(e, now)
	a.step(e, now)
}

// openFailed says that the database of e could not be opened: its place is free at once.
// It fails the calls that wait for it; those behind a call of Exclusive, which may mend it, go on waiting.
func (a *admission) openFailed(e *entry, err error, now time.Duration) {
	a.opening--
	a.places--
	a.counts.openFailed++
	e.state, e.path = stateClosed, ""
	a.blame(e, err, now)
	for w := e.waiters.First(); w != nil && w.hold.kind != kindExclusive; w = e.waiters.First() {
		a.resolve(w, &openFailure{err: err})
	}
	a.step(e, now)
}

// closed says that the database of e is closed: its place is free.
func (a *admission) closed(e *entry, now time.Duration) {
	a.closing--
	a.places--
	a.counts.closed[e.reason]++
	e.state, e.db, e.path = stateClosed, nil, ""
	e.retired = false
	a.step(e, now)
}

// end refuses every call from now on, and closes each database as soon as no call holds it.
func (a *admission) end(now time.Duration) {
	a.ended = true
	for _, e := range a.entries {
		for w := e.waiters.First(); w != nil; w = e.waiters.First() {
			a.resolve(w, pool.ErrClosed)
		}
		a.settle(e, now)
	}
	a.fill(now)
}

// over reports whether the pool is closed and nothing is left of it.
func (a *admission) over() bool { return a.ended && a.places == 0 && a.exclusive == 0 }

// step brings e on after it has changed, then the others.
func (a *admission) step(e *entry, now time.Duration) {
	a.settle(e, now)
	a.fill(now)
}

// settle gives those who wait for e what its state allows.
func (a *admission) settle(e *entry, now time.Duration) {
	w := e.waiters.First()
	switch e.state {
	case stateOpen:
		for ; w != nil && w.hold.kind != kindExclusive && !e.draining && !e.retired; w = e.waiters.First() {
			a.admit(e, w.hold, now)
			a.resolve(w, nil)
		}
		if w != nil && w.hold.kind == kindExclusive && e.holds.Len() == 0 {
			a.beginClose(e, resource.Evicted)
		}
	case stateClosed:
		if w != nil && w.hold.kind == kindExclusive {
			e.state = stateExclusive
			a.exclusive++
			a.admit(e, w.hold, now)
			a.resolve(w, nil)
		}
	}
	a.requeue(e)
	if e.state == stateClosed && e.waiters.Len() == 0 && e.failure.err == nil {
		delete(a.entries, e.name)
	}
}

// admit gives a call its hold on e.
func (a *admission) admit(e *entry, h *hold, now time.Duration) {
	a.unidle(e)
	a.lastSeq++
	h.entry, h.db, h.id, h.opened, h.since, h.seq = e, e.db, e.id, e.openedAt, now, a.lastSeq
	h.node.Element = h
	e.holds.PushBack(&h.node)
	a.calls++
	a.counts.admitted++
	e.usedAt = now
	e.uses++
	switch h.kind {
	case kindUse:
		e.scanned = false
	case kindExclusive:
		h.db, h.id = nil, 0
	}
}

// resolve ends a wait: with the hold that the call has been given, or with err.
func (a *admission) resolve(w *waiter, err error) {
	w.entry.waiters.Remove(&w.node)
	a.arrivals.Remove(&w.arrived)
	if w.nested.Queued() {
		a.nested.Remove(&w.nested)
	}
	w.err, w.over = err, true
	close(w.ready)
}

// The wait after an open that failed is firstPause, then twice as long after each further one, longestPause at most.
// As many failures are remembered as mostFailures: a caller that makes names up must not fill the memory.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 10 * time.Second
	mostFailures = 1000
)

// blame remembers that an open of e failed.
func (a *admission) blame(e *entry, err error, now time.Duration) {
	tries := 1
	if !e.failure.forgotten(now) {
		tries += e.failure.tries
	}
	pause := min(firstPause<<min(tries-1, 20), longestPause)
	e.failure = failure{err: err, tries: tries, until: now + pause}
	if e.failed.Queued() {
		a.failedList.Remove(&e.failed)
	}
	a.failedList.PushBack(&e.failed)
	a.forget(now)
}

// forget forgets failures that are old, or too many.
func (a *admission) forget(now time.Duration) {
	for oldest := range a.failedList.All {
		if a.failedList.Len() <= mostFailures && !oldest.failure.forgotten(now) {
			break
		}
		a.forgive(oldest)
		a.settle(oldest, now)
	}
}

// forgive forgets what failed.
func (a *admission) forgive(e *entry) {
	if e.failed.Queued() {
		a.failedList.Remove(&e.failed)
	}
	e.failure = failure{}
}
