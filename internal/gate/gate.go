// Package gate decides whose turn it is: who gets an idle value, who may build one,
// and who waits, first come, first served.
//
// A slot is a live value, not a permit. A value counts as live
// from the decision to build it until its destructor has returned,
// so that the number of live values never exceeds the maximum.
// One mutex holds everything, so that every question has one exact answer.
// A caller that waits takes it once, to join the queue: what it was given is its own when it is woken,
// and it is woken after the granter has unlocked, so that the two do not fight over the mutex.
//
// (With permits here and the list of idle values elsewhere, an abandoned build, a refill and a value
// that is being destroyed belonged to neither: the bound broke in 144 of 11,130 cycles.)
package gate

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/internal/queue"
	"github.com/headpond/headpond/resource"
)

// Decision is what the gate says to a caller that wants a value.
type Decision uint8

const (
	None      Decision = iota // nothing was given: no idle value is the caller's, or it left
	Value                     // take the value that comes with the decision
	Wait                      // wait on the waiter that comes with the decision
	Busy                      // refused: the caller would have to wait in the queue, and must not
	Saturated                 // refused: the queue is full
	Closed                    // refused: the gate is closed
	Failed                    // refused: what was built for the caller failed
	Late                      // refused: its deadline has passed
)

// Disposition is what becomes of a value that is brought to the gate.
type Disposition uint8

const (
	Kept    Disposition = iota // it is idle, or was handed to a waiter
	Excess                     // to be destroyed: more than the maximum are live
	Surplus                    // to be destroyed: as many as Config.MaxIdle are idle
	Stale                      // to be destroyed: Config.Stale says so
	Bad                        // to be destroyed: its check has failed
	Refused                    // to be destroyed: the gate is closed
)

// Config is what New needs. Its functions are called with the gate's lock held, and must not call the gate.
// They are not optional, except the last three, which only a gate needs whose values are checked.
type Config[V any] struct {
	Max             int // live values
	MinIdle         int // kept ready
	MaxIdle         int // what is brought back beyond it is not kept; 0: no bound
	MaxWaiters      int // in the queue; 0: no bound
	MaxConstructing int // builds at the same time; 0: no bound

	// The backoff after a failed build doubles from the one to the other.
	ShortestBackoff, LongestBackoff time.Duration

	// Admits says that a value that was handed out becomes a lease only when Admitted is called;
	// otherwise it is one from the moment at which it was handed out.
	Admits bool

	// Now is the time since any one instant.
	Now func() time.Duration

	// Stale reports whether a value must not be handed out any more.
	Stale func(V) bool

	// Start has to bring the builder to Built or FailedToBuild later, from another goroutine.
	Start func(*Builder[V])

	// Suspect reports whether a value may have died since it was last known to be good.
	Suspect func(V) bool

	// Check has to bring the value to Checked later, from another goroutine.
	Check func(V)

	// IdleSince is when a value became idle.
	IdleSince func(V) time.Duration
}

// Gate lets callers in, one for each value. Make one with New.
type Gate[V any] struct {
	config   Config[V]
	admitted atomic.Uint64 // calls of Admitted
	crowded  atomic.Bool   // callers wait in the queue

	mu sync.Mutex // protects all of the following; unlock unlocks it

	// live = len(idle) + held + checking + constructing + destroying.
	// live <= max, except while values drain after a Resize.
	max, live, checking, constructing, destroying int
	idle                                          []V // a stack: the last one released is the next one taken

	filling int  // builds under way that no caller waits for: what is built will be idle
	used    bool // a caller has come: MinIdle counts from here on

	// Callers that wait, each in one of two queues, both in the order of their places.
	// A value goes to the first of all. A slot goes to the first that has none.
	places   uint64                         // the last one given
	queue    queue.Queue[*Waiter[V]]        // without a slot
	builders queue.Queue[*Waiter[V]]        // for each of which a value is being built
	agents   struct{ queued, building int } // in the two queues: see Request.Agent
	free     queue.Free[*Waiter[V]]
	due      queue.Queue[*Waiter[V]] // those of both that have a deadline, the earliest first
	expiry   *time.Timer             // calls expire; nil until a caller with a deadline waits
	expireAt time.Duration           // when it will; 0: it will not

	woken, lastWoken *Waiter[V] // those that were given something since the lock was taken
	warmups          queue.Queue[*Warmup[V]]

	suspended, closed bool
	drained           chan struct{} // made by Close, closed when nothing is live any more

	breaker    breaker     // says whether building may begin
	timer      *time.Timer // calls wake; nil until the first failure
	wakeAt     time.Duration
	willWake   bool // at wakeAt
	checkWidth int  // how many suspects are checked at the same time

	counts Counts
}

// New returns a gate.
func New[V any](config Config[V]) *Gate[V] {
	return &Gate[V]{config: config, max: config.Max, checkWidth: 1}
}

// Admitted says that a value that was handed out has become a lease, if Config.Admits.
func (g *Gate[V]) Admitted() { g.admitted.Add(1) }

