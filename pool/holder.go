package pool

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Holder is a lease that has not ended: who holds what since when.
// If a backend runs the calls of several callers on one lease, as SQLite's Batch does, Label and Stack are those of the call that runs,
// or has run last: its own function, and where it was called if that was recorded.
type Holder struct {
	ID    uint64        // of the value
	Since time.Time     // when its value was handed out; the Check and Prepare hooks came later
	Held  time.Duration // how long ago that was
	Label string        // of WithLabel, when it was acquired
	Stack Stack         // where it was acquired; empty unless that was recorded: see Options.LeakAfter
}

// String returns the value's ID, for how long it has been held and, if known, by whom.
func (h Holder) String() string {
	text := fmt.Sprintf("#%d for %v", h.ID, round(h.Held))
	if h.Label != "" {
		text += fmt.Sprintf(" as %q", h.Label)
	}
	if caller := h.Stack.Caller(); caller != "" {
		text += " by " + caller
	}
	return text
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
	slices.SortFunc(holders, func(a, b Holder) int { return cmp.Compare(b.Held, a.Held) })
	return holders
}

// holder returns the lease that began then.
func (e *entry[T]) holder(began int64, now time.Duration) Holder {
	holder := Holder{ID: e.id, Since: e.pool.start.Add(time.Duration(began)), Held: max(0, now-time.Duration(began))}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.agent != nil {
		label, stack := e.agent.Holder()
		holder.Label, holder.Stack = label, Stack{stack}
	} else {
		holder.Label, holder.Stack = e.label, Stack{slices.Clone(e.stack)}
	}
	return holder
}

// mostNamed is how many holders an error names: with all of them an outage of a pool of thousands would fill the log, and the memory.
const mostNamed = 8

// longestHolders returns the leases that have been held the longest, at most mostNamed.
func (p *Pool[T]) longestHolders() []Holder {
	type held struct {
		e     *entry[T]
		began int64
	}
	longest := make([]held, 0, mostNamed+1)
	p.mu.Lock()
	for _, e := range p.live {
		began := e.held.Load()
		if began == free || len(longest) == mostNamed && began >= longest[mostNamed-1].began {
			continue
		}
		at, _ := slices.BinarySearchFunc(longest, began, func(h held, began int64) int { return cmp.Compare(h.began, began) })
		longest = slices.Insert(longest, at, held{e, began})
		longest = longest[:min(len(longest), mostNamed)]
	}
	p.mu.Unlock()
	var holders []Holder
	now := p.now()
	for _, h := range longest {
		if holder := h.e.holder(h.began, now); h.e.held.Load() == h.began {
			holders = append(holders, holder)
		}
	}
	return holders
}

// recordFor is for how long acquires record their callers after one that waited in vain, or for longer than longWait.
const (
	recordFor = time.Minute
	longWait  = time.Second
)

// records reports whether a lease that begins now records its caller.
func (p *Pool[T]) records(now time.Duration) bool {
	return p.options.LeakAfter > 0 || int64(now) < p.recordUntil.Load()
}

// recordFrom lets acquires record their callers from now on, for a while.
func (p *Pool[T]) recordFrom(now time.Duration) { p.recordUntil.Store(int64(now + recordFor)) }
