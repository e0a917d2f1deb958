package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/headpond/headpond/internal/agent"
	"github.com/headpond/headpond/internal/catch"
	"github.com/headpond/headpond/pool"
)

// writerSession runs calls of Batch on the writer of a DB: it is the session of its runner.
type writerSession struct {
	database *database
	note     *agent.Note
	writer   *pool.Pool[*Conn]
	agent    *agentContext // with which it acquires the writer; it says which call has that

	lease       pool.Lease[*Conn]
	marks       context.Context // of the lease, for the ctx of calls
	connection  *connection     // of the lease; nil: there is none
	rollbacks   int32           // before the open transaction
	discard     bool            // the connection is to be closed: a call has said so with pool.Discard
	tainted     bool            // the connection is not to be used any further: it was left changed, or broken
	callContext *callContext    // of the call that runs: what it leaves behind may look at its ctx for ever
}

func newWriterSession(database *database) *writerSession {
	return &writerSession{database: database, note: database.note("Batch"), agent: newAgent(context.Background(), "")}
}

func (s *writerSession) closing() bool { return s.database.interrupted.Load() }

func (s *writerSession) acquire() (bool, error) {
	lease, err := s.writer.Acquire(s.agent)
	switch {
	case errors.Is(err, pool.ErrAcquireTimeout):
		return false, nil
	case err != nil:
		return false, err
	}
	s.lease, s.marks, s.tainted, s.discard = lease, lease.Context(context.Background()), false, false
	s.connection, _ = connectionOf(lease.Value())
	return true, nil
}

func (s *writerSession) id() uint64 { return s.lease.ID() }

func (s *writerSession) begin() error {
	err := s.connection.begin()
	if err == nil {
		if err = s.connection.freshenSnapshot(); err != nil {
			s.connection.rollBack()
		}
	}
	if err != nil {
		return s.connection.explain(s.agent, err)
	}
	s.connection.RefuseCommits(true)
	s.rollbacks = s.connection.Rollbacks()
	return nil
}

func (s *writerSession) run(call *call) {
	call.started, call.ending, call.ran = true, catch.Ending{}, time.Now()
	call.attempts++
	s.callContext = &callContext{Context: call.ctx, note: s.note, marks: s.marks}
	s.agent.set(call.label, call.function, call.stack)
	if err := s.connection.Run(raw.Savepoint); err != nil {
		call.ending.Returned, call.err = true, err
		return
	}
	s.connection.ForgetChanges()
	s.connection.keepStatements()
	s.connection.watchUntil(call.ctx, call.caller.Done())
	catch.Run(func() { call.err = call.use(s.callContext, s.connection.conn) }, func(ending catch.Ending) { call.ending = ending })
	if call.err != nil {
		var discard bool
		call.err, discard = pool.Discarded(call.err)
		s.discard = s.discard || discard
	}
}

func (s *writerSession) verify(call *call) (remains, error) {
	c := s.connection
	s.callContext.over.Store(true)
	if c.Closed() {
		return lost, errClosed
	}
	c.unwatch()
	_ = c.noteFailure(call.err)
	call.err = asRolledBack(c.explain(&call.caller, call.err), s.note.Method)
	err := c.checkOpen(&call.caller, s.rollbacks)
	if c.interrupted() && call.caller.Err() != nil {
		c.renewInterrupter()
	}
	s.tainted = c.isChanged() || c.endIfBroken(call.err)
	if c.Autocommit() || c.Rollbacks() != s.rollbacks || c.Torn() {
		return lost, err
	}
	if left := c.rejectLeftovers(); err == nil {
		err = left
	}
	if call.ending.Returned && call.err == nil && err == nil {
		if err := c.Run(raw.Release); err != nil {
			return lost, fmt.Errorf("headpond/sqlite: batch: its savepoint is gone: %w", err)
		}
		return kept, nil
	}
	if err := errors.Join(c.Run(raw.RollbackTo), c.Run(raw.Release)); err != nil {
		return lost, fmt.Errorf("headpond/sqlite: batch: its savepoint can't be rolled back: %w", err)
	}
	return undone, err
}

func (s *writerSession) commit() error {
	s.connection.RefuseCommits(false)
	err := s.connection.commit()
	if err == nil {
		return nil
	}
	s.tainted = s.connection.endIfBroken(err) || s.tainted
	err = s.connection.explain(s.agent, err)
	s.tainted = s.tainted || errors.Is(err, ErrOutcomeUnknown) // another connection may do better
	s.rollBack()
	return err
}

func (s *writerSession) rollBack() {
	s.connection.rollBack()
	s.tainted = s.tainted || s.connection.Closed() || !s.connection.Autocommit()
}

func (s *writerSession) usable() bool { return !s.tainted }

func (s *writerSession) release() {
	s.connection = nil // first: what Options.OnFinding does may end this goroutine
	defer s.agent.clear()
	if s.discard {
		s.lease.Discard()
	} else {
		s.lease.Release()
	}
}

func (s *writerSession) refuse(err error, waited time.Duration) error {
	refused := &pool.Error{Pool: s.writer.Name(), Op: pool.Acquire, Stats: s.writer.Stats(), Waited: waited, Err: err, Advice: s.writer.Options().Advice}
	if waited > 0 {
		refused.Holders = s.writer.Holders()
	}
	return s.database.vain(refused)
}