// Put brings back a value whose lease has ended. It goes to the first waiter, or is idle;
// with any Disposition but Kept it has to be destroyed, and Gone told.
// spent is the waiter on which its caller waited for it, if it did: another one will.
func (g *Gate[V]) Put(value V, spent *Waiter[V]) Disposition {
	g.mu.Lock()
	if spent != nil {
		g.recycleLocked(spent)
	}
	g.counts.Released++
	disposition := g.offerLocked(value, false)
	g.unlock()
	return disposition
}

// PutUncounted is Put of a value that an agent had.
func (g *Gate[V]) PutUncounted(value V, spent *Waiter[V]) Disposition {
	g.mu.Lock()
	defer g.unlock()
	if spent != nil {
		g.recycleLocked(spent)
	}
	return g.offerLocked(value, false)
}

// GiveBack is Put of a value that was handed out and never became a lease, because its caller has gone.
func (g *Gate[V]) GiveBack(value V) Disposition {
	g.mu.Lock()
	defer g.unlock()
	g.counts.Rejected++
	return g.offerLocked(value, false)
}

// Retire says that a value whose lease has ended will be destroyed, and Gone told.
func (g *Gate[V]) Retire() {
	g.mu.Lock()
	g.counts.Released++
	g.destroying++
	g.unlock()
}

// RetireUncounted is Retire of a value that an agent had.
func (g *Gate[V]) RetireUncounted() {
	g.mu.Lock()
	g.destroying++
	g.mu.Unlock()
}

// Reject says that a value that was handed out never became a lease, and will be destroyed, and Gone told.
func (g *Gate[V]) Reject() {
	g.mu.Lock()
	g.counts.Rejected++
	g.destroying++
	g.unlock()
}

// Detach says that a value that was held is no longer live, but was not destroyed.
func (g *Gate[V]) Detach() {
	g.mu.Lock()
	g.counts.Released++
	g.counts.Detached++
	g.vacateLocked()
	g.unlock()
}

// Gone says that a value that was to be destroyed is gone; failed and abandoned say how.
func (g *Gate[V]) Gone(reason resource.Reason, failed, abandoned bool) {
	g.mu.Lock()
	defer g.unlock()
	g.destroying--
	g.counts.Destroyed[reason]++
	g.countEndLocked(failed, abandoned)
	g.vacateLocked()
}

// Stray says that a value that never had a slot is gone: its build was abandoned before.
func (g *Gate[V]) Stray(failed, abandoned bool) {
	g.mu.Lock()
	g.countEndLocked(failed, abandoned)
	g.unlock()
}

func (g *Gate[V]) countEndLocked(failed, abandoned bool) {
	if failed {
		g.counts.DestroyFailed++
	}
	if abandoned {
		g.counts.Abandoned++
	}
}

// Evict calls begin, after which Config.Stale says true of every value that is live now,
// and returns the idle values, which have to be destroyed, and Gone told. begin is called with the lock held.
func (g *Gate[V]) Evict(begin func()) (stale []V) {
	g.mu.Lock()
	defer g.unlock()
	begin()
	stale = g.clearLocked()
	g.settleLocked() // for MinIdle
	return stale
}

// Resize sets the maximum and returns the idle values that have to be destroyed for it, and Gone told.
func (g *Gate[V]) Resize(max int) (excess []V) {
	g.mu.Lock()
	defer g.unlock()
	g.max = max
	if n := min(g.live-g.destroying-g.max, len(g.idle)); n > 0 {
		excess = slices.Clone(g.idle[:n]) // those that were idle for the longest time
		g.idle = slices.Delete(g.idle, 0, n)
		g.destroying += n
	}
	g.settleLocked()
	return excess
}

// Max returns the maximum.
func (g *Gate[V]) Max() int {
	g.mu.Lock()
	defer g.unlock()
	return g.max
}

// Suspend lets no caller in until Resume.
func (g *Gate[V]) Suspend() {
	g.mu.Lock()
	g.suspended = true
	g.unlock()
}

// Resume undoes Suspend.
func (g *Gate[V]) Resume() {
	g.mu.Lock()
	defer g.unlock()
	g.suspended = false
	g.settleLocked()
}

// Close lets no caller in any more and wakes all waiters. It returns the idle values, which have
// to be destroyed, and Gone told, and a channel that is closed when nothing is live any more.
// Closing again returns the same channel.
func (g *Gate[V]) Close() (idle []V, drained <-chan struct{}) {
	g.mu.Lock()
	defer g.unlock()
	if g.closed {
		return nil, g.drained
	}
	g.closed = true
	g.drained = make(chan struct{})
	for w := g.firstLocked(); w != nil; w = g.firstLocked() {
		g.grantLocked(w, Closed)
	}
	for g.warmups.Len() > 0 {
		g.endWarmupLocked(g.warmups.First(), Closed, nil)
	}
	g.sleepLocked()
	g.stopExpiryLocked()
	if g.live == 0 {
		close(g.drained)
	}
	return g.clearLocked(), g.drained
}
