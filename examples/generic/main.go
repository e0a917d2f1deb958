// Generic pools something that is not a database: authenticated TCP sessions with a small server that it starts itself.
// It shows a health check, a reset, and who holds what.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/headpond/headpond/examples/generic/counter"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"golang.org/x/sync/errgroup"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal("generic: ", err)
	}
}

// open makes the pool: what happens to one session, and how many there may be.
func open(address, password string) (*pool.Pool[*counter.Session], error) {
	return pool.New(resource.Hooks[*counter.Session]{
		Construct: func(ctx context.Context) (*counter.Session, error) { return counter.Dial(ctx, address, password) },
		Check:     tell("PING"),
		Reset:     tell("RESET"),
		Destroy:   func(_ context.Context, s *counter.Session) error { return s.Close() },
	}, pool.Options{
		Name: "sessions", MaxSize: 3,
		LeakAfter: time.Minute,                         // so that holders are known by their line
		Policy:    resource.Policy{CheckAfterIdle: -1}, // Check on every acquire; the default is after a second of idleness
	})
}

// tell returns a request whose answer says no more than that it worked.
func tell(request string) func(ctx context.Context, s *counter.Session) error {
	return func(ctx context.Context, s *counter.Session) error {
		_, err := s.Call(ctx, request)
		return err
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	server, err := counter.Listen("sesame")
	if err != nil {
		return err
	}
	defer server.Close()
	sessions, err := open(server.Address(), "sesame")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sessions.Close(ctx)) }()

	var all errgroup.Group
	for range 20 {
		all.Go(func() error { return sessions.Do(ctx, tell("ADD visits")) })
	}
	visit := func(title string, requests ...string) error {
		return sessions.Do(ctx, func(ctx context.Context, s *counter.Session) (err error) {
			var answer string
			for _, request := range requests {
				if answer, err = s.Call(ctx, request); err != nil {
					return err
				}
			}
			fmt.Fprintf(out, "%s: %s\n", title, answer)
			return nil
		})
	}
	err = errors.Join(
		all.Wait(),
		visit("20 goroutines have counted; a borrower switches to another space", "USE test", "ADD visits"),
		visit("the next, in the same session after its Reset", "ADD visits"),
	)
	server.HangUp()
	if err = errors.Join(err, visit("the server hung up on all, and the next does not notice", "ADD visits")); err != nil {
		return err
	}
	stats := sessions.Stats()
	fmt.Fprintf(out, "%d sessions were made for that, and Check found %d of them dead\n", stats.Created, stats.Destroyed[resource.CheckFailed])

	for range stats.MaxSize {
		lease, err := sessions.Acquire(ctx)
		if err != nil {
			return err
		}
		defer lease.Release()
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err = sessions.Acquire(short); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("a session too many: %w", err)
	}
	fmt.Fprintln(out, "all are out, and one more is wanted:", err)
	return nil
}
