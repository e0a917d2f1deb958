package tenants

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"sync"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/internal/catch"
	"github.com/headpond/headpond/internal/ctxerr"
	"github.com/headpond/headpond/pool"
)

// Migrate opens the database of each of tenants once, so that Options.Database.Schema brings it up to date, while the pool
// goes on serving calls. It blocks until all are done, or ctx ends: start it on a goroutine when the program starts.
// A tenant that is called for before its turn is migrated by that call.
//
// As many as parallel are opened at the same time, 0: half of MaxOpening, at least 1. They wait for places and openings
// in the same queue as other calls, so fewer than MaxOpening leave openings for those; AcquireTimeout does not bound
// that wait. A database that only Migrate has used is closed at once, and pushes no other one out for longer.
//
// The errors of single tenants are joined, each an *Error that names one, and stop no other. To resume a Migrate that was
// interrupted, call it again: a database that is up to date costs its opening. Stats.Migrated and Options.OnOpen show how far it is.
func (p *Pool) Migrate(ctx context.Context, tenants iter.Seq[string], parallel int) error {
	return p.each(ctx, "migrate", tenants, parallel, func(tenant string) error {
		err := p.scan(ctx, tenant, func(context.Context, *sqlite.DB) error { return nil })
		if err == nil {
			p.count(&p.counts.migrated)
		}
		return err
	})
}

// Backup copies the database of each of tenants into directory, as [sqlite.DB.Backup] does, under the name that
// [Directory] gives it there. It blocks until all are done, or ctx ends, while the pool goes on serving calls.
//
// A tenant of which directory has a copy is passed over, since a copy appears complete or not at all: to resume a Backup that was
// interrupted, call it again with the same directory; for a new one, take a new directory.
// A tenant without a database file is an error, [fs.ErrNotExist], and gets none. parallel, waiting and errors are as in [Pool.Migrate].
// Stats.BackedUp shows how far it is.
func (p *Pool) Backup(ctx context.Context, directory string, tenants iter.Seq[string], parallel int) error {
	if info, err := os.Stat(directory); err != nil {
		return p.fail("backup", "", err)
	} else if !info.IsDir() {
		return p.fail("backup", "", &fs.PathError{Op: "backup", Path: directory, Err: errors.New("not a directory")})
	}
	target := Directory(directory)
	return p.each(ctx, "backup", tenants, parallel, func(tenant string) error {
		to, err := target(tenant)
		if err != nil {
			return p.fail("backup", tenant, err)
		}
		if exists(to) {
			return nil
		}
		err = p.backup(ctx, tenant, to)
		var known *Error
		switch {
		case err == nil:
			p.count(&p.counts.backedUp)
		case errors.Is(err, fs.ErrExist) && exists(to): // what else wraps fs.ErrExist is no copy
			err = nil // another call made it meanwhile
		case !errors.As(err, &known):
			err = p.fail("backup", tenant, err)
		}
		return err
	})
}

// exists reports whether there is anything at path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (p *Pool) backup(ctx context.Context, tenant, to string) error {
	from, err := p.options.Path(tenant)
	if err != nil {
		return p.fail("path", tenant, err)
	}
	if _, err := os.Stat(from); err != nil {
		return err
	}
	return p.scan(ctx, tenant, func(ctx context.Context, db *sqlite.DB) error {
		return db.Backup(ctx, to, nil)
	})
}

// scan is Do for Migrate and Backup.
func (p *Pool) scan(ctx context.Context, tenant string, use func(ctx context.Context, db *sqlite.DB) error) error {
	return p.do(ctx, tenant, kindScan, use)
}

func (p *Pool) count(n *uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*n++
}

// each calls do with each tenant, several at a time, and joins the errors.
// It stops when ctx ends or the pool is closed.
func (p *Pool) each(ctx context.Context, op string, tenants iter.Seq[string], parallel int, do func(tenant string) error) error {
	if parallel < 0 {
		return p.fail(op, "", fmt.Errorf("parallel is %d: it must not be negative", parallel))
	}
	if parallel == 0 {
		parallel = max(1, p.options.MaxOpening/2)
	}
	var mu sync.Mutex // protects the following
	var errs []error
	stopped := false
	ends := func() bool { return ctx.Err() != nil || p.ctx.Err() != nil }
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil && ends() && (errors.Is(err, pool.ErrClosed) || errors.Is(err, ctx.Err())) {
			stopped = true // that is one error for all
		} else if err != nil {
			errs = append(errs, err)
		}
	}
	places := make(chan struct{}, parallel)
	var all sync.WaitGroup
	func() {
		defer all.Wait() // also if tenants panics
		for tenant := range tenants {
			select {
			case places <- struct{}{}:
				all.Go(func() {
					defer func() { <-places }()
					p.attempt(op, tenant, do, note)
				})
			case <-ctx.Done():
			case <-p.ctx.Done():
			}
			if ends() {
				mu.Lock()
				stopped = true
				mu.Unlock()
				return
			}
		}
	}()
	switch {
	case !stopped:
	case ctx.Err() != nil:
		errs = append(errs, p.fail(op, "", ctxerr.Ended(ctx)))
	default:
		errs = append(errs, p.fail(op, "", pool.ErrClosed))
	}
	return errors.Join(errs...)
}

// attempt calls do with a tenant, and then note with its error. If Options.Path panics or calls runtime.Goexit, that is the error:
// on this goroutine no caller could recover it.
func (p *Pool) attempt(op, tenant string, do func(tenant string) error, note func(error)) {
	var err error
	catch.Run(func() { err = do(tenant) }, func(ending catch.Ending) {
		if !ending.Returned {
			err = p.fail(op, tenant, &pool.PanicError{Op: pool.Acquire, Value: ending.Value, Stack: ending.Stack})
		}
		note(err)
	})
}
