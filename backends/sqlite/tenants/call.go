package tenants

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/internal/door"
	"github.com/headpond/headpond/internal/ctxerr"
	"github.com/headpond/headpond/pool"
)

// Read calls use with a read-only connection to the database of a tenant, in one snapshot, as [sqlite.DB.Read] does.
//
// It opens the database if it is not open, and creates it if there is none. If MaxOpen databases are open, it first waits
// until one that no call holds has been closed; tenants that wait for a place get it first come, first served.
// AcquireTimeout bounds all that it waits for, its turn in the database included.
//
// The error of use, and that of the database, is returned as it is; any other one is an *Error.
// If the database can't be opened, that is the error of each call that waited for it, and of each one
// within a pause after it: 100ms, doubled with each further failure up to 10s.
// Inside a function that a method of this pool has called, with its ctx, a call that could wait for itself is
// [pool.ErrNested]: one that would wait for the end of another call, for a place or for a tenant that is not to be had.
func (p *Pool) Read(ctx context.Context, tenant string, use func(ctx context.Context, conn *sqlite.Conn) error) error {
	return p.call(ctx, tenant, (*sqlite.DB).Read, use)
}

// Write calls use with the one writer of the database of a tenant, in a transaction, as [sqlite.DB.Write] does.
// What [Pool.Read] says of waiting and of errors holds for it too.
func (p *Pool) Write(ctx context.Context, tenant string, use func(ctx context.Context, conn *sqlite.Conn) error) error {
	return p.call(ctx, tenant, (*sqlite.DB).Write, use)
}

// Batch calls use with the one writer of the database of a tenant, in a transaction that it shares with other calls,
// as [sqlite.DB.Batch] does: use may run a second time.
// What [Pool.Read] says of waiting and of errors holds for it too.
func (p *Pool) Batch(ctx context.Context, tenant string, use func(ctx context.Context, conn *sqlite.Conn) error) error {
	return p.call(ctx, tenant, (*sqlite.DB).Batch, use)
}

// Do calls use with the database of a tenant, which stays open until use returns. Use it for several calls that belong
// together, for [sqlite.DB.Readers] and [sqlite.DB.Writer], and for a Backup. use must not close the database, must have
// released every connection when it returns, and must not keep db.
// What [Pool.Read] says of waiting and of errors holds for it too.
func (p *Pool) Do(ctx context.Context, tenant string, use func(ctx context.Context, db *sqlite.DB) error) error {
	return p.do(ctx, tenant, kindUse, use)
}

func (p *Pool) do(ctx context.Context, tenant string, kind kind, use func(ctx context.Context, db *sqlite.DB) error) error {
	h, err := p.acquire(ctx, tenant, kind)
	if err != nil {
		return err
	}
	defer p.release(h)
	db := h.db.(*sqlite.DB)
	err = use(h, db)
	p.look(h, db)
	return err
}

// call calls a method of the database of a tenant.
func (p *Pool) call(ctx context.Context, tenant string, method method, use function) error {
	h, err := p.acquire(ctx, tenant, kindUse)
	if err != nil {
		return err
	}
	defer p.release(h)
	db := h.db.(*sqlite.DB)
	if h.waited > 0 && p.options.AcquireTimeout > 0 {
		err = p.callWithin(h, tenant, db, method, use)
	} else {
		err = method(db, h, use)
	}
	p.look(h, db)
	return err
}

type (
	function = func(ctx context.Context, conn *sqlite.Conn) error
	method   = func(db *sqlite.DB, ctx context.Context, use function) error
)

// callWithin calls a method of a database with what a call that has waited has left of AcquireTimeout for its turn there.
// From the beginning of use on, only the caller's own ctx ends it.
func (p *Pool) callWithin(h *hold, tenant string, db *sqlite.DB, method method, use function) error {
	ctx, cancel := context.WithCancelCause(h)
	defer cancel(nil)
	const (
		waiting int32 = iota
		begun         // use runs, or has run: Batch may run it again
		late          // it must not run any more
	)
	var turn atomic.Int32
	timer := time.AfterFunc(max(p.options.AcquireTimeout-h.waited, 0), func() {
		if turn.CompareAndSwap(waiting, late) {
			cancel(errTurn)
		}
	})
	defer timer.Stop()
	err := method(db, ctx, func(inner context.Context, conn *sqlite.Conn) error {
		if turn.CompareAndSwap(waiting, begun) {
			timer.Stop()
		} else if turn.Load() == late {
			cancel(errTurn) // the timer may be about to
			return ctxerr.Ended(ctx)
		}
		return use(inner, conn)
	})
	if err != nil && errors.Is(err, errTurn) {
		failed := p.fail("acquire", tenant, &turnError{err})
		failed.Waited = p.options.AcquireTimeout
		return failed
	}
	return err
}

// errTurn is the cause of a ctx that ended because AcquireTimeout passed while a call waited for its turn.
var errTurn = errors.New("AcquireTimeout has passed")

// turnError is what the database said when AcquireTimeout had passed. It wraps pool.ErrAcquireTimeout alone:
// that the pool ended the wait through a ctx of its own is no cancellation by the caller.
type turnError struct{ err error }

func (e *turnError) Error() string {
	return pool.ErrAcquireTimeout.Error() + ": no turn in the database: " + e.err.Error()
}
func (e *turnError) Unwrap() error { return pool.ErrAcquireTimeout }

// look retires a database whose file was found to be another one: it is closed as soon as the calls that hold it have ended,
// and opened anew when it is called for.
func (p *Pool) look(h *hold, db *sqlite.DB) {
	if !door.DBOf(db).Replaced() {
		return
	}
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admission.retire(h.entry, h.id, now)
	p.applyLocked(now)
}
