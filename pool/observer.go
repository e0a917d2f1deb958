package pool

import (
	"context"
	"strconv"
	"time"

	"github.com/headpond/headpond/resource"
)

// An Observer is told what a pool does.
// New calls it once, with the pool; the Tap that it returns keeps what it needs of that pool.
type Observer func(pool Inspector) Tap

// Tap is what an Observer wants to hear. Any field may be nil.
//
// Its functions are called from the goroutines that use the pool, many at once.
// They must not block, and must not call the pool. A panic in one of them is swallowed.
type Tap struct {
	// Enabled is asked once for a lease, at acquire, with the ctx of Acquire.
	// Where it returns false, nothing else is called for that lease, but Leak.
	// A nil Enabled is always true.
	Enabled func(ctx context.Context) bool

	// Begin is called before an operation, with event.Op and event.ID set
	// (but the ID at Acquire), and event.Reason at Destroy.
	// The ctx that it returns is the one that End, and the hooks inside, receive.
	// Release's Begin gets the ctx that Acquire's Begin returned, kept on the lease,
	// and Construct's gets one that carries that ctx's values.
	// What the pool does on its own account (filling, retiring idle values, every Destroy)
	// begins with a background ctx.
	Begin func(ctx context.Context, event Event) context.Context

	// End is called after an operation, with the ctx that Begin returned.
	End func(ctx context.Context, event Event)

	// Leak is called once for a lease that has been held for Options.LeakAfter, by a goroutine of the pool,
	// and once more when that lease comes back, by the one that ends it. Enabled has no say in it.
	Leak func(leak Leak)

	// Detach is called once, by Close: the pool has nothing more to tell
	// but of leases that are still out.
	Detach func()
}

// Inspector is what an observer or a page may ask of a pool, of whatever values; every *Pool[T] is one.
// Its methods are those of Pool, and may be called from any goroutine.
type Inspector interface {
	Name() string
	Options() Options
	Stats() Stats
	Holders() []Holder
	Figures() []Figure
}

// Figure is a figure of a backend's own, such as the size of a file.
type Figure struct {
	Name  string // in the form of a metric's: "headpond.sqlite.wal.size"
	Unit  string // in the form of a metric's: "By", "{batch}", "s"
	Value float64
}

// Op is something that a pool does.
type Op uint8

const (
	Acquire   Op = iota + 1 // from the call of Acquire to its return, waiting and building included
	Construct               // the hook
	Check                   // the hook
	Prepare                 // the hook
	Release                 // the end of a lease: Release, Discard or Detach
	Reset                   // the hook
	Destroy                 // the hook
	Warm                    // only in an Error
	Resize                  // only in an Error
	Close                   // only in an Error
)

var ops = [...]string{"none", "acquire", "construct", "check", "prepare", "release", "reset", "destroy", "warm", "resize", "close"}

// String returns o in lower case.
func (o Op) String() string {
	if int(o) < len(ops) {
		return ops[o]
	}
	return "Op(" + strconv.Itoa(int(o)) + ")"
}

// Event is one operation of a pool: what is known of it, as far as it applies.
type Event struct {
	Op        Op
	ID        uint64          // of the value, unique in its pool, from 1; 0: there is none
	Took      time.Duration   // End: how long the operation took
	Held      time.Duration   // Release, at its End: how long the lease was held
	Source    Source          // Acquire, when it succeeded: where the value came from
	Outcome   Outcome         // Release, at its End: what became of the value
	Discarded int             // Acquire: how many values were retired before one was right
	Batch     int             // SQLite's Batch: how many works shared the transaction
	Reason    resource.Reason // Destroy, and the End of a Release that destroys: why
	Err       error           // End: what the caller got, or what the hook returned
}

// Source is where an acquired value came from.
type Source uint8

const (
	Idle    Source = iota + 1 // it lay ready
	Created                   // it was built for this acquire, or while this one waited
	Handoff                   // it was handed over while this one waited
)

var sources = [...]string{"", "idle", "created", "handoff"}

// String returns s in lower case, as in the attribute of a span.
func (s Source) String() string { return sources[min(int(s), len(sources)-1)] }

// Outcome is what became of a value at the end of a lease.
type Outcome uint8

const (
	Returned  Outcome = iota + 1 // to the pool
	Destroyed                    // for Event.Reason
	Detached                     // the caller owns it now
)

var outcomes = [...]string{"", "returned", "destroyed", "detached"}

// String returns o in lower case, as in the attribute of a span.
func (o Outcome) String() string { return outcomes[min(int(o), len(outcomes)-1)] }

// Holder is a lease that has not ended: who holds what since when.
type Holder struct {
	ID    uint64        // of the value
	Since time.Time     // when its value was handed out; the Check and Prepare hooks came later
	Held  time.Duration // how long ago that was
	Stack Stack         // where it was acquired; empty without Options.LeakAfter
}

// Leak is a lease that was held longer than Options.LeakAfter.
type Leak struct {
	Holder
	Returned bool // it has come back: this is the second and last report of it
}
