package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"zombiezen.com/go/sqlite"
)

// reset brings the connection back to its baseline, and counts what it finds.
// An error means that it could not: the connection must end.
// It costs about half a microsecond if there is nothing to find, for a reader half of that, and uses ctx only for OnFinding:
// no step of it waits, unless a commit has failed on the disk: see settleCommits.
func (c *connection) reset(ctx context.Context) error {
	defer func() { c.borrower = nil }()
	var found findings
	if c.Closed() {
		found.add(c, FoundClosed, "") // whatever touches SQLite now may crash
		found.report(ctx, c.database)
		return errClosed
	}
	c.unwatch()
	if i := c.interrupter.Load(); c.InterruptChannel() != i.done {
		found.add(c, FoundInterrupt, "")
		c.renewInterrupter()
	} else if i.triggered() {
		c.renewInterrupter()
	}
	if c.Handle.Limits() != c.limits { // first: a low one breaks what follows
		found.add(c, FoundLimit, "")
		c.SetLimits(c.limits)
	}
	torn, last := c.Torn(), c.ErrorCode()
	c.RefuseCommits(torn)
	c.waitsForLocks, c.lockUntil, c.called = true, time.Time{}, time.Time{}
	c.unlocked()
	if c.endsBy(last) {
		found.report(ctx, c.database)
		return fmt.Errorf("headpond/sqlite: the last statement failed: %w", last.ToError())
	}
	if last.ToPrimary() == sqlite.ResultReadOnly && c.mode == Writer && c.file != nil {
		found.report(ctx, c.database) // it was opened where it could not write; the next one may
		return fmt.Errorf("headpond/sqlite: the writer can't write: %w", last.ToError())
	}
	if torn {
		found.add(c, FoundWedged, "a panic in the middle of a statement")
		c.ResetBusy()
	} else if c.leftOpen() {
		found.add(c, FoundStatement, c.BusyStatement())
		c.ResetBusy()
	}
	if !c.HasAuthorizer() { // another one may forbid ROLLBACK
		found.add(c, FoundAuthorizer, "")
		c.SetAuthorizer()
	}
	if !c.Autocommit() {
		found.add(c, FoundTransaction, "")
		_ = c.Run(raw.Rollback) // Probe looks again
	}
	c.RefuseCommits(false)
	unsettled := c.settleCommits()
	if !c.isClean(found, last) {
		if err := c.Probe(); err != nil && !torn {
			found.add(c, FoundWedged, err.Error())
		}
	}
	if !c.HasBusyHandler() {
		found.add(c, FoundBusyHandler, "")
		c.SetBusyHandler()
	}
	c.ForgetChanges()
	if c.CachedStatements() > c.database.options.MaxStatements {
		found.add(c, FoundStatements, fmt.Sprintf("%d cached", c.CachedStatements()))
	}
	c.keepStatements()
	c.letBindingsGo()
	c.findTaint(&found)
	if found == nil && unsettled == nil {
		return c.checkGeneration()
	}
	found.report(ctx, c.database)
	return cmp.Or(found.err(), unsettled, c.checkGeneration())
}

// isClean reports whether a reader needs no Probe: its last call went well, nothing was found,
// and the handle shows that neither a statement nor a transaction is open. There is nothing then that a savepoint could stumble over.
func (c *connection) isClean(found findings, last sqlite.ResultCode) bool {
	return c.mode == Reader && found == nil && (last == sqlite.ResultOK || last == sqlite.ResultDone) && c.Idle()
}

// isChanged reports whether the borrower left the connection other than it was,
// statements and transactions apart.
func (c *connection) isChanged() bool {
	return c.Torn() || c.InterruptChannel() != c.interrupter.Load().done || c.Handle.Limits() != c.limits || !c.HasBusyHandler() ||
		!c.HasAuthorizer() || c.taint != 0 || c.Handle.Settings() != c.settings
}

// findTaint looks for what can't be undone.
func (c *connection) findTaint(found *findings) {
	if taint := c.taint; taint != 0 {
		for kind := range FindingKinds {
			if taint&(1<<kind) != 0 {
				found.add(c, kind, c.tainted[kind])
			}
		}
	}
	if now := c.Handle.Settings(); now != c.settings {
		switch {
		case now.Sessions != c.settings.Sessions:
			found.add(c, FoundSession, "")
		case now.Registered != c.settings.Registered:
			found.add(c, FoundFunction, "")
		case now.Temp != c.settings.Temp:
			if c.taint&(1<<FoundTemp) == 0 {
				found.add(c, FoundTemp, "")
			}
		case c.taint&(1<<FoundPragma) == 0:
			found.add(c, FoundPragma, "a flag of the connection")
		}
	}
}

// Reset brings any zombiezen connection back to where the next borrower can use it:
// statements in the middle of their rows and open blobs are reset, cached or not,
// a transaction and its savepoints are rolled back, the interrupt channel is taken off,
// and a savepoint is set and released to prove that the connection works. A reader whose last call succeeded, and whose handle shows
// that nothing is open, needs no such proof.
//
// For a connection that [Hooks] or [Open] made, it also restores limits and the busy handler,
// and its error names what can't be undone: then close the connection. One that headpond did not open has no
// known baseline: its pragmas, temporary tables, attached databases, limits,
// busy handler and authorizer stay as the borrower left them.
//
// Reset does not block, but for Options.BusyTimeout at most if a COMMIT on a connection that Hooks or Open made failed on the disk:
// what that has left in the log is overwritten. The connection must not be in use by another goroutine.
func Reset(ctx context.Context, conn *Conn) error {
	if c, ok := connectionOf(conn); ok {
		return c.reset(ctx)
	}
	if err := supported(); err != nil {
		return fmt.Errorf("headpond/sqlite: reset: %w", err)
	}
	h := raw.New(conn)
	if h.Closed() {
		return errClosed
	}
	conn.SetInterrupt(nil)
	if h.Active() > 0 {
		h.ResetBusy()
	}
	err := h.WithCommands(func() error {
		if !h.Autocommit() {
			_ = h.Run(raw.Rollback) // Probe looks again
		}
		return h.Probe()
	})
	if err != nil {
		return fmt.Errorf("headpond/sqlite: reset: %w", err)
	}
	return nil
}
