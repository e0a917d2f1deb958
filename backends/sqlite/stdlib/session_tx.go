package stdlib

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/headpond/headpond/backends/sqlite/internal/door"
	"github.com/headpond/headpond/internal/catch"
)

// transaction is one that a session has begun.
type transaction struct {
	savepoint bool  // by SAVEPOINT: the outermost RELEASE commits it
	reads     bool  // it is read-only
	rollbacks int32 // of the connection when it began
	over      error // why it is over though nothing ended it: each later statement, and Commit, fails with it
	callers   [16]uintptr
}

// BeginTx begins a transaction: BEGIN IMMEDIATE on the writer, or with ReadOnly one snapshot on a reader.
// It blocks until it has it, or until ctx ends. Isolation may be Default, Serializable, Snapshot or Linearizable:
// SQLite's transactions are all of these.
func (s *session) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	switch level := sql.IsolationLevel(options.Isolation); level {
	case sql.LevelDefault, sql.LevelSerializable, sql.LevelSnapshot, sql.LevelLinearizable:
	default:
		return nil, fmt.Errorf("headpond/sqlite/stdlib: isolation level %q is not offered: it must be Default, Serializable, Snapshot or Linearizable", level)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.attach(ctx); err != nil {
		return nil, typed(err)
	}
	if err := s.begin(ctx, options.ReadOnly); err != nil {
		return nil, typed(err)
	}
	s.begun = true
	return (*ending)(s), nil
}

// Begin is BeginTx without a ctx.
func (s *session) Begin() (driver.Tx, error) {
	return s.BeginTx(context.Background(), driver.TxOptions{})
}

// ending is a session whose transaction database/sql is to end.
type ending session

