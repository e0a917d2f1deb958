package tenants

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/headpond/headpond/internal/ctxerr"
	"github.com/headpond/headpond/pool"
)

// Pool has the databases of many tenants, of which it keeps some open. Make one with [New], and end it with [Pool.Close].
// All methods may be called from any goroutine.
//
//	p, err := tenants.New(tenants.Options{Path: tenants.Directory("/var/lib/app")})
//	...
//	err = p.Write(ctx, "acme", func(ctx context.Context, conn *sqlite.Conn) error { ... })
type Pool struct {
	options Options
	store   store
	tap     *pool.Tap // a pool.SafeTap; nil: there is no observer

	start  time.Time       // all durations count from here
	ctx    context.Context // of the pool's own work; ends with Close, with the cause pool.ErrClosed
	cancel context.CancelCauseFunc
	work   sync.WaitGroup // goroutines that open and close databases
	detach func()         // of the tap, once

	mu        sync.Mutex // protects the following
	admission admission
	timer     *time.Timer // of the next database that reaches IdleAfter; nil: none was needed yet
	armed     bool        // timer will fire
	over      chan struct{}
	isOver    bool    // over is closed: the pool is closed, and every database as well
	closeErrs []error // of databases, since Close was called
	counts    totals
	sqls      map[string]*sql.DB // by tenant
}

// totals only grow.
type totals struct {
	waitTime, openTime, closeTime    time.Duration
	timedOut, cancelled, closeFailed uint64
	migrated, backedUp               uint64
	closed                           sums // of databases that were closed
}

// New returns a pool of databases. It does no I/O, opens nothing and starts nothing. It calls Options.Observer.
// The error names the option that is missing or out of range, in Options.Database as well. It does not look into Options.SQL:
// what is wrong there is the error of each call that needs it.
func New(options Options) (*Pool, error) {
	options = options.withDefaults()
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("headpond/tenants %q: %w", options.Name, err)
	}
	if options.Database.LimitCheckpoints == nil {
		options.Database.LimitCheckpoints = limit(options.MaxOpening)
	}
	return newPool(options, &files{options: options.Database}), nil
}

func newPool(options Options, store store) *Pool {
	p := &Pool{options: options, store: store, start: time.Now(), over: make(chan struct{}), detach: func() {}, sqls: make(map[string]*sql.DB)}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	p.admission = admission{
		maxOpen: options.MaxOpen, maxOpening: options.MaxOpening, reserve: min(options.MaxOpening, options.MaxOpen/2),
		maxWaiters: options.MaxWaiters, idleAfter: options.IdleAfter, entries: make(map[string]*entry),
	}
	if options.Observer != nil {
		tap := pool.SafeTap(options.Observer(inspector{p}))
		p.tap, p.detach = &tap, sync.OnceFunc(tap.Detach)
	}
	return p
}

// limit lets n checkpoints of all databases run at the same time: many that were written to at the same time
// would otherwise begin theirs together, a second later.
func limit(n int) func() (done func(), ok bool) {
	running := make(chan struct{}, n)
	done := func() { <-running }
	return func() (func(), bool) {
		select {
		case running <- struct{}{}:
			return done, true
		default:
			return nil, false
		}
	}
}

// now is the time since the pool was made.
func (p *Pool) now() time.Duration { return time.Since(p.start) }

// applyLocked does what admission has decided.
func (p *Pool) applyLocked(now time.Duration) {
	a := &p.admission
	for i, e := range a.toOpen {
		asked := context.Background()
		if w := e.waiters.First(); w != nil {
			asked = w.hold.Context
		}
		o := opening{entry: e, id: e.id, tenant: e.name, path: e.path, asked: asked}
		p.work.Go(func() { p.open(o) })
		a.toOpen[i] = nil
	}
	for i, e := range a.toClose {
		c := closing{entry: e, id: e.id, tenant: e.name, db: e.db, reason: e.reason}
		p.work.Go(func() { p.close(c) })
		a.toClose[i] = nil
	}
	a.toOpen, a.toClose = a.toOpen[:0], a.toClose[:0]
	p.armLocked(now)
	if !p.isOver && a.over() {
		p.isOver = true
		close(p.over)
	}
}

// armLocked sees to it that the timer fires when the next database reaches IdleAfter, or before.
// The timer is not set anew by each use: it fires once in vain instead.
func (p *Pool) armLocked(now time.Duration) {
	at, exists := p.admission.nextExpiry()
	if p.armed || !exists {
		return
	}
	p.armed = true
	if p.timer == nil {
		p.timer = time.AfterFunc(at-now, p.expire)
		return
	}
	p.timer.Reset(at - now)
}

// expire closes the databases that have reached IdleAfter. The timer calls it.
func (p *Pool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.armed = false
	p.admission.fill(now)
	p.applyLocked(now)
}

// Close ends the pool: every call from now on, and every one that waits, fails with [pool.ErrClosed]; openings are
// interrupted; each database is closed as soon as no call holds it. The [sql.DB]s that [Pool.SQL] returned are closed.
//
// Close waits until every database is closed. If ctx ends before, it interrupts what runs in the databases that are held,
// waits for a second more, and returns an *Error that wraps ctx's and names the call that has held one for the longest;
// what is left is closed when its calls end. It may be called again, and waits again.
// Errors of closing databases are joined to its own. With the ctx of a function that a method of the pool has called,
// it does not wait, but returns [pool.ErrNested].
func (p *Pool) Close(ctx context.Context) error {
	now := p.now()
	p.mu.Lock()
	sqls := slices.Collect(maps.Values(p.sqls))
	p.admission.end(now)
	p.applyLocked(now)
	p.mu.Unlock()
	p.cancel(pool.ErrClosed)
	var errs []error
	for _, db := range sqls {
		errs = append(errs, db.Close())
	}
	defer p.detach()
	if p.holdOf(ctx) != nil {
		return errors.Join(append(errs, p.fail("close", "", pool.ErrNested))...)
	}
	select {
	case <-p.over:
	default:
		select {
		case <-p.over:
		case <-ctx.Done():
			p.interrupt(ctx)
		}
	}
	select {
	case <-p.over:
		p.work.Wait()
	default:
		errs = append(errs, p.failWaited("close", "", ctxerr.Ended(ctx), 0, nil))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
	errs = append(errs, p.closeErrs...)
	p.closeErrs = nil
	return errors.Join(errs...)
}

// interrupt makes what runs in open databases fail. It waits for their calls a second at most, as Close of a database does.
func (p *Pool) interrupt(ctx context.Context) {
	p.mu.Lock()
	var held []database
	for e := range p.admission.openedList.All {
		held = append(held, e.db)
	}
	p.mu.Unlock()
	var all sync.WaitGroup
	for _, db := range held {
		all.Go(func() { _ = db.Close(ctx) }) // it is closed again, and its error reported, when its last call ends
	}
	all.Wait()
}

// fail returns the Error of op.
func (p *Pool) fail(op, tenant string, err error) *Error {
	return &Error{Pool: p.options.Name, Tenant: tenant, Op: op, Stats: p.ownStats(), Err: err}
}

// failWaited is fail for a call that has waited, with the call that had held a database for the longest:
// that of e, if there is one.
func (p *Pool) failWaited(op, tenant string, err error, waited time.Duration, e *entry) *Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &Error{
		Pool: p.options.Name, Tenant: tenant, Op: op, Stats: p.statsLocked(), Err: err,
		Waited: waited, Longest: p.longestLocked(e, p.now()),
	}
}
