package tenants

import (
	"cmp"
	"slices"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/resource"
)

// Stats are the figures of a [Pool], all of one instant but for the sums.
// Open + Opening + Closing is how many places are taken; it never exceeds MaxOpen.
type Stats struct {
	MaxOpen int // Options.MaxOpen

	Open      int  // databases that are open
	Held      int  // of Open, those that a call holds
	Draining  int  // of Held, those that admit no new calls, because another tenant waits for a place
	Opening   int  // databases that are being opened
	Closing   int  // databases that are being closed
	Exclusive int  // tenants that a call of Exclusive has; they take no place
	Closed    bool // Close was called

	Calls          int           // calls that hold a database, or have one to themselves
	Waiting        int           // calls that wait for a place, for an opening, or for a tenant that is not to be had
	WaitingTenants int           // tenants that wait for a place
	OldestWait     time.Duration // how long the first of the waiting calls has waited
	Failing        int           // tenants whose last open failed, 20s ago at most

	// The following only grow.

	Hits        uint64        // calls that were admitted at once, because the database was open
	Waited      uint64        // calls that had to wait
	WaitTime    time.Duration // what they waited, all together, the failed ones included
	TimedOut    uint64        // calls that ended with AcquireTimeout or the caller's deadline while they waited
	Cancelled   uint64        // calls whose ctx was cancelled while they waited
	Saturated   uint64        // calls refused with ErrSaturated
	Nested      uint64        // calls refused with ErrNested
	Opened      uint64        // databases opened
	OpenFailed  uint64        // opens that failed
	OpenTime    time.Duration // what opens took, all together, the failed ones included
	Evicted     uint64        // databases closed because their place was needed, or would be
	Expired     uint64        // databases closed for IdleAfter
	CloseFailed uint64        // closes that returned an error
	CloseTime   time.Duration // what closes took, all together
	Migrated    uint64        // tenants that Migrate has finished with, without an error
	BackedUp    uint64        // tenants that Backup has copied

	Since time.Time // when the pool was made

	// The following are sums over all databases. Counts are of those that were closed as well, and never fall; Waiting, Size, Pages
	// and Moved are of those that are open. Largest and PinnedFor are the most of any one; MaxWaiting and Pinned are zero.
	// They are zero in an [Error].

	Batch sqlite.BatchStats
	WAL   sqlite.WAL
	Found sqlite.Found // what borrowers left behind, by kind
}

// Stats returns the pool's figures. It takes one lock for a moment, then asks each database that is open,
// which takes some microseconds for each.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	stats, closed, open := p.statsLocked(), p.counts.closed, p.openLocked()
	p.mu.Unlock()
	return p.withSums(stats, closed, open)
}

// ownStats are Stats without the sums.
func (p *Pool) ownStats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.statsLocked()
}

func (p *Pool) statsLocked() Stats {
	a, c := &p.admission, &p.admission.counts
	a.forget(p.now())
	stats := Stats{
		MaxOpen: a.maxOpen, Open: a.openedList.Len(), Held: a.openedList.Len() - a.idleList.Len(), Draining: a.draining,
		Opening: a.opening, Closing: a.closing, Exclusive: a.exclusive, Closed: a.ended,
		Calls: a.calls, Waiting: a.arrivals.Len(), WaitingTenants: a.wanting(), Failing: a.failedList.Len(),
		Hits: c.hits, Waited: c.waited, Saturated: c.saturated, Nested: c.nested, Opened: c.opened, OpenFailed: c.openFailed,
		Evicted: c.closed[resource.Evicted], Expired: c.closed[resource.MaxIdleTime],
		WaitTime: p.counts.waitTime, TimedOut: p.counts.timedOut, Cancelled: p.counts.cancelled,
		OpenTime: p.counts.openTime, CloseTime: p.counts.closeTime, CloseFailed: p.counts.closeFailed,
		Migrated: p.counts.migrated, BackedUp: p.counts.backedUp,
		Since: p.start,
	}
	if w := a.arrivals.First(); w != nil {
		stats.OldestWait = max(0, p.now()-w.since)
	}
	return stats
}

// Tenant is a tenant whose database is open.
type Tenant struct {
	Name     string
	Path     string    // as Options.Path returned it
	ID       uint64    // of this opening, unique in its pool
	Opened   time.Time // when it was opened
	Used     time.Time // when a call last began or ended
	Calls    int       // calls that hold it now
	Uses     uint64    // calls since it was opened
	Draining bool      // it admits no new calls, because another tenant waits for its place
}

// Tenants returns the tenants whose databases are open, the most recently used first.
func (p *Pool) Tenants() []Tenant {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Tenant, 0, p.admission.openedList.Len())
	for e := range p.admission.openedList.All {
		all = append(all, Tenant{
			Name: e.name, Path: e.path, ID: e.id, Opened: p.start.Add(e.openedAt), Used: p.start.Add(e.usedAt),
			Calls: e.holds.Len(), Uses: e.uses, Draining: e.draining,
		})
	}
	slices.SortFunc(all, func(a, b Tenant) int {
		return cmp.Or(b.Used.Compare(a.Used), cmp.Compare(b.ID, a.ID))
	})
	return all
}

// Holders returns the calls that hold a database, or have one to themselves: those that have held it for the longest first.
func (p *Pool) Holders() []Holding {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	all := make([]Holding, 0, p.admission.calls)
	for _, e := range p.admission.entries {
		for h := range e.holds.All {
			all = append(all, p.holding(h, now))
		}
	}
	slices.SortFunc(all, func(a, b Holding) int { return cmp.Or(cmp.Compare(b.Held, a.Held), cmp.Compare(a.ID, b.ID)) })
	return all
}

func (p *Pool) holding(h *hold, now time.Duration) Holding {
	return Holding{Tenant: h.entry.name, ID: h.id, Exclusive: h.kind == kindExclusive, Since: p.start.Add(h.since), Held: now - h.since}
}

// longestLocked returns the call that has held a database for the longest, nil if there is none:
// that of e, if calls hold e.
func (p *Pool) longestLocked(e *entry, now time.Duration) *Holding {
	var longest *hold
	if e != nil {
		longest = e.holds.First()
	}
	if longest == nil {
		for _, e := range p.admission.entries {
			if h := e.holds.First(); h != nil && (longest == nil || h.since < longest.since) {
				longest = h
			}
		}
	}
	if longest == nil {
		return nil
	}
	holding := p.holding(longest, now)
	return &holding
}
