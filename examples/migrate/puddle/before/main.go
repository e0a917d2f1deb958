// Counts visitors in sessions with a server.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/headpond/headpond/examples/generic/counter"
	"github.com/jackc/puddle/v2"
	"golang.org/x/sync/errgroup"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	server, err := counter.Listen("sesame")
	if err != nil {
		return err
	}
	defer server.Close()
	sessions, err := puddle.NewPool(&puddle.Config[*counter.Session]{
		Constructor: func(ctx context.Context) (*counter.Session, error) {
			ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			return counter.Dial(ctx, server.Address(), "sesame")
		},
		Destructor: func(s *counter.Session) { _ = s.Close() },
		MaxSize:    3,
	})
	if err != nil {
		return err
	}
	defer sessions.Close()
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
func visit(ctx context.Context, sessions *puddle.Pool[*counter.Session], space string) (answer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	res, err := acquire(ctx, sessions)
	if err != nil {
		return "", err
	}
	defer func() { release(res) }()
	if _, err = res.Value().Call(ctx, "USE "+space); err != nil {
		return "", err
	}
	return res.Value().Call(ctx, "ADD visitors")
}

// acquire returns a session that is younger than an hour and answers.
func acquire(ctx context.Context, sessions *puddle.Pool[*counter.Session]) (*puddle.Resource[*counter.Session], error) {
	for {
		res, err := sessions.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		if time.Since(res.CreationTime()) < time.Hour {
			if _, err = res.Value().Call(ctx, "PING"); err == nil {
				return res, nil
			}
		}
		res.Destroy()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// release resets the session for the next caller.
func release(res *puddle.Resource[*counter.Session]) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := res.Value().Call(ctx, "RESET"); err != nil {
		res.Destroy()
		return
	}
	res.Release()
}
