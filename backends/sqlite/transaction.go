package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite"
)

// transact calls use inside a transaction that only transact can commit: see DB.Write.
func (s *state) transact(ctx context.Context, use func(ctx context.Context, conn *Conn) error) error {
	if err := s.run(beginImmediate); err != nil {
		return s.blame(ctx, err)
	}
	lost := s.lost()
	s.refuseCommits(true)
	returned := false
	defer func() {
		if !returned { // a panic, or runtime.Goexit
			s.rollBack()
		}
	}()
	err := use(ctx, s.conn)
	returned = true
	if err == nil {
		err = s.committable(ctx, lost)
	}
	if err == nil {
		s.refuseCommits(false)
		err = s.run(commit)
	}
	if err != nil {
		s.rollBack()
		return s.blame(ctx, refused(err))
	}
	return nil
}

// committable returns why the transaction can't be committed.
func (s *state) committable(ctx context.Context, lost int32) error {
	err := s.intact(ctx, lost)
	if err == nil {
		s.dropBusy(ctx)
	}
	return err
}

// intact returns what became of the transaction: it ended, or its caller did.
// lost is what s.lost was at its beginning.
func (s *state) intact(ctx context.Context, lost int32) error {
	switch {
	case s.closed():
		return errClosed
	case s.lost() != lost || s.autocommit():
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ended(ctx), ErrRolledBack)
		}
		return ErrRolledBack
	case s.interrupted():
		if ctx.Err() != nil {
			return ended(ctx)
		}
		return fmt.Errorf("%w: it was interrupted", pool.ErrClosed)
	}
	return nil
}

// dropBusy resets statements in the middle of their rows: with one that writes, COMMIT fails.
// Their rows were all written in their first step.
func (s *state) dropBusy(ctx context.Context) {
	if s.active() == 0 {
		return
	}
	var found findings
	found.add(s, FoundStatement, s.busyStatement())
	found.report(ctx, s.db)
	s.resetBusy()
}

// rollBack ends the transaction, if there is one, even on a connection that is interrupted.
// The reset on release looks again.
func (s *state) rollBack() {
	if s.closed() {
		return
	}
	if s.active() > 0 {
		s.resetBusy() // commits of statements that are outside the transaction are refused still
	}
	if !s.autocommit() {
		_ = s.run(rollback)
	}
	s.refuseCommits(false)
}

// refused says what the commit hook has refused.
func refused(err error) error {
	if sqlite.ErrCode(err) == sqlite.ResultConstraintCommitHook {
		return fmt.Errorf("%w: it is for Write to commit it: %w", ErrRolledBack, err)
	}
	return err
}

// snapshot calls use inside a deferred transaction that reads: see DB.Read.
func (s *state) snapshot(ctx context.Context, use func(ctx context.Context, conn *Conn) error) error {
	if s.db.memory { // where the one connection can write
		s.queryOnly(true)
		defer s.queryOnly(false)
	}
	if err := s.run(begin); err != nil {
		return s.blame(ctx, err)
	}
	err := use(ctx, s.conn)
	if s.closed() {
		return errors.Join(err, errClosed)
	}
	if !s.autocommit() {
		if endErr := s.run(commit); err == nil && endErr != nil {
			err = endErr
		}
	}
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultReadOnly {
		return fmt.Errorf("in Read, which does not write: use Write: %w", err)
	}
	return s.blame(ctx, err)
}

// blame is withContext, and says where it was Close that interrupted what ran, or waited for a lock.
func (s *state) blame(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil && s.interrupted() && gaveUp(err) {
		return fmt.Errorf("%w: %w", pool.ErrClosed, err)
	}
	return withContext(ctx, err)
}
