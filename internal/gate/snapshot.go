package gate

import (
	"time"

	"github.com/headpond/headpond/resource"
)

// Counts only grow.
type Counts struct {
	Acquired, Rejected, Released, Detached uint64
	Waited, WaitedForBuild                 uint64
	WaitTime, BuildWaitTime                time.Duration
	TimedOut, Cancelled, Saturated         uint64
	Created, CreateFailed                  uint64
	Destroyed                              [resource.Reasons]uint64
	DestroyFailed, Abandoned               uint64
}

// Snapshot is how a gate stands at one instant.
type Snapshot struct {
	Counts
	Max, Idle, Held, Checking, Constructing, Destroying int
	Waiting, WaitingForBuild                            int
	OldestWait                                          time.Duration
	Suspended, Closed                                   bool
	Cause                                               error // of the last build, if it failed
}

// Snapshot returns how the gate stands.
func (g *Gate[V]) Snapshot() Snapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Snapshot{
		Counts: g.counts, Max: g.max,
		Idle: len(g.idle), Held: g.heldLocked(), Checking: g.checking, Constructing: g.constructing, Destroying: g.destroying,
		Waiting: g.queue.Len() - g.agents.queued, WaitingForBuild: g.builders.Len() - g.agents.building,
		Suspended: g.suspended, Closed: g.closed, Cause: g.breaker.cause,
	}
	if g.config.Admits {
		// Leases that began before this instant have been counted, and more may have been since:
		// there were never more than have ended and are held.
		s.Acquired = min(g.admitted.Load(), s.Released+uint64(s.Held))
	}
	for first := range g.queue.All {
		if !first.agent {
			s.OldestWait = g.config.Now() - first.since
			break
		}
	}
	return s
}

// heldLocked returns how many values callers have.
func (g *Gate[V]) heldLocked() int {
	return g.live - len(g.idle) - g.checking - g.constructing - g.destroying
}
