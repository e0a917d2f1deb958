package pool

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/internal/agent"
	"github.com/headpond/headpond/internal/gate"
	"github.com/headpond/headpond/resource"
)

// entry is one live value and what the pool knows of it.
type entry[T any] struct {
	pool       *Pool[T]
	life       life[T]
	value      T
	id         uint64
	generation uint64
	born       time.Duration // since the pool's start
	jitter     time.Duration

	// held is when the lease that is out began, in nanoseconds since the pool's start, and that lease's own:
	// no two leases of an entry have the same. The call that swaps it for free has ended the lease.
	held atomic.Int64

	// The following belong to the goroutine that the gate gave the entry to.

	last      int64 // held of the last lease
	uses      int   // leases that have ended
	idleSince time.Duration
	good      time.Duration   // when it was last known to be: built, released or checked
	failure   resource.Reason // why a Check by the pool itself condemned it
	hook      *hookContext[T]
	waiter    *gate.Waiter[*entry[T]] // on which the lease's caller waited, if it did: it goes back with the value
	ctx       context.Context         // of the lease, from Tap.Begin; nil: it is not observed
	ending    resource.Reason         // why it is being destroyed

	mu       sync.Mutex  // protects the following
	stack    []uintptr   // where the lease that is out was acquired; empty if that was not recorded
	label    string      // of that lease
	agent    agent.Agent // whose that lease is, which knows better; nil: a caller's
	reported bool        // that lease, as a leak
}

// free is entry.held while no lease is out.
const free = -1

// info is what the policy asks for, at a time when the entry is not held.
func (e *entry[T]) info(now time.Duration) resource.Info {
	return resource.Info{Age: now - e.born, Idle: now - e.idleSince, Jitter: e.jitter, Uses: e.uses}
}

// begin makes a lease.
func (e *entry[T]) begin(ctx context.Context, a *attempt[T], now time.Duration) Lease[T] {
	record, label := e.pool.records(now), LabelOf(ctx)
	if record || label != "" || len(e.stack) > 0 || e.label != "" || a.agent != e.agent { // only this goroutine writes them
		e.mu.Lock()
		e.label, e.stack, e.agent = label, e.stack[:0], a.agent
		if record && a.agent == nil {
			if e.stack == nil {
				e.stack = make([]uintptr, 0, 32)
			}
			e.stack = e.stack[:runtime.Callers(2, e.stack[:cap(e.stack)])]
		}
		e.mu.Unlock()
	}
	e.last = max(int64(now), e.last+1)
	e.held.Store(e.last)
	return Lease[T]{entry: e, began: e.last, uses: e.uses}
}

// register makes a new entry known to Holders and maintain.
func (p *Pool[T]) register(e *entry[T]) {
	p.mu.Lock()
	p.live[e.id] = e
	p.mu.Unlock()
	p.maintainLater()
}

// forget undoes register.
func (p *Pool[T]) forget(e *entry[T]) {
	p.mu.Lock()
	delete(p.live, e.id)
	p.mu.Unlock()
}

// entries returns what is live.
func (p *Pool[T]) entries() []*entry[T] {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.live))
}
