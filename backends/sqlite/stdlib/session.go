package stdlib

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
)

// session is a driver.Conn without a connection: it takes a reader or the writer when a statement needs one,
// and keeps it only while a transaction, or something that a statement left on the connection, needs it.
//
// database/sql calls it from one goroutine at a time; the timer of an idle transaction is another one.
type session struct {
	*connector

	mu sync.Mutex // protects the following
	database
	unpin   func()       // gives database back; nil: it is that of the connector, or there is none
	readers atomic.Int32 // that open rows have, which need the database still
	held    *hold        // of the transaction, or with what a statement left on it, such as a temporary table; nil: none
	tx      *transaction
	pinned  bool        // a script runs, which keeps held between its statements
	idle    *time.Timer // ends what is held by a program that forgot it
	idleFor uint64      // counts the uses of held, so that a timer that comes late does nothing
	known   knowledge   // of the text that runs
	changes raw.Changes // the session's own
	pragmas []setting   // session pragmas that are not as they are on other sessions
	begun   bool        // BeginTx has begun a Tx, which database/sql has not ended yet
	gone    error       // why a statement must not run: what the session had left on a connection is gone. nil: nothing is
}

var (
	_ driver.ConnBeginTx        = (*session)(nil)
	_ driver.ConnPrepareContext = (*session)(nil)
	_ driver.ExecerContext      = (*session)(nil)
	_ driver.QueryerContext     = (*session)(nil)
	_ driver.Pinger             = (*session)(nil)
	_ driver.SessionResetter    = (*session)(nil)
	_ driver.Validator          = (*session)(nil)
	_ driver.NamedValueChecker  = (*session)(nil)
)

// QueryContext runs a text and returns its rows. Those of a write come when it is committed.
func (s *session) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.attach(ctx); err != nil {
		return nil, typed(err)
	}
	done, err := s.run(ctx, text, args, true)
	if err != nil {
		return nil, typed(err)
	}
	return done.rows(ctx, s), nil
}

// ExecContext runs a text to its end.
func (s *session) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.attach(ctx); err != nil {
		return nil, typed(err)
	}
	done, err := s.run(ctx, text, args, false)
	if err != nil {
		return nil, typed(err)
	}
	return done.result, nil
}

// Ping acquires a reader and gives it back. A session that holds a connection looks at that: in memory it would wait for itself.
func (s *session) Ping(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		return typed(s.lost())
	}
	if err := s.attach(ctx); err != nil {
		return typed(err)
	}
	lease, err := s.door.AcquireReader(ctx)
	if err != nil {
		return typed(err)
	}
	lease.Release()
	return nil
}

// ResetSession is called before the session serves again. IsValid has done it all.
func (s *session) ResetSession(context.Context) error { return nil }

// IsValid is called when the session is put back: what it holds goes back to its pool, through the verified reset.
func (s *session) IsValid() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putBack()
	return true
}

// Close ends the session.
func (s *session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putBack()
	return nil
}

// putBack gives back what the session holds. A transaction that BEGIN began and nothing ended is rolled back, and a finding:
// it is reported last, since what that calls may panic.
func (s *session) putBack() {
	if tx := s.tx; tx != nil {
		if tx.over == nil && s.held != nil {
			defer s.door.Report(context.Background(), false, "begun "+tx.place())
		}
		s.endTransaction()
	}
	s.letGo()
	s.detach()
	s.begun, s.gone = false, nil
}

// letGo gives back the connection that is held.
func (s *session) letGo() {
	s.stopIdle()
	if s.held != nil {
		s.held.release()
		s.held = nil
	}
}

// outcome is what a text has done.
type outcome struct {
	result
	shape  *shape         // nil: no columns
	values []driver.Value // rows that were read
	more   *cursor        // with those that were not; nil: all were
	own    bool           // its connection belongs to the rows
	sets   []resultSet    // further ones, of a script
}

type resultSet struct {
	shape  *shape
	values []driver.Value
}

type result struct{ lastInsertID, rowsAffected int64 }

