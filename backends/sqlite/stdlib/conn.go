package stdlib

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/headpond/headpond/backends/sqlite"
)

// Conn calls use with the connection that conn has, inside its transaction if it has one, else with the writer
// (with a reader if the database is read-only), for which it waits until ctx ends.
// The end of ctx interrupts what use runs. use must not keep the connection, and must not end conn's transaction.
// The error is that of use as it is, or that of the acquire.
func Conn(ctx context.Context, conn *sql.Conn, use func(conn *sqlite.Conn) error) error {
	return conn.Raw(func(driverConn any) error {
		s, ok := driverConn.(*session)
		if !ok {
			return fmt.Errorf("headpond/sqlite/stdlib: Conn: the connection is a %T, of another driver", driverConn)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.lend(ctx, use)
	})
}

func (s *session) lend(ctx context.Context, use func(conn *sqlite.Conn) error) (err error) {
	if err := s.attach(ctx); err != nil {
		return typed(err)
	}
	if s.held == nil && s.tx == nil {
		take := s.takeWriter
		if s.door.ReadOnly() {
			take = s.takeReader
		}
		h, err := take(ctx)
		if err != nil {
			return typed(err)
		}
		_ = h.below.Finish(ctx, nil)
		s.held = h
	}
	h, err := s.use(ctx)
	if err != nil {
		return typed(err)
	}
	defer s.used(ctx, &err)
	defer func() { s.changes = h.below.Handle().Changes() }()
	return use(h.conn)
}
