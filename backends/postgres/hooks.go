package postgres

import (
	"context"

	"github.com/headpond/headpond/resource"
	"github.com/jackc/pgx/v5"
)

// Conn is a connection: pgx's own type.
type Conn = pgx.Conn

// Hooks are what a pool needs to hold connections to where config says, under options of one's own:
//
//   - Construct opens a connection, and runs Options.Setup. Its error is an *Error.
//   - Check asks the server for a sign of life. With resource.Policy.CheckEvery it keeps idle connections alive.
//   - Reset is the verified reset: see [Reset].
//   - Destroy closes the connection, and waits for a second at most until the server has heard of it.
//
// Config must come from pgx.ParseConfig, and is copied. With several hosts pgx's own rules say which is taken:
// the first that answers and that target_session_attrs suits. See [Open] for more.
//
// Hooks does no I/O. What is wrong with config or options is what Construct returns.
// Of options, those about pools are not used here, nor are Configure and MaxAttempts.
func Hooks(config *pgx.ConnConfig, options Options) resource.Hooks[*Conn] {
	c := newConnector(config, options)
	return c.hooks(func(ctx context.Context) (*session, error) { return c.open(ctx, c.config, nil) })
}

// hooks are those of connections that open opens.
func (c *connector) hooks(open func(ctx context.Context) (*session, error)) resource.Hooks[*Conn] {
	return resource.Hooks[*Conn]{
		Construct: func(ctx context.Context) (*Conn, error) {
			s, err := open(ctx)
			if err != nil {
				return nil, err
			}
			return s.conn, nil
		},
		Check:   with(func(ctx context.Context, s *session) error { return s.check(ctx) }),
		Reset:   with(func(ctx context.Context, s *session) error { return s.reset(ctx) }),
		Destroy: with(func(ctx context.Context, s *session) error { return s.end(ctx) }),
	}
}

// with is a hook that gets the session of the connection.
func with(do func(ctx context.Context, s *session) error) func(ctx context.Context, conn *Conn) error {
	return func(ctx context.Context, conn *Conn) error {
		s, ok := sessionOf(conn)
		if !ok {
			return errClosed
		}
		return do(ctx, s)
	}
}
