package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/headpond/headpond/internal/ctxerr"
	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite"
)

// writeTransaction calls use inside a transaction that only writeTransaction can commit: see DB.Write.
func (c *connection) writeTransaction(ctx context.Context, op operation, use func(ctx context.Context, conn *Conn) error) error {
	if err := c.noteFailure(c.begin()); err != nil {
		return c.explain(ctx, err)
	}
	if err := c.noteFailure(c.freshenSnapshot()); err != nil {
		c.rollBack()
		return c.explain(ctx, err)
	}
	rollbacks := c.Rollbacks()
	c.RefuseCommits(true)
	returned := false
	defer func() {
		if !returned { // a panic, or runtime.Goexit
			c.rollBack()
		}
	}()
	err, discard := pool.Discarded(c.noteFailure(use(ctx, c.conn)))
	returned = true
	if err == nil {
		err = c.checkCommittable(ctx, rollbacks)
	}
	if err == nil {
		c.RefuseCommits(false)
		err = op.commit(ctx, c.commit)
	}
	if err != nil {
		c.rollBack()
		err = c.explain(ctx, asRolledBack(err, c.database.within(ctx)))
	}
	return discardAgain(err, discard)
}

// discardAgain marks err with [pool.Discard] for the Do that lent the connection, if the function that it was lent to had done so.
// What becomes of the transaction is decided by the error without the mark.
func discardAgain(err error, discard bool) error {
	if discard {
		return pool.Discard(err)
	}
	return err
}

// checkCommittable returns an error if the transaction can't be committed.
func (c *connection) checkCommittable(ctx context.Context, rollbacks int32) error {
	err := c.checkOpen(ctx, rollbacks)
	if err == nil {
		c.resetLeftOpen(ctx)
	}
	return err
}

// checkOpen returns an error if the transaction, or the ctx of its caller, has ended.
// rollbacks is how many there were at its beginning.
func (c *connection) checkOpen(ctx context.Context, rollbacks int32) error {
	switch {
	case c.Closed():
		return errClosed
	case c.Rollbacks() != rollbacks || c.Autocommit():
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ctxerr.Ended(ctx), ErrRolledBack)
		}
		return errEndedInside
	case c.Torn():
		return errTorn
	case c.interrupted():
		if ctx.Err() != nil {
			return ctxerr.Ended(ctx)
		}
		return fmt.Errorf("%w: it was interrupted", pool.ErrClosed)
	}
	return nil
}

// leftOpen reports whether the borrower left a statement in the middle of its rows, or a blob open.
// In a transaction that writes, R*Tree, geopoly and FTS5 keep a blob of their own open until a savepoint begins.
// One does, and is released, so that what is open after it is the borrower's.
func (c *connection) leftOpen() bool {
	if c.Active() == 0 {
		return false
	}
	if !c.Autocommit() && c.Run(raw.SavepointInside) == nil {
		_ = c.Run(raw.ReleaseInside) // otherwise it ends with the transaction, or the savepoint around it
	}
	return c.Active() > 0
}

// errEndedInside is the error of a function that returned nil although its transaction had ended: a failed statement may have done that, too.
var errEndedInside = fmt.Errorf("%w: return an error instead of ROLLBACK, and the error of each statement that fails", ErrRolledBack)

// errTorn is the error of a transaction in which a statement was ended by a panic.
var errTorn = fmt.Errorf("%w: a panic, as of an SQL function, has ended a statement in the middle of what it does", ErrRolledBack)

// resetLeftOpen resets statements in the middle of their rows: with one that writes, COMMIT fails.
// Their rows were all written in their first step.
func (c *connection) resetLeftOpen(ctx context.Context) {
	if !c.leftOpen() {
		return
	}
	var found findings
	found.add(c, FoundStatement, c.BusyStatement())
	found.report(ctx, c.database)
	c.ResetBusy()
}

// rollBack ends the transaction, if there is one, even on a connection that is interrupted.
// The reset on release looks again.
func (c *connection) rollBack() {
	if c.Closed() {
		return
	}
	if c.Active() > 0 {
		c.ResetBusy() // commits of statements that are outside the transaction are refused still
	}
	for tries := 0; tries < 10 && !c.Autocommit(); tries++ { // an interrupt that comes just now keeps it from beginning
		_ = c.Run(raw.Rollback)
	}
	c.RefuseCommits(false)
}

// asRolledBack returns err as ErrRolledBack if it is that of a commit that the commit hook refused, in a function given to method.
func asRolledBack(err error, method string) error {
	if sqlite.ErrCode(err) == sqlite.ResultConstraintCommitHook {
		return fmt.Errorf("%w: it is for %s to commit it: %w", ErrRolledBack, method, err)
	}
	return err
}