// LastInsertId returns the rowid of the last row that the session has inserted.
func (r result) LastInsertId() (int64, error) { return r.lastInsertID, nil }

// RowsAffected returns how many rows the statement has inserted, updated or deleted.
func (r result) RowsAffected() (int64, error) { return r.rowsAffected, nil }

// errElsewhere says that a text belongs elsewhere than where it was tried, which was learnt.
var errElsewhere = errors.New("headpond/sqlite/stdlib: it runs elsewhere")

// run runs a text where it belongs.
func (s *session) run(ctx context.Context, text string, values []driver.NamedValue, query bool) (done outcome, err error) {
	if err := ctx.Err(); err != nil {
		return done, err
	}
	returned := false
	defer func() { // a panic, as of an SQL function: after one in Query nothing puts the session back
		if !returned && s.held == nil && s.tx == nil {
			s.detach()
		}
	}()
	done, err = s.runLearning(ctx, text, values, query)
	returned = true
	return done, err
}

// runLearning runs a text where it belongs, as soon as that is known.
func (s *session) runLearning(ctx context.Context, text string, values []driver.NamedValue, query bool) (done outcome, err error) {
	s.known = s.texts.look(text)
	for range 4 { // each time something was learnt
		args := newArguments(values)
		done, err = s.runKnown(ctx, text, s.known, &args, query)
		if !errors.Is(err, errElsewhere) {
			return done, err
		}
	}
	return done, err
}

// learnOf changes what is known of the text that runs, or is compiled: also if it is too long to be remembered.
func (s *session) learnOf(text string, change func(known *knowledge)) {
	change(&s.known)
	s.texts.learn(text, change)
}

func (s *session) runKnown(ctx context.Context, text string, known knowledge, args *arguments, query bool) (outcome, error) {
	switch {
	case known.kind == empty:
		return outcome{result: s.unchanged()}, args.finish()
	case s.wasEnded(known):
		return outcome{}, errEndedByText
	case known.script:
		return s.script(ctx, text, args, query)
	case known.kind >= begin && known.kind <= savepoint:
		if err := args.finish(); err != nil {
			return outcome{}, err
		}
		return outcome{result: s.unchanged()}, s.command(ctx, text, known.kind)
	case known.kind == sessionPragma && s.tx == nil:
		if err := args.finish(); err != nil {
			return outcome{}, err
		}
		return outcome{result: s.unchanged()}, s.setPragma(ctx, setting{known.name, truth(known.value)})
	case known.kind == sessionPragma:
		return s.insideTransaction(ctx, text, known, args, query)
	case s.tx != nil || s.held != nil:
		return s.onHeld(ctx, text, known, args, query)
	}
	switch known.kind {
	case unknown, read:
		return s.onReader(ctx, text, known, args, query)
	case write:
		if !s.options.NoBatch && !known.alone && len(s.pragmas) == 0 {
			return s.inBatch(ctx, text, known, args, query)
		}
	}
	return s.onWriter(ctx, text, known, args, query)
}

// wasEnded reports whether a write would commit by itself, though the program takes it for a part of a Tx: a text has ended that.
func (s *session) wasEnded(known knowledge) bool {
	return s.begun && s.tx == nil && known.kind == write && !known.script
}

// unchanged is the result of what changes no rows.
func (s *session) unchanged() result { return result{lastInsertID: s.changes.LastInsertRowID} }

// changed notes what a statement has changed, and returns its result.
func (s *session) changed(now raw.Changes, known knowledge) result {
	s.changes = now
	done := s.unchanged()
	if known.kind == write {
		done.rowsAffected = now.Rows
	}
	return done
}

// learn notes what SQLite says of the first statement of text. It returns errElsewhere if text is a script.
func (s *session) learn(c *cursor, text, rest string) error {
	script := !blank(rest)
	s.learnOf(text, func(known *knowledge) {
		known.script, known.sql = script, text[:len(text)-len(rest)]
	})
	if script {
		return errElsewhere
	}
	return nil
}
