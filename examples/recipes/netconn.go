// Package recipes is what docs/recipes.md shows: each file is one recipe, and its test runs it.
package recipes

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
)

// Conns pools connections to a server of ours.
func Conns(address string) (*pool.Pool[net.Conn], error) {
	var dialer net.Dialer
	return pool.New(resource.Hooks[net.Conn]{
		Construct: func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", address) },
		Reset:     func(_ context.Context, conn net.Conn) error { return conn.SetDeadline(time.Time{}) },
		Destroy:   func(_ context.Context, conn net.Conn) error { return conn.Close() },
	}, pool.Options{Name: "conns", MaxSize: 10, Policy: resource.Policy{MaxIdleTime: time.Minute}})
}

// Talk runs use with a connection whose reads and writes end when ctx does.
// After an error the connection may have half an answer in it: it is not used again.
func Talk(ctx context.Context, conns *pool.Pool[net.Conn], use func(conn net.Conn) error) error {
	return conns.Do(ctx, func(ctx context.Context, conn net.Conn) error {
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) }) // what reads or writes returns at once
		err := use(conn)
		if !stop() { // the deadline is set, or about to be
			err = errors.Join(context.Cause(ctx), err)
		}
		if err != nil {
			return pool.Discard(err)
		}
		return nil
	})
}
