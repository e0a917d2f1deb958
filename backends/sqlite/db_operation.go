package sqlite

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"time"

	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite"
)

// operation is one call of Read, Write or Batch as the observer sees it. The zero operation is one that it does not want.
type operation struct {
	tap   *pool.Tap // nil: the observer does not want it
	run   *pool.Run // how it went, as far as that is known
	began time.Time
	ctx   context.Context // for all that the call does
}

// What is told of most operations: to make it for each would cost an allocation.
var (
	readRun  = &pool.Run{Name: "read"}
	writeRun = &pool.Run{Name: "write"}
	batchRun = &pool.Run{Name: "batch"}
	soloRun  = &pool.Run{Name: "batch", Attempts: 1}
)

// operation begins one. The pool of mode has it.
func (d *database) operation(ctx context.Context, mode Mode, run *pool.Run) operation {
	tap := d.tap(mode)
	if tap == nil || !tap.Enabled(ctx) {
		return operation{ctx: ctx}
	}
	o := operation{tap: tap, run: run, began: time.Now()}
	o.ctx = tap.Begin(ctx, pool.Event{Op: pool.Operation, Operation: o.run})
	return o
}

// tap is that of the observer of a mode's pool; nil if there is none.
func (d *database) tap(mode Mode) *pool.Tap {
	if d.memory {
		mode = Writer
	}
	return d.statements.taps[mode]
}

// errUnreturned is the error of a call whose function did not return: it panicked, or called runtime.Goexit.
var errUnreturned error = &pool.PanicError{Op: pool.Operation}

// end tells the observer what the caller gets.
func (o operation) end(err error) {
	if o.tap != nil {
		o.tap.End(o.ctx, pool.Event{Op: pool.Operation, Took: time.Since(o.began), Operation: o.run, Code: codeOf(err), Err: err})
	}
}

// commit calls commit, and tells the observer of it. ctx is that of the call's function.
func (o operation) commit(ctx context.Context, commit func() error) error {
	if o.tap == nil {
		return commit()
	}
	began := time.Now()
	ctx = o.tap.Begin(ctx, pool.Event{Op: pool.Commit})
	err := commit()
	o.tap.End(ctx, pool.Event{Op: pool.Commit, Took: time.Since(began), Code: codeOf(err), Err: err})
	return err
}

// codeOf returns SQLite's extended code in err; nil if SQLite has said nothing.
func codeOf(err error) *pool.Code {
	if err == nil {
		return nil
	}
	code := sqlite.ErrCode(err)
	if code == sqlite.ResultOK || code == sqlite.ResultError && !fromSQLite(err) {
		return nil
	}
	return &pool.Code{Name: code.String(), Number: strconv.Itoa(int(code))}
}

// fromSQLite reports whether the generic code is SQLite's own, and not what ErrCode says of any other error.
func fromSQLite(err error) bool { return errors.As(err, reflect.New(sqliteError).Interface()) }

// sqliteError is the type, which is not exported, by which ErrCode finds the code.
var sqliteError = reflect.TypeOf(sqlite.ResultError.ToError())
