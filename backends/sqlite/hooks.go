package sqlite

import (
	"context"

	"github.com/headpond/headpond/resource"
)

// Hooks are what a pool needs to hold connections to the database file at path, under options of one's own:
//
//   - Construct opens a connection. Its error is an *OpenError.
//   - Check notices that the file was deleted, renamed or replaced, and that it was found broken.
//   - Prepare makes the end of the caller's ctx interrupt what runs, and a wait for a lock.
//     Once a second it looks at the file as Check does, for connections that are never idle.
//   - Reset is the verified reset: see [Reset].
//   - Destroy closes the connection, and leaves no lock of it behind. Its error can be an *UnfinalizedError.
//
// A Writer creates the file where there is none; a Reader does not, and its connections are read-only.
// Once a file was opened, another one at its path is an error, ErrReplaced, until new Hooks are made.
//
// Hooks does no I/O. What is wrong with path or options is what Construct returns.
// Of options, those about pools are not used here; Schema is applied to a file that a Writer creates.
// A connection that leaves its pool (pool.Lease.Detach) must be closed with [Close].
func Hooks(path string, mode Mode, options Options) resource.Hooks[*Conn] {
	return newDatabase(path, options).hooks(mode)
}

func (d *database) hooks(mode Mode) resource.Hooks[*Conn] {
	return resource.Hooks[*Conn]{
		Construct: func(ctx context.Context) (*Conn, error) {
			if s := d.first.Load(); s != nil && s.mode == mode && d.first.CompareAndSwap(s, nil) {
				return s.conn, nil
			}
			s, err := d.open(ctx, mode)
			if err != nil {
				return nil, err
			}
			return s.conn, nil
		},
		Check: with(func(ctx context.Context, s *state) error { return s.check(ctx) }),
		Prepare: with(func(ctx context.Context, s *state) error {
			if s.closed() {
				return errClosed
			}
			if err := s.glance(); err != nil {
				return err
			}
			s.arm(ctx)
			return nil
		}),
		Reset:   with(func(ctx context.Context, s *state) error { return s.reset(ctx) }),
		Destroy: with(func(ctx context.Context, s *state) error { return s.end(ctx) }),
	}
}

// with is a hook that gets the state of the connection.
func with(do func(ctx context.Context, s *state) error) func(ctx context.Context, conn *Conn) error {
	return func(ctx context.Context, conn *Conn) error {
		s, ok := stateOf(conn)
		if !ok {
			return errClosed
		}
		return do(ctx, s)
	}
}

// Close closes a connection that left its pool: one that Hooks or Open made has statements of headpond's,
// with which zombiezen's Conn.Close would fail and leave the file open.
// It may take as long as a checkpoint, and returns an *UnfinalizedError where the borrower left statements.
// The connection must not be in use. Any other connection is closed as Conn.Close does.
func Close(conn *Conn) error {
	s, ok := stateOf(conn)
	if !ok {
		return closeConn(conn)
	}
	return s.end(context.Background())
}
