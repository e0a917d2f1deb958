package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// session is what this package knows of a connection that it opened.
type session struct {
	connector *connector
	host      string
	conn      *pgx.Conn
	sql       *stdlib.Conn // the same connection, as database/sql wants it
	wire      *wire
	baseline  baseline

	// Of a DB's connections:

	member       *member // nil: of Hooks
	generation   uint64  // of member, when it was opened
	replica      bool    // so was the server then
	bornReadOnly bool    // the server let nothing be written then
}

// sessionKey is under which pgx keeps the session of a connection.
const sessionKey = "github.com/headpond/headpond/backends/postgres"

// sessionOf returns the session of a connection; false if this package did not open it.
func sessionOf(conn *pgx.Conn) (*session, bool) {
	s, ok := conn.PgConn().CustomData()[sessionKey].(*session)
	return s, ok
}

// fail returns err as that of a step.
func (s *session) fail(step string, err error) error {
	var already *Error
	if err == nil || errors.As(err, &already) {
		return err
	}
	return &Error{Host: s.host, Database: s.connector.config.Database, Step: step, Err: withKind(err)}
}

// lost reports whether the connection broke or the server ended it, and how.
// A connection that was closed because a ctx ended, or by its borrower, is not lost.
func (s *session) lost() (error, bool) {
	r := &s.wire.received
	switch {
	case r.fatal != "":
		if kind := kinds[r.fatal]; kind != nil {
			return fmt.Errorf("%w (SQLSTATE %s)", kind, r.fatal), true
		}
		return fmt.Errorf("%w (SQLSTATE %s)", ErrTerminated, r.fatal), true
	case r.lost != nil:
		return ErrLost, true
	}
	return nil, false
}

// check asks the server for a sign of life.
func (s *session) check(ctx context.Context) error {
	if s.conn.IsClosed() {
		return errClosed
	}
	if s.retired() {
		return errRetired
	}
	err := s.conn.Ping(ctx)
	if err != nil {
		s.noteLoss()
	}
	return s.fail("check", err)
}

// noteLoss retires the connections that are as old as this one if it was lost in a way that will have taken all of them.
func (s *session) noteLoss() {
	if why, lost := s.lost(); lost && s.member != nil && (why == ErrLost || s.wire.received.fatal == "57P02") {
		s.connector.cluster.retire(s)
	}
}

// cleanupTime is what the end of a connection that is closed already may take:
// pgx tells the server of it in the background.
const cleanupTime = time.Second

// end closes the connection.
func (s *session) end(ctx context.Context) error {
	s.connector.sessions.remove(s)
	pg := s.conn.PgConn()
	_ = s.conn.Close(ctx) // that it was broken is no news
	timer := time.NewTimer(cleanupTime)
	defer timer.Stop()
	select {
	case <-pg.CleanupDone():
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	_ = pg.Conn().Close() // a server that does not answer
	return nil
}