// readTransaction calls use inside a deferred transaction that reads: see DB.Read.
func (c *connection) readTransaction(ctx context.Context, use func(ctx context.Context, conn *Conn) error) error {
	if c.database.memory { // whose one connection can write
		c.SetQueryOnly(true)
		c.RefuseCommits(true) // PRAGMA query_only=0 undoes the former; a COMMIT of nothing is not refused
		defer func() {
			if !c.Closed() { // otherwise there is no memory of SQLite's any more that could be set
				c.RefuseCommits(false)
				c.SetQueryOnly(false)
			}
		}()
	}
	if err := c.noteFailure(c.Run(raw.Begin)); err != nil {
		return c.explain(ctx, err)
	}
	if err := c.noteFailure(c.freshenSnapshot()); err != nil {
		c.rollBack()
		return c.explain(ctx, err)
	}
	err, discard := pool.Discarded(c.noteFailure(use(ctx, c.conn)))
	if c.Closed() {
		return errors.Join(err, errClosed)
	}
	if !c.Autocommit() {
		if endErr := c.Run(raw.Commit); endErr != nil {
			if err == nil {
				err = c.noteFailure(endErr)
			}
			c.rollBack() // an interrupt may come between two statements
		}
	}
	if c.wroteInRead(err) {
		return discardAgain(fmt.Errorf("in Read, which does not write: use Write: %w", err), discard)
	}
	return discardAgain(c.explain(ctx, err), discard)
}

// wroteInRead reports whether err is what SQLite says of a write in Read.
func (c *connection) wroteInRead(err error) bool {
	code := sqlite.ErrCode(err)
	if code.ToPrimary() != sqlite.ResultReadOnly && !(c.database.memory && code == sqlite.ResultConstraintCommitHook) {
		return false
	}
	return !errors.As(err, new(errorElsewhere))
}

// errorElsewhere is the error of a function that writes to another database, as to a copy: it is no matter of Read and Write.
type errorElsewhere struct{ error }

func (e errorElsewhere) Unwrap() error { return e.error }

// explain returns err as that of ctx, as asContextError does, or as pool.ErrClosed if Close interrupted what ran, or waited for a lock.
func (c *connection) explain(ctx context.Context, err error) error {
	switch {
	case err == nil || !c.interrupted():
	case ctx.Err() == nil && (isInterrupted(err) || mayBeOfInterrupt(err)):
		return fmt.Errorf("%w: %w", pool.ErrClosed, err)
	case ctx.Err() != nil && mayBeOfInterrupt(err) && !errors.Is(err, ctx.Err()):
		return fmt.Errorf("%w: %w", ctxerr.Ended(ctx), err)
	}
	return withAdvice(asContextError(ctx, err))
}

// withAdvice says what to do, if SQLite's own text does not.
func withAdvice(err error) error {
	switch code := sqlite.ErrCode(err); {
	case code == sqlite.ResultError && strings.Contains(err.Error(), "cannot start a transaction within a transaction"): // it has no code of its own
		return fmt.Errorf("%w: Read, Write and Batch have begun one, and end it: take out BEGIN and COMMIT, or use SAVEPOINT", err)
	case code == sqlite.ResultError && strings.Contains(err.Error(), "cannot VACUUM from within a transaction"):
		return fmt.Errorf("%w: Read, Write and Batch have begun one: run it with db.Writer().Do, or with database/sql on the *sql.DB", err)
	case code == sqlite.ResultIOErrGetTempPath:
		return fmt.Errorf("%w: SQLite found no directory for a temporary file: set SQLITE_TMPDIR in the environment to one that the process can write, or Options.TempInMemory", err)
	}
	return err
}

// rejectLeftovers returns an error if what a function has left behind keeps it out of a transaction that it shares:
// a statement that it left open, which is reset, or a deferred foreign key that is violated.
func (c *connection) rejectLeftovers() error {
	if c.Closed() || c.Autocommit() {
		return nil // that is found, and says more
	}
	if c.Torn() {
		return errTorn
	}
	if c.leftOpen() {
		err := fmt.Errorf("headpond/sqlite: batch: a statement was left open: %s", c.BusyStatement())
		c.ResetBusy()
		return err
	}
	if c.DeferredViolations() {
		return fmt.Errorf("headpond/sqlite: batch: a deferred foreign key is violated: %w", sqlite.ResultConstraintForeignKey.ToError())
	}
	return nil
}
