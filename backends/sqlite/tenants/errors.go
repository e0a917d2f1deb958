package tenants

import (
	"errors"
	"fmt"
	"time"

	"github.com/headpond/headpond/pool"
)

// Error is the error of every method of a [Pool] that returns one, as an *Error: of which pool and tenant,
// doing what, how the pool stood then, and why. The error of a function given to a method is returned as it is.
//
// Err wraps [pool.ErrClosed], [pool.ErrAcquireTimeout], [pool.ErrSaturated], [pool.ErrNested], [ErrSameFile],
// the error of a ctx that has ended, or what opening or closing the database returned, such as a *sqlite.OpenError.
type Error struct {
	Pool   string // Options.Name
	Tenant string // "" if no single one failed
	Op     string // "acquire", "path", "open", "exclusive", "migrate", "backup" or "close"
	Stats  Stats  // of the pool, when it failed
	Err    error  // why

	Waited  time.Duration // how long the call had waited; 0: not at all
	Longest *Holding      // the call that had held a database for the longest; only after a wait that ended without result
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Error says what happened, how the pool stood, and what to do about it.
func (e *Error) Error() string {
	text := fmt.Sprintf("headpond/tenants %q: ", e.Pool)
	if e.Tenant != "" {
		text += fmt.Sprintf("%q: ", e.Tenant)
	}
	text += e.Op + ": "
	if !errors.Is(e.Err, pool.ErrAcquireTimeout) && !errors.Is(e.Err, pool.ErrSaturated) && e.Longest == nil {
		return text + e.Err.Error()
	}
	if e.Waited > 0 {
		text += fmt.Sprintf("after %v: ", round(e.Waited))
	}
	text += fmt.Sprintf("%v (%d of %d open, %d of them held, %d opening, %d closing, %d calls waiting",
		e.Err, e.Stats.Open, e.Stats.MaxOpen, e.Stats.Held, e.Stats.Opening, e.Stats.Closing, e.Stats.Waiting)
	if e.Longest != nil {
		text += fmt.Sprintf(", longest held: %v", *e.Longest)
	}
	text += ")"
	if e.lacksPlaces() {
		text += ": end calls sooner or raise MaxOpen"
	}
	return text
}

// lacksPlaces reports whether more places might have helped: all were taken, and it did not wait for its own tenant alone.
func (e *Error) lacksPlaces() bool {
	var turn *turnError
	switch {
	case e.Stats.Held+e.Stats.Opening+e.Stats.Closing < e.Stats.MaxOpen, e.Op == "close", errors.As(e.Err, &turn):
		return false
	case e.Longest != nil && e.Longest.Tenant == e.Tenant:
		return e.Op != "exclusive" && !e.Longest.Exclusive // it may drain, because another tenant needs a place
	}
	return true
}

// Holding is a call that holds a database.
type Holding struct {
	Tenant    string
	ID        uint64        // of the opening
	Exclusive bool          // it is a call of Exclusive
	Since     time.Time     // when it was admitted
	Held      time.Duration // how long ago that was
}

// String returns the tenant, and how long it has been held.
func (h Holding) String() string {
	by := ""
	if h.Exclusive {
		by = " by Exclusive"
	}
	return fmt.Sprintf("%q for %v%s", h.Tenant, round(h.Held), by)
}

// round leaves three digits or so.
func round(d time.Duration) time.Duration {
	for unit := time.Second; unit > 1; unit /= 1000 {
		if d >= unit {
			return d.Round(unit / 1000)
		}
	}
	return d
}
