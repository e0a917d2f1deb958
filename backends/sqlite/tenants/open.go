package tenants

import (
	"context"
	"errors"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/internal/catch"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
)

// store has the databases that the pool opens: files, or a test's own.
type store interface {
	// claim reserves the file at path for tenant, until release; closed: for a caller of Exclusive. The error is ErrSameFile if another tenant has it.
	claim(tenant, path string, closed bool) error
	// open opens the database of a tenant that has a claim.
	open(ctx context.Context, tenant, path string) (database, error)
	// release ends the claim of a tenant whose database is closed.
	release(tenant string)
}

// open opens a database file.
func (f *files) open(ctx context.Context, tenant, path string) (database, error) {
	options := f.options
	options.Name = tenant
	db, err := sqlite.Open(ctx, path, options)
	if err != nil {
		return nil, err
	}
	if err := f.claim(tenant, path, false); err != nil { // it may have been created, under a name that another tenant uses as well
		return nil, errors.Join(err, db.Close(context.WithoutCancel(ctx)))
	}
	return db, nil
}

// opening is a database to open.
type opening struct {
	entry  *entry
	id     uint64
	tenant string
	path   string          // "": ask Options.Path
	asked  context.Context // of the call that waited first
}

// open opens a database, with the values of the first call's ctx and an end of its own: a call that gives up
// does not cancel it for the others. It runs on a goroutine of its own.
func (p *Pool) open(o opening) {
	ctx, cancel := context.WithCancelCause(context.WithValue(context.WithoutCancel(o.asked), tenantKey{}, o.tenant))
	defer cancel(nil)
	defer context.AfterFunc(p.ctx, func() { cancel(context.Cause(p.ctx)) })()
	began := p.now()
	ctx = p.beginAlone(ctx, pool.Event{Op: pool.Construct, ID: o.id})
	inside := &hold{Context: ctx, pool: p, tenant: o.tenant, kind: kindOpening, entry: o.entry, outer: p.holdOf(ctx)}
	var db database
	var err error
	catch.Run(func() { db, err = p.openFile(inside, o) }, func(ending catch.Ending) {
		if !ending.Returned { // Options.Path or Setup, or what a migration calls
			err = &pool.PanicError{Op: pool.Construct, Value: ending.Value, Stack: ending.Stack}
		}
		inside.over.Store(true)
		if err != nil {
			p.store.release(o.tenant)
		}
		now := p.now()
		p.endAlone(ctx, pool.Event{Op: pool.Construct, ID: o.id, Took: now - began, Err: err})
		tell(p.options.OnOpen, o.tenant, now-began, err)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.counts.openTime += now - began
		if err != nil {
			p.admission.openFailed(o.entry, err, now)
		} else {
			p.admission.opened(o.entry, db, now)
		}
		p.applyLocked(now)
	})
}

func (p *Pool) openFile(ctx context.Context, o opening) (database, error) {
	path := o.path
	if path == "" {
		var err error
		if path, err = p.options.Path(o.tenant); err != nil {
			return nil, err
		}
		p.mu.Lock()
		o.entry.path = path
		p.mu.Unlock()
	}
	if err := p.store.claim(o.tenant, path, false); err != nil {
		return nil, err
	}
	return p.store.open(ctx, o.tenant, path)
}

// closing is a database to close.
type closing struct {
	entry  *entry
	id     uint64
	tenant string
	db     database
	reason resource.Reason
}

// closeTimeout is how long a database may take to close before that is reported. It keeps its place until it is closed:
// only a connection that was never released takes so long, since no call holds the database.
const closeTimeout = 15 * time.Second

// close closes a database. It runs on a goroutine of its own.
func (p *Pool) close(c closing) {
	began := p.now()
	ctx := p.beginAlone(context.WithValue(context.Background(), tenantKey{}, c.tenant), pool.Event{Op: pool.Destroy, ID: c.id, Reason: c.reason})
	limited, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	err := c.db.Close(limited)
	if err != nil && limited.Err() != nil {
		tell(p.options.OnClose, c.tenant, p.now()-began, err)
		err = errors.Join(err, c.db.Close(context.WithoutCancel(ctx)))
	}
	p.store.release(c.tenant)
	counted := c.db.Stats()
	now := p.now()
	p.endAlone(ctx, pool.Event{Op: pool.Destroy, ID: c.id, Took: now - began, Reason: c.reason, Err: err})
	tell(p.options.OnClose, c.tenant, now-began, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.closeTime += now - began
	p.counts.closed.addCounts(counted)
	if err != nil {
		p.counts.closeFailed++
		if p.admission.ended {
			p.closeErrs = append(p.closeErrs, &Error{Pool: p.options.Name, Tenant: c.tenant, Op: "close", Stats: p.statsLocked(), Err: err})
		}
	}
	p.admission.closed(c.entry, now)
	p.applyLocked(now)
}

// tell calls OnOpen or OnClose. A panic in it is swallowed, and runtime.Goexit ends another goroutine:
// neither the pool nor a caller can help it.
func tell(on func(tenant string, took time.Duration, err error), tenant string, took time.Duration, err error) {
	if on == nil {
		return
	}
	apart(func() {
		defer func() { _ = recover() }()
		on(tenant, took, err)
	})
}
