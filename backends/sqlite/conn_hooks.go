package sqlite

import (
	"context"
	"sync/atomic"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/headpond/headpond/resource"
)

// Hooks returns what a pool needs to hold connections to the database file at path, under options of the caller's own:
//
//   - Construct opens a connection. Its error is an *OpenError.
//   - Check notices that the file was deleted, renamed or replaced, and that it was found broken.
//   - Prepare makes the end of the caller's ctx interrupt what runs, and a wait for a lock.
//     Once a second it looks at the file as Check does, for connections that are never idle.
//   - Reset is the verified reset: see [Reset].
//   - Destroy closes the connection, and leaves no lock of it behind. Its error can be an *UnfinalizedError.
//
// A Writer creates the file if there is none; a Reader does not, and its connections are read-only.
// Once a file was opened, another one at its path is an error, [ErrReplaced], until new Hooks are made.
//
// Hooks does no I/O. If path or options are wrong, Construct returns an error that says so.
// Of options, those about pools are not used here; Schema is applied to a file that a Writer creates.
// Restore is called by the Construct of a Writer, whose timeout (ConstructTimeout, 30s) must leave it the time that it needs;
// with ForeignCheckpoints nothing watches the log.
// A connection that leaves its pool ([pool.Lease.Detach]) must be closed with [Close].
func Hooks(path string, mode Mode, options Options) resource.Hooks[*Conn] {
	return newDatabase(path, options).hooks(mode, nil)
}

// hooks are those of Hooks. If first is not nil, what is stored there, once, is what Construct returns next if it has the mode.
func (d *database) hooks(mode Mode, first *atomic.Pointer[connection]) resource.Hooks[*Conn] {
	return resource.Hooks[*Conn]{
		Construct: func(ctx context.Context) (*Conn, error) {
			if first != nil {
				if c := first.Load(); c != nil && c.mode == mode && first.CompareAndSwap(c, nil) {
					return c.conn, nil
				}
			}
			c, err := d.open(ctx, mode)
			if err != nil {
				return nil, err
			}
			return c.conn, nil
		},
		Check: with(func(ctx context.Context, c *connection) error { return c.verify(ctx) }),
		Prepare: with(func(ctx context.Context, c *connection) error {
			if c.Closed() {
				return errClosed
			}
			if err := c.spotCheck(); err != nil {
				return err
			}
			c.watch(ctx)
			c.freshenStatements()
			return nil
		}),
		Reset:   with(func(ctx context.Context, c *connection) error { return c.reset(ctx) }),
		Destroy: with(func(ctx context.Context, c *connection) error { return c.close(ctx) }),
	}
}

// with returns a hook that calls do with what is known of the connection.
func with(do func(ctx context.Context, c *connection) error) func(ctx context.Context, conn *Conn) error {
	return func(ctx context.Context, conn *Conn) error {
		c, ok := connectionOf(conn)
		if !ok {
			return errClosed
		}
		return do(ctx, c)
	}
}

// Close closes a connection that left its pool: one that Hooks or Open made has statements of headpond's,
// with which zombiezen's Conn.Close would fail and leave the file open.
// It may take as long as a checkpoint, and returns an *UnfinalizedError if the borrower left statements.
// The connection must not be in use. Any other connection is closed as Conn.Close does.
func Close(conn *Conn) error {
	c, ok := connectionOf(conn)
	if !ok {
		return raw.Close(conn)
	}
	return c.close(context.Background())
}
