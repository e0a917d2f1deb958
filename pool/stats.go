package pool

import (
	"time"

	"github.com/headpond/headpond/resource"
)

// Stats are a pool's figures, all of one instant.
// Idle + Held + Constructing + Destroying is the number of live values.
type Stats struct {
	MaxSize int // the most live values, as New or Resize set it

	Idle         int // lying ready
	Held         int // acquired, being checked, prepared or reset
	Constructing int // being built
	Destroying   int // being destroyed: each keeps its slot until its destructor has returned

	Waiting    int           // callers of Acquire in the queue
	OldestWait time.Duration // how long the first of them has waited
	Suspended  bool          // Suspend was called, and not Resume
	Closed     bool          // Close was called

	// The following only grow.

	Acquired      uint64                   // values handed out: to become a lease, or to turn out unfit
	Unfit         uint64                   // of Acquired, those that ended for a limit, Check or Prepare instead
	Released      uint64                   // of Acquired, leases that have ended, by Release, Discard, Detach or Do
	Detached      uint64                   // of Released, those by Detach
	Waited        uint64                   // acquires that had to wait in the queue
	WaitTime      time.Duration            // what they waited there, all together, the failed ones included
	TimedOut      uint64                   // acquires that ended with AcquireTimeout or the caller's deadline
	Cancelled     uint64                   // acquires whose caller's ctx was cancelled
	Saturated     uint64                   // acquires refused with ErrSaturated
	Created       uint64                   // values that Construct returned in time
	CreateFailed  uint64                   // Constructs that failed or were abandoned
	Destroyed     [resource.Reasons]uint64 // values destroyed, by reason: Destroyed[resource.MaxLifetime]
	DestroyFailed uint64                   // of them, those whose Destroy returned an error, panicked or was abandoned
	Abandoned     uint64                   // Constructs and Destroys that had not returned when their ctx ended
	Leaked        uint64                   // leases reported for Options.LeakAfter

	Since time.Time // when the pool was made
}

// Live returns the number of live values.
func (s Stats) Live() int { return s.Idle + s.Held + s.Constructing + s.Destroying }
