package pool

import (
	"context"
	"runtime"
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

	// turn is odd while a lease is out, and that lease's own: who moves it on has ended the lease.
	turn  atomic.Uint64
	since atomic.Int64 // of the lease, as a time.Duration

	// The following belong to whoever the gate gave the entry to.

	idleSince time.Duration
	hook      *hookContext[T]
	ctx       context.Context // of the lease, from Tap.Begin; nil: it is not observed
	ending    resource.Reason // why it is being destroyed
	gone      chan struct{}   // closed when it is destroyed, where somebody waits for that

	mu       sync.Mutex // protects the following, which only LeakAfter uses
	stack    []uintptr
	reported bool // the lease that is out, as a leak
}

// info is what the policy asks for, at a time when the entry is not held.
func (e *entry[T]) info(now time.Duration) resource.Info {
	return resource.Info{Age: now - e.born, Idle: now - e.idleSince, Jitter: e.jitter, Uses: e.uses()}
}

// uses is how many leases of it have ended.
func (e *entry[T]) uses() int { return int(e.turn.Load() / 2) }

// begin makes a lease.
func (e *entry[T]) begin(now time.Duration) Lease[T] {
	if e.pool.options.LeakAfter > 0 {
		e.mu.Lock()
		e.stack = e.stack[:runtime.Callers(2, e.stack[:cap(e.stack)])]
		e.mu.Unlock()
	}
	e.since.Store(int64(now))
	return Lease[T]{entry: e, turn: e.turn.Add(1)}
}

// holder returns who holds the entry, if anybody does.
func (e *entry[T]) holder(now time.Duration) (holder Holder, held bool) {
	turn := e.turn.Load()
	since := time.Duration(e.since.Load())
	if e.pool.options.LeakAfter > 0 {
		e.mu.Lock()
		holder.Stack.counters = append([]uintptr(nil), e.stack...)
		e.mu.Unlock()
	}
	if turn%2 == 0 || e.turn.Load() != turn {
		return Holder{}, false
	}
	holder.ID, holder.Uses = e.id, int(turn/2)+1
	holder.Since, holder.Held = e.pool.start.Add(since), now-since
	return holder, true
}

// Holders returns the leases that have not ended, the longest held first.
// It looks at every live value, and does not hold up Acquire or Release.
func (p *Pool[T]) Holders() []Holder {
	p.mu.Lock()
	entries := make([]*entry[T], 0, len(p.live))
	for _, e := range p.live {
		entries = append(entries, e)
	}
	p.mu.Unlock()
	var holders []Holder
	now := p.now()
	for _, e := range entries {
		if holder, held := e.holder(now); held {
			holders = append(holders, holder)
		}
	}
	return sortHolders(holders)
}
