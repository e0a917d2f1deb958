package sqlite

import (
	"context"
	"fmt"

	"zombiezen.com/go/sqlite"
)

// reset brings the connection back to its baseline, and counts what it finds.
// An error means that it could not: the connection must end.
// It costs about half a microsecond where there is nothing to find, and uses ctx only for OnFinding:
// no step of it can wait.
func (s *state) reset(ctx context.Context) error {
	var found findings
	if s.closed() {
		found.add(s, FoundClosed, "") // whatever touches SQLite now may crash
		found.report(ctx, s.db)
		return errClosed
	}
	s.disarm()
	if a := s.alarm.Load(); s.interrupt() != a.rings {
		found.add(s, FoundInterrupt, "")
		s.rearm()
	} else if a.fired() {
		s.rearm()
	}
	if s.handle.limits() != s.limits { // first: a low one breaks what follows
		found.add(s, FoundLimit, "")
		s.setLimits(s.limits)
	}
	s.refuseCommits(false)
	s.patient = true
	if code := s.code(); spoils(code) {
		s.db.spoil(s)
		found.report(ctx, s.db)
		return fmt.Errorf("headpond/sqlite: the last statement failed: %w", code.ToError())
	}
	if code := s.code(); code.ToPrimary() == sqlite.ResultReadOnly && s.mode == Writer && s.file != nil {
		found.report(ctx, s.db) // it was opened where it could not write; the next one may
		return fmt.Errorf("headpond/sqlite: the writer can't write: %w", code.ToError())
	}
	if s.active() > 0 {
		found.add(s, FoundStatement, s.busyStatement())
		s.resetBusy()
	}
	if !s.authorized() { // another one may forbid ROLLBACK
		found.add(s, FoundAuthorizer, "")
		s.authorize()
	}
	if !s.autocommit() {
		found.add(s, FoundTransaction, "")
		_ = s.run(rollback) // probe looks again
	}
	if err := s.probe(); err != nil {
		found.add(s, FoundWedged, err.Error())
	}
	if !s.waits() {
		found.add(s, FoundBusyHandler, "")
		s.waitOnBusy()
	}
	s.inspect(&found)
	if found == nil {
		return s.fresh()
	}
	found.report(ctx, s.db)
	if err := found.err(); err != nil {
		return err
	}
	return s.fresh()
}

// probe proves that the connection is idle, and can begin and end a unit of work.
// The pair alone would prove nothing: it succeeds inside a transaction as well.
func (h *handle) probe() error {
	if !h.idle() {
		return fmt.Errorf("%d statements are busy, autocommit is %t, the transaction's state is %d", h.active(), h.autocommit(), h.txnState())
	}
	if err := h.run(savepoint); err != nil {
		return err
	}
	return h.run(release)
}

// changed reports whether the borrower left the connection other than it was,
// statements and transactions apart.
func (s *state) changed() bool {
	return s.interrupt() != s.alarm.Load().rings || s.handle.limits() != s.limits || !s.waits() ||
		!s.authorized() || s.taint() != 0 || s.handle.settings() != s.settings
}

// inspect looks for what can't be undone.
func (s *state) inspect(found *findings) {
	if taint := s.taint(); taint != 0 {
		for kind := range Kinds {
			if taint&(1<<kind) != 0 {
				found.add(s, kind, s.tainted[kind])
			}
		}
	}
	if now := s.handle.settings(); now != s.settings {
		switch {
		case now.sessions != s.settings.sessions:
			found.add(s, FoundSession, "")
		case now.registered != s.settings.registered:
			found.add(s, FoundFunction, "")
		case now.temp != s.settings.temp:
			if s.taint()&(1<<FoundTemp) == 0 {
				found.add(s, FoundTemp, "")
			}
		case s.taint()&(1<<FoundPragma) == 0:
			found.add(s, FoundPragma, "a flag of the connection")
		}
	}
	if s.cached() > s.db.options.MaxStatements {
		found.add(s, FoundStatements, fmt.Sprintf("%d cached", s.cached()))
	}
}

// Reset brings any zombiezen connection back to where the next borrower can use it:
// statements in the middle of their rows and open blobs are reset, cached or not,
// a transaction and its savepoints are rolled back, the interrupt channel is taken off,
// and a savepoint is set and released to prove that the connection works.
//
// For a connection that Hooks or Open made, it also restores limits and the busy handler,
// and its error names what can't be undone: then close the connection. One that headpond did not open has no
// known baseline: its pragmas, temporary tables, attached databases, limits,
// busy handler and authorizer stay as the borrower left them.
//
// Reset does not block. The connection must not be in use by another goroutine.
func Reset(ctx context.Context, conn *Conn) error {
	if s, ok := stateOf(conn); ok {
		return s.reset(ctx)
	}
	if err := reachable(); err != nil {
		return fmt.Errorf("headpond/sqlite: reset: %w", err)
	}
	h := newHandle(conn)
	if h.closed() {
		return errClosed
	}
	conn.SetInterrupt(nil)
	if h.active() > 0 {
		h.resetBusy()
	}
	err := h.borrow(func() error {
		if !h.autocommit() {
			_ = h.run(rollback) // probe looks again
		}
		return h.probe()
	})
	if err != nil {
		return fmt.Errorf("headpond/sqlite: reset: %w", err)
	}
	return nil
}
