package postgres_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// counting counts what connections write.
type counting struct{ writes atomic.Int64 }

func (c *counting) configure(config *pgx.ConnConfig) error {
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &countedConn{conn, c}, nil
	}
	return nil
}

type countedConn struct {
	net.Conn
	count *counting
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.count.writes.Add(1)
	return c.Conn.Write(p)
}

// breaking breaks connections in the middle of a statement: after it was sent, or before.
type breaking struct {
	text   atomic.Pointer[string] // what a message has that breaks its connection; nil: none
	before bool                   // it is not sent
}

func (b *breaking) arm(text string) { b.text.Store(&text) }

func (b *breaking) configure(config *pgx.ConnConfig) error {
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &breakingConn{Conn: conn, breaking: b}, nil
	}
	return nil
}

type breakingConn struct {
	net.Conn
	breaking *breaking
}

func (c *breakingConn) Write(p []byte) (int, error) {
	if text := c.breaking.text.Load(); text != nil && bytes.Contains(p, []byte(*text)) {
		c.breaking.text.Store(nil)
		if c.breaking.before {
			_ = c.Conn.Close()
			return 0, net.ErrClosed
		}
		n, err := c.Conn.Write(p)
		// The server has done it when it has answered; nobody hears the answer.
		var buf [64]byte
		_, _ = c.Conn.Read(buf[:])
		_ = c.Conn.Close()
		return n, err
	}
	return c.Conn.Write(p)
}
