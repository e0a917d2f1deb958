package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// How transactions begin. See https://www.postgresql.org/docs/current/sql-begin.html.
const (
	beginSnapshot     = "begin isolation level repeatable read read only"
	beginWrite        = "begin"
	beginSerializable = "begin isolation level serializable"
)

// rollbackTimeout is what a ROLLBACK may take: the caller's ctx may have ended.
const rollbackTimeout = 5 * time.Second

// staleError is the error of a BEGIN on a connection that turned out to be of no use: nothing was executed, and another one may do.
type staleError struct{ error }

func (e *staleError) Unwrap() error { return e.error }

// tx is the transaction that a function gets.
type tx struct {
	pgx.Tx
	what string
}

// Commit is refused: what gave the transaction to the function ends it.
func (t *tx) Commit(context.Context) error {
	return fmt.Errorf("headpond/postgres: Commit inside %s, which commits by itself if its function returns nil", t.what)
}

// begin begins a transaction that only commit can commit.
func (s *session) begin(ctx context.Context, what, how string) (*tx, error) {
	inner, err := s.conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: how})
	if err != nil {
		if _, lost := s.lost(); lost && ctx.Err() == nil {
			return nil, &staleError{s.fail("begin", err)}
		}
		return nil, s.blame(ctx, "begin", err)
	}
	s.wire.sent.guarded = true
	if (how == beginWrite || how == beginSerializable) && s.isReadOnly() {
		return nil, s.refuseToWrite(ctx)
	}
	return &tx{inner, what}, nil
}

// refuseToWrite ends a transaction that was begun to write, on a server that has become read-only:
// the connections to it are retired, so that others find the primary.
func (s *session) refuseToWrite(ctx context.Context) error {
	s.rollBack(ctx)
	err := s.fail("begin", ErrReadOnly)
	if s.bornReadOnly || s.member == nil { // another one would be so as well
		return err
	}
	s.connector.cluster.retire(s)
	return &staleError{err}
}

// transact calls use inside a transaction, and commits it: see DB.Write.
// If use panics, the connection ends, and the transaction with it.
func (s *session) transact(ctx context.Context, what, how string, use func(ctx context.Context, tx pgx.Tx) error) error {
	t, err := s.begin(ctx, what, how)
	if err != nil {
		return err
	}
	err = use(ctx, t)
	if err == nil {
		err = s.committable(ctx)
	}
	if err != nil {
		s.rollBack(ctx)
		return s.blame(ctx, "use", err)
	}
	return s.commit(ctx)
}

// committable returns why the transaction can't be committed.
func (s *session) committable(ctx context.Context) error {
	switch pg := s.conn.PgConn(); {
	case pg.IsClosed():
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ended(ctx), ErrRolledBack)
		}
		if err, lost := s.lost(); lost {
			return fmt.Errorf("%w: %w", ErrRolledBack, err)
		}
		return fmt.Errorf("%w: its connection was closed", ErrRolledBack)
	case pg.IsBusy():
		return fmt.Errorf("%w: rows, a batch or a COPY were left open: close them before the function returns", ErrRolledBack)
	case pg.TxStatus() == 'I':
		return errTransactionEnded
	case ctx.Err() != nil:
		return ended(ctx)
	}
	return nil
}

// commit commits. Its error says whether that is certain.
func (s *session) commit(ctx context.Context) error {
	s.wire.sent.guarded = false
	warnings, written := s.wire.received.warnings, s.wire.sent.written
	tag, err := s.sendCommit(ctx)
	switch {
	case err == nil && tag != "COMMIT":
		return fmt.Errorf("%w: a statement in it had failed", ErrRolledBack)
	case err == nil && ctx.Err() != nil && s.wire.received.warnings > warnings:
		// A COMMIT that waits for a synchronous replica, and is cancelled, has succeeded here alone.
		return s.unknown(fmt.Errorf("%w: it may not have reached a synchronous replica", ended(ctx)))
	case err == nil:
		return nil
	case s.wire.sent.written == written, refused(err): // pgconn.SafeToRetry may be wrong about what was sent
		s.rollBack(ctx)
		return s.blame(ctx, "commit", err)
	}
	_ = s.conn.Close(ctx) // it is of no use any more
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ended(ctx), err)
	}
	return s.unknown(err)
}

// sendCommit sends COMMIT, and returns the tag of its answer. If there are replicas, it asks in the same breath
// up to where they have to replay what was written.
func (s *session) sendCommit(ctx context.Context) (tag string, err error) {
	if s.member == nil || !s.connector.cluster.several() {
		tag, err := s.conn.Exec(ctx, "commit")
		return tag.String(), err
	}
	results, err := s.conn.PgConn().Exec(ctx, "commit; SELECT pg_catalog.pg_current_wal_insert_lsn()").ReadAll()
	if len(results) > 0 {
		tag = results[0].CommandTag.String()
	}
	if tag != "COMMIT" {
		return tag, err
	}
	if len(results) == 2 && len(results[1].Rows) == 1 {
		if to, err := position(string(results[1].Rows[0][0])); err == nil {
			raise(&s.connector.cluster.written, to)
			return tag, nil
		}
	}
	s.connector.cluster.lost.Add(1) // it was committed, but where to is not known
	return tag, nil
}

func (s *session) unknown(err error) error {
	if s.member != nil {
		s.connector.cluster.lost.Add(1)
	}
	return s.fail("commit", fmt.Errorf("%w: %w", ErrOutcomeUnknown, err))
}

// refused reports whether err of a COMMIT is an answer that says that nothing was committed.
// An error with which a server ends a connection does not: maybe it has committed before.
func refused(err error) bool {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) || answer.SeverityUnlocalized != "ERROR" {
		return false
	}
	switch answer.Code {
	case "08007", "40003": // transaction_resolution_unknown, statement_completion_unknown
		return false
	}
	return true
}

// rollBack ends the transaction if there still is one, and the connection if that fails.
func (s *session) rollBack(ctx context.Context) {
	s.wire.sent.guarded = false
	pg := s.conn.PgConn()
	if pg.IsClosed() || pg.TxStatus() == 'I' && !pg.IsBusy() {
		return
	}
	if pg.IsBusy() { // reset counts it, and ends the connection
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	if _, err := s.conn.Exec(ctx, "rollback"); err != nil {
		_ = s.conn.Close(ctx) // which rolls back as well
	}
}

// blame says whose fault err is: if ctx has ended, or the DB is closed, and a statement was cancelled for it, it is theirs.
// If the connection was lost, it is an *Error.
func (s *session) blame(ctx context.Context, step string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		if cancelled(err) && !(errors.Is(err, ctx.Err()) && errors.Is(err, context.Cause(ctx))) {
			return fmt.Errorf("%w: %w", ended(ctx), err)
		}
		return err
	case s.connector.interrupted.Load() && state(err) == "57014":
		return fmt.Errorf("%w: %w", pool.ErrClosed, err)
	}
	if state(err) == "25006" && s.member != nil && !s.replica && s.isReadOnly() {
		s.connector.cluster.retire(s) // it has become so
		return withKind(err)
	}
	if why, lost := s.lost(); lost {
		if !errors.Is(withKind(err), why) && !errors.Is(err, why) {
			err = fmt.Errorf("%w: %w", why, err)
		}
		return s.fail(step, err)
	}
	return err
}

// again reports whether the server says that a transaction may succeed when it is repeated from its beginning.
func again(err error) bool {
	switch state(err) {
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return !errors.Is(err, ErrOutcomeUnknown)
	}
	return false
}