// Commit commits the transaction. It returns sqlite.ErrRolledBack if the transaction was over before.
func (e *ending) Commit() error {
	s := (*session)(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = false
	return typed(s.commit(context.Background()))
}

// Rollback rolls it back.
func (e *ending) Rollback() error {
	s := (*session)(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = false
	return typed(s.rollback())
}

// begin begins a transaction. One that reads holds a reader.
func (s *session) begin(ctx context.Context, reads bool) (err error) {
	if s.tx != nil {
		return errInTransaction
	}
	reads = reads || s.door.ReadOnly()
	tx := &transaction{reads: reads}
	runtime.Callers(3, tx.callers[:])
	h := s.held
	switch {
	case h != nil:
		s.stopIdle()
		h.below.Watch(ctx)
	case reads:
		if h, err = s.takeReader(ctx); err != nil {
			return err
		}
		h.kept = s.door.Keep()
	default:
		if h, err = s.takeWriter(ctx); err != nil {
			return err
		}
	}
	s.held = h
	quieted := reads && h.writes && !h.quiet
	if quieted {
		h.setQuiet(true)
	}
	tx.rollbacks = h.below.Handle().Rollbacks()
	if err = h.below.Finish(ctx, h.below.Begin(ctx, !reads)); err != nil {
		if quieted {
			h.setQuiet(false)
		}
		s.release()
		return err
	}
	s.tx = tx
	s.startIdle()
	return nil
}

// lost returns why the transaction is over, though nothing of the session has ended it; nil if it is not, or there is none.
func (s *session) lost() error {
	tx := s.tx
	switch {
	case tx == nil && s.held != nil && door.ConnOf(s.held.conn) == nil:
		return errGone
	case tx == nil || tx.over != nil:
		return s.overBy(tx)
	case door.ConnOf(s.held.conn) == nil:
		tx.over = fmt.Errorf("%w: %w", rolledBack("its connection is gone"), errGone)
	case s.held.below.Handle().Rollbacks() != tx.rollbacks:
		tx.over = rolledBack("a statement of it was interrupted, or ended it by a constraint, a trigger or a full disk")
	case s.held.below.Handle().Autocommit() && !tx.savepoint:
		tx.over = rolledBack("it is not open any more")
	}
	return tx.over
}

func (s *session) overBy(tx *transaction) error {
	if tx == nil {
		return nil
	}
	return tx.over
}

// commit commits the transaction and gives its connection back.
func (s *session) commit(ctx context.Context) error {
	if s.tx == nil {
		return errNoTransaction
	}
	s.stopIdle()
	if err := s.lost(); err != nil {
		s.endTransaction()
		s.release()
		return err
	}
	h := s.held
	h.endCursors(errTransactionOver)
	h.below.Watch(ctx)
	defer s.release() // also if Options.OnFinding panics
	defer s.forget()
	return h.below.Finish(ctx, h.below.Commit(ctx))
}

// rollback rolls the transaction back and gives its connection back. It is no error that it was over before.
func (s *session) rollback() error {
	if s.tx == nil {
		return errNoTransaction
	}
	s.endTransaction()
	s.release()
	return nil
}

// endTransaction rolls back what is open.
func (s *session) endTransaction() {
	s.stopIdle()
	if h := s.held; h != nil {
		h.endCursors(errTransactionOver)
		h.below.Rollback()
	}
	s.forget()
}

// forget ends what lasts as long as a transaction.
func (s *session) forget() {
	s.tx = nil
	if h := s.held; h != nil && h.quiet && !s.door.Memory() {
		h.setQuiet(false)
	}
	kept := s.pragmas[:0:0]
	for _, p := range s.pragmas {
		if p.name != "defer_foreign_keys" {
			kept = append(kept, p)
		}
	}
	s.pragmas = kept
}

// command runs BEGIN, COMMIT, ROLLBACK, or one about savepoints.
func (s *session) command(ctx context.Context, text string, kind kind) error {
	switch kind {
	case begin:
		return s.begin(ctx, false)
	case commit:
		return s.commit(ctx)
	case rollback:
		return s.rollback()
	}
	if s.tx == nil {
		if s.held == nil {
			h, err := s.takeWriter(ctx)
			if err != nil {
				return err
			}
			s.held = h
			_ = h.below.Finish(ctx, nil)
		}
		s.tx = &transaction{savepoint: true, rollbacks: s.held.below.Handle().Rollbacks()}
		runtime.Callers(3, s.tx.callers[:])
	}
	none := newArguments(nil)
	_, err := s.onHeld(ctx, text, knowledge{kind: direct}, &none, false)
	if tx := s.tx; tx != nil && tx.savepoint && s.held != nil && s.held.below.Handle().Autocommit() && tx.over == nil { // RELEASE of what is not there
		s.forget()
		s.release()
	}
	return err
}

// place says where the transaction was begun: the innermost caller outside of database/sql and this package.
func (tx *transaction) place() string {
	frames := runtime.CallersFrames(tx.callers[:])
	for {
		frame, more := frames.Next()
		own := strings.HasPrefix(frame.Function, ownFunctions) && !strings.HasSuffix(frame.File, "_test.go")
		if frame.PC != 0 && !own && !strings.HasPrefix(frame.Function, "database/sql.") {
			return fmt.Sprintf("by %s:%d %s", frame.File, frame.Line, frame.Function)
		}
		if !more {
			return "by an unknown caller"
		}
	}
}

// ownFunctions begins the name of every function of this package.
const ownFunctions = "github.com/headpond/headpond/backends/sqlite/stdlib."

// startIdle lets the writer go if the session does nothing with it for Options.IdleInTx.
func (s *session) startIdle() {
	if s.options.IdleInTx < 0 || s.held == nil || !s.held.writes || s.tx != nil && s.tx.reads {
		return
	}
	s.idleFor++
	use := s.idleFor
	s.idle = time.AfterFunc(s.options.IdleInTx, func() { s.endIdle(use) })
}

func (s *session) stopIdle() {
	s.idleFor++
	if s.idle != nil {
		s.idle.Stop()
		s.idle = nil
	}
}

// endIdle rolls back what the session has forgotten since its use-th use.
func (s *session) endIdle(use uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idleFor != use || s.held == nil {
		return
	}
	text := "a temporary object or a pragma"
	if tx := s.tx; tx != nil {
		text = "begun " + tx.place()
		tx.over = rolledBack(fmt.Sprintf("nothing ran in it for %v; %s", s.options.IdleInTx, text))
		s.held.endCursors(tx.over)
		s.held.below.Rollback()
	} else {
		s.gone = fmt.Errorf("headpond/sqlite/stdlib: nothing ran on the connection for %v, and what it had is gone, "+
			"such as a temporary table, an attached database or a pragma: close the *sql.Conn, or raise IdleInTx (idle_in_tx)", s.options.IdleInTx)
	}
	door := s.door
	s.letGo()
	if s.readers.Load() == 0 { // otherwise putBack does it, when they are closed
		s.detach()
	}
	catch.Run(func() { door.Report(context.Background(), true, text) }, func(catch.Ending) {}) // no caller is there to get a panic
}
