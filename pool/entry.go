package pool

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/resource"
	"github.com/jackc/puddle/v2"
)

// entry is one live value and what the pool knows of it.
type entry[T any] struct {
	pool       *Pool[T]
	handle     *puddle.Resource[*entry[T]] // Destroy or Hijack is called once, by whoever ended the value
	value      T
	id         uint64
	generation uint64
	born       time.Duration // since the pool's start
	jitter     time.Duration

	// held is when the lease that is out began, in nanoseconds since the pool's start, and that lease's own:
	// no two leases of an entry have the same. Who swaps it for free has ended the lease.
	held atomic.Int64

	// The following belong to whoever the gate gave the entry to.

	last      int64 // held of the last lease
	uses      int   // leases that have ended
	idleSince time.Duration
	hook      *hookContext[T]
	ctx       context.Context // of the lease, from Tap.Begin; nil: it is not observed
	ending    resource.Reason // why it is being destroyed
	gone      chan struct{}   // closed when it is destroyed, where somebody waits for that

	mu       sync.Mutex // protects the following, which only LeakAfter uses
	stack    []uintptr
	reported bool // the lease that is out, as a leak
}

// free is entry.held while no lease is out.
const free = -1

// info is what the policy asks for, at a time when the entry is not held.
func (e *entry[T]) info(now time.Duration) resource.Info {
	return resource.Info{Age: now - e.born, Idle: now - e.idleSince, Jitter: e.jitter, Uses: e.uses}
}

// begin makes a lease.
func (e *entry[T]) begin(now time.Duration) Lease[T] {
	if e.pool.options.LeakAfter > 0 {
		e.mu.Lock()
		e.stack = e.stack[:runtime.Callers(2, e.stack[:cap(e.stack)])]
		e.mu.Unlock()
	}
	e.last = max(int64(now), e.last+1)
	e.held.Store(e.last)
	return Lease[T]{entry: e, began: e.last, uses: e.uses}
}

// holder returns the lease that began then.
func (e *entry[T]) holder(began int64, now time.Duration) Holder {
	holder := Holder{ID: e.id, Since: e.pool.start.Add(time.Duration(began)), Held: max(0, now-time.Duration(began))}
	if e.pool.options.LeakAfter > 0 {
		e.mu.Lock()
		holder.Stack = Stack{slices.Clone(e.stack)}
		e.mu.Unlock()
	}
	return holder
}

// entries returns what is live.
func (p *Pool[T]) entries() []*entry[T] {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.live))
}

// Holders returns the leases that have not ended, the longest held first.
// It looks at every live value, and does not hold up Acquire or Release.
func (p *Pool[T]) Holders() []Holder {
	var holders []Holder
	now := p.now()
	for _, e := range p.entries() {
		if began := e.held.Load(); began != free {
			if holder := e.holder(began, now); e.held.Load() == began {
				holders = append(holders, holder)
			}
		}
	}
	return sortHolders(holders)
}
