// Generic pools something that is not a database: authenticated TCP sessions with a small counting server,
// which it starts itself. It shows a health check, a reset, and who holds what.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "generic:", err)
		os.Exit(1)
	}
}

// open makes the pool: what happens to one session, and how many there may be.
func open(address, password string, out io.Writer) (*pool.Pool[*session], error) {
	return pool.New(resource.Hooks[*session]{
		Construct: func(ctx context.Context) (*session, error) { return dial(ctx, address, password) },
		Check:     func(ctx context.Context, s *session) error { return s.tell(ctx, "PING") },
		Reset:     func(ctx context.Context, s *session) error { return s.tell(ctx, "RESET") },
		Destroy:   func(_ context.Context, s *session) error { return s.conn.Close() },
	}, pool.Options{
		Name: "sessions", MaxSize: 3,
		LeakAfter: time.Minute,                         // so that holders are known by their line
		Policy:    resource.Policy{CheckAfterIdle: -1}, // on every acquire; after a second is the default
		Observer: func(pool.Inspector) pool.Tap {
			return pool.Tap{End: func(_ context.Context, event pool.Event) {
				if event.Op == pool.Check && event.Err != nil {
					fmt.Fprintf(out, "  pool: session #%d is dead: %v\n", event.ID, event.Err)
				}
			}}
		},
	})
}

func run(ctx context.Context, out io.Writer) error {
	server, err := listen("sesame")
	if err != nil {
		return err
	}
	defer server.close()
	stranger, err := open(server.address(), "guess", out)
	if err != nil {
		return err
	}
	_, err = stranger.Acquire(ctx)
	fmt.Fprintln(out, "A wrong password:\n ", err)
	if err := errors.Join(stranger.Close(ctx), expect(errors.Is(err, errRefused), "the server let a stranger in")); err != nil {
		return err
	}

	sessions, err := open(server.address(), "sesame", out)
	if err != nil {
		return err
	}
	return errors.Join(story(ctx, server, sessions, out), sessions.Close(ctx))
}

// story uses the pool, and returns an error where it did not do what it should.
func story(ctx context.Context, server *server, sessions *pool.Pool[*session], out io.Writer) error {
	var all sync.WaitGroup
	failures := make(chan error, 20)
	for range cap(failures) {
		all.Go(func() {
			failures <- sessions.Do(ctx, func(ctx context.Context, s *session) error { return s.tell(ctx, "ADD visits") })
		})
	}
	all.Wait()
	for range cap(failures) {
		if err := <-failures; err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "20 goroutines counted over %d sessions.\n", sessions.Stats().Created)

	var borrowed, next string
	err := sessions.Do(ctx, func(ctx context.Context, s *session) (err error) {
		if err = s.tell(ctx, "USE test"); err == nil {
			borrowed, err = s.call(ctx, "ADD visits")
		}
		return err
	})
	err = errors.Join(err, sessions.Do(ctx, func(ctx context.Context, s *session) (err error) {
		next, err = s.call(ctx, "ADD visits")
		return err
	}))
	fmt.Fprintf(out, "A borrower switched to another space, and got %q. The next one, on the same session after its reset, got %q.\n", borrowed, next)
	if err := errors.Join(err, expect(borrowed == "test visits 1" && next == "main visits 21", "the reset did not work")); err != nil {
		return err
	}

	fmt.Fprintln(out, "The server hangs up on all sessions.")
	made := sessions.Stats().Created
	server.hangUp()
	if err := sessions.Do(ctx, func(ctx context.Context, s *session) error { return s.tell(ctx, "ADD visits") }); err != nil {
		return err
	}
	stats := sessions.Stats()
	fmt.Fprintf(out, "The next borrower did not notice: %d dead ones ended, %d was made.\n", stats.Destroyed[resource.CheckFailed], stats.Created-made)

	for range stats.MaxSize {
		lease, err := sessions.Acquire(ctx)
		if err != nil {
			return err
		}
		defer lease.Release()
	}
	for _, holder := range sessions.Holders() {
		caller := holder.Stack.Frames()[0]
		fmt.Fprintf(out, "Session #%d is held by %s:%d.\n", holder.ID, filepath.Base(caller.File), caller.Line)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = sessions.Acquire(short)
	fmt.Fprintln(out, "One more:\n ", err)
	return expect(errors.Is(err, context.DeadlineExceeded), "there was a fourth session")
}

func expect(ok bool, what string) error {
	if ok {
		return nil
	}
	return errors.New(what)
}
