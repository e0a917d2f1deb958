// Counts visitors in sessions with a server.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/headpond/headpond/examples/generic/counter"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"golang.org/x/sync/errgroup"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) (err error) {
	server, err := counter.Listen("sesame")
	if err != nil {
		return err
	}
	defer server.Close()
	sessions, err := pool.New(resource.Hooks[*counter.Session]{
		Construct: func(ctx context.Context) (*counter.Session, error) {
			return counter.Dial(ctx, server.Address(), "sesame")
		},
		Check:   tell("PING"),
		Reset:   tell("RESET"),
		Destroy: func(_ context.Context, s *counter.Session) error { return s.Close() },
	}, pool.Options{
		Name:    "sessions",
		MaxSize: 3,
		Policy:  resource.Policy{MaxLifetime: time.Hour, CheckAfterIdle: -1},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sessions.Close(ctx)) }()
	var visitors errgroup.Group
	for range 20 {
		visitors.Go(func() error {
			_, err := visit(ctx, sessions, "hall")
			return err
		})
	}
	if err := visitors.Wait(); err != nil {
		return err
	}
	server.HangUp()
	answer, err := visit(ctx, sessions, "hall")
	fmt.Println(answer)
	return err
}

// visit counts a visitor in a space.
func visit(ctx context.Context, sessions *pool.Pool[*counter.Session], space string) (answer string, err error) {
	err = sessions.Do(ctx, func(ctx context.Context, s *counter.Session) error {
		if _, err := s.Call(ctx, "USE "+space); err != nil {
			return err
		}
		answer, err = s.Call(ctx, "ADD visitors")
		return err
	})
	return answer, err
}

// tell returns a request whose answer says no more than that it worked.
func tell(request string) func(ctx context.Context, s *counter.Session) error {
	return func(ctx context.Context, s *counter.Session) error {
		_, err := s.Call(ctx, request)
		return err
	}
}
