package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// canceller ends the statement of a connection whose ctx has ended: it asks the server to cancel it,
// and closes the connection to further use if that takes too long. It is a ctxwatch.Handler of pgx's.
//
// When a request to cancel has been answered, the server has sent its signal: so it can't hit the next statement,
// and there is no need to wait after it, as pgx's own handler does for 100 ms.
type canceller struct {
	conn    *pgconn.PgConn
	timeout time.Duration

	asked   chan struct{} // closed when the request has been answered, or failed
	unheard bool          // it failed: it may yet come to be heard
}

// HandleCancel begins to cancel.
func (c *canceller) HandleCancel(context.Context) {
	deadline := time.Now().Add(c.timeout)
	_ = c.conn.Conn().SetDeadline(deadline) // it fails on a connection that is closed
	asked := make(chan struct{})
	c.asked, c.unheard = asked, false
	go func() {
		defer close(asked)
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		if err := c.conn.CancelRequest(ctx); err != nil || ctx.Err() != nil {
			c.unheard = true
			_ = c.conn.Conn().SetDeadline(time.Now()) // do not wait for what will not come
		}
	}()
}

// HandleUnwatchAfterCancel waits until the request can do no more harm.
func (c *canceller) HandleUnwatchAfterCancel() {
	<-c.asked
	if c.unheard {
		_ = c.conn.Conn().Close() // it might hit a later statement
		return
	}
	_ = c.conn.Conn().SetDeadline(time.Time{})
}
