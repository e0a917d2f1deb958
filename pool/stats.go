package pool

import (
	"time"

	"github.com/headpond/headpond/resource"
)

// Stats are a pool's figures, all of one instant.
// Idle + Held + Checking + Constructing + Destroying is the number of live values.
// With Options.Extra the callers of a backend's own queue are among those that wait, gave up, acquired and released.
type Stats struct {
	MaxSize int // the most live values, as New or Resize set it

	Idle         int // ready to be handed out
	Held         int // acquired, or in a Check, Prepare or Reset of its caller
	Checking     int // being checked by the pool itself, for no caller
	Constructing int // being built
	Destroying   int // being destroyed: each keeps its slot until its destructor has returned

	Waiting         int           // callers of Acquire in the queue
	WaitingForBuild int           // callers of Acquire for each of which a value is being built: they get what is released before, too
	OldestWait      time.Duration // how long the first of them has waited
	Suspended       bool          // Suspend was called, and not Resume
	Closed          bool          // Close was called

	// The following only grow.

	Acquired       uint64                   // acquires that returned a lease
	Rejected       uint64                   // values handed out that never became a lease, for a limit, Check or Prepare
	Released       uint64                   // leases that have ended, by Release, Discard, Detach or Do
	Detached       uint64                   // of Released, those by Detach
	Waited         uint64                   // acquires that had to wait in the queue
	WaitTime       time.Duration            // what they waited there altogether, the failed ones included
	WaitedForBuild uint64                   // builds that an acquire waited for
	BuildWaitTime  time.Duration            // what these waits took altogether
	TimedOut       uint64                   // acquires that ended with AcquireTimeout or the caller's deadline
	Cancelled      uint64                   // acquires whose caller's ctx was cancelled
	Saturated      uint64                   // acquires refused with ErrSaturated
	Created        uint64                   // values that Construct returned in time
	CreateFailed   uint64                   // Constructs that failed or were abandoned
	Destroyed      [resource.Reasons]uint64 // values destroyed, by reason: Destroyed[resource.MaxLifetime]
	DestroyFailed  uint64                   // of them, those whose Destroy returned an error, panicked or was abandoned
	Abandoned      uint64                   // Constructs and Destroys that had not returned when their ctx ended
	Leaked         uint64                   // leases reported for Options.LeakAfter

	Since time.Time // when the pool was made
}

// Live returns the number of live values.
func (s Stats) Live() int { return s.Idle + s.Held + s.Checking + s.Constructing + s.Destroying }
