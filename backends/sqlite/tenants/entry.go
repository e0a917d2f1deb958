package tenants

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/internal/queue"
	"github.com/headpond/headpond/resource"
)

// state says what the database of a tenant does.
type state uint8

const (
	stateClosed    state = iota // has no place
	stateOpening                // is being opened
	stateOpen                   // is open
	stateClosing                // is being closed
	stateExclusive              // is closed, and a caller of Exclusive has it; has no place
)

// database is what the pool opens and closes: a *sqlite.DB, or a test's own.
type database interface {
	// Close ends the database. If it fails because ctx ended, a second call waits again.
	Close(ctx context.Context) error
	// Stats returns what it has counted, also after Close.
	Stats() sqlite.Stats
}

// entry is what the pool knows of one tenant. It exists while its database is not closed, a caller waits for it,
// or an open has failed a short time ago. Its fields belong to the lock of the Pool.
type entry struct {
	name  string
	path  string // "": Options.Path is to be asked again
	state state
	db    database // while it is open or closing

	id       uint64               // of this opening, unique in its pool
	reason   resource.Reason      // why it closes
	holds    queue.Queue[*hold]   // calls that use it, in the order in which they began
	waiters  queue.Queue[*waiter] // calls that wait for it, first come, first served
	draining bool                 // admits no new calls, so that another tenant gets its place
	retired  bool                 // admits no new calls, and is closed as soon as no call holds it
	scanned  bool                 // only Migrate and Backup have used it since it was opened

	openedAt, usedAt, idleAt time.Duration // since the pool was made
	uses                     uint64        // calls since it was opened

	failure failure // of the last tries to open it

	place                        uint64             // in the queue: waiter.seq of the call that has it
	queued, idle, opened, failed queue.Node[*entry] // its links to the lists of admission
}

func newEntry(name, path string) *entry {
	e := &entry{name: name, path: path}
	e.queued.Element, e.idle.Element, e.opened.Element, e.failed.Element = e, e, e, e
	return e
}

// failure is what is known of opens that failed. The zero failure is that of none.
type failure struct {
	err   error
	tries int           // in a row
	until time.Duration // no try before
}

// kind is what a call wants of a database.
type kind uint8

const (
	kindUse       kind = iota // to use it while it is open
	kindScan                  // the same, for Migrate and Backup: it does not make it recently used
	kindExclusive             // that it is closed, and stays so
	kindOpening               // nothing: it is no call, but the ctx in which a database is opened
)

// hold is one call that uses a database, or has it to itself while it is closed.
// It is also the ctx of the call's function: a nested call finds it there.
type hold struct {
	context.Context
	pool   *Pool
	tenant string
	kind   kind
	entry  *entry
	outer  *hold       // the call inside which this one was made; nil: none
	over   atomic.Bool // the call has returned

	observed bool

	db     database
	id     uint64        // entry.id when it began
	opened time.Duration // entry.openedAt when it began
	since  time.Duration // when it was admitted
	seq    uint64        // orders holds and the begin of drains
	waited time.Duration // for room, an opening, or its turn; 0: it was admitted at once

	node queue.Node[*hold]
}

// holdKey is the context key of a call's hold on a database of a pool.
type holdKey struct{ *Pool }

// tenantKey is the context key of the name of a tenant.
type tenantKey struct{}

// Value returns the hold itself for its own key, until the call has returned, and its tenant for that of tenants.
func (h *hold) Value(key any) any {
	switch key {
	case any(holdKey{h.pool}):
		if !h.over.Load() {
			return h
		}
	case any(tenantKey{}):
		return h.tenant
	}
	return h.Context.Value(key)
}

// FromContext returns the tenant for which ctx was handed out: by a method of a [Pool] to its function, to what opens a database,
// such as [sqlite.Options.Setup], and to an observer. false: it belongs to none.
// So [log/slog] and spans can name the tenant: see tracing.Options.SpanAttributes.
func FromContext(ctx context.Context) (tenant string, ok bool) {
	tenant, ok = ctx.Value(tenantKey{}).(string)
	return tenant, ok
}

// within reports whether the call is made inside one that holds the open database of e.
func (h *hold) within(e *entry) bool {
	for outer := h.outer; outer != nil; outer = outer.outer {
		if outer.entry == e && outer.node.Queued() {
			return true
		}
	}
	return false
}

// waiter is a call that waits.
type waiter struct {
	hold  *hold // what it gets
	entry *entry
	seq   uint64        // its place among all waiters, by arrival
	since time.Duration // when it began to wait
	ready chan struct{} // closed when it is over
	err   error         // why it gets nothing; nil once ready is closed: it has its hold
	over  bool

	node    queue.Node[*waiter] // in entry.waiters
	arrived queue.Node[*waiter] // in admission.arrivals
	nested  queue.Node[*waiter] // in admission.nested
}
