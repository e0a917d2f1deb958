package pooltest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/pooltest"
	"github.com/headpond/headpond/resource"
)

// session stands for what the program under test pools.
type session struct{}

var sessions = resource.Hooks[*session]{
	Construct: func(context.Context) (*session, error) { return &session{}, nil },
}

// transfer is what is tested: it says what to tell the user.
func transfer(ctx context.Context, p *pool.Pool[*session]) string {
	err := p.Do(ctx, func(context.Context, *session) error { return nil })
	switch {
	case errors.Is(err, pool.ErrAcquireTimeout):
		return "busy, try again"
	case err != nil:
		return "out of order"
	}
	return "done"
}

func ExamplePool_Fail() {
	test(func(t *recorder) { // in a test: t *testing.T
		p := pooltest.New(t, sessions, pool.Options{})
		fmt.Println(transfer(context.Background(), p.Pool))

		p.Fail(pool.Prepare, pool.ErrAcquireTimeout)
		fmt.Println(transfer(context.Background(), p.Pool))

		p.Fail(pool.Prepare, nil)
		fmt.Println(transfer(context.Background(), p.Pool))
	})
	// Output:
	// done
	// busy, try again
	// done
}

func ExamplePool_FailNext() {
	test(func(t *recorder) {
		p := pooltest.New(t, sessions, pool.Options{})
		p.FailNext(pool.Prepare, 1, errors.New("connection reset"))
		fmt.Println(transfer(context.Background(), p.Pool))
		fmt.Println(transfer(context.Background(), p.Pool))
	})
	// Output:
	// out of order
	// done
}

func ExamplePool_On() {
	test(func(t *recorder) {
		p := pooltest.New(t, sessions, pool.Options{})
		ctx, cancel := context.WithCancel(context.Background())
		p.On(pool.Prepare, func(ctx context.Context) error {
			cancel() // the user leaves at the last moment
			return ctx.Err()
		})
		fmt.Println(transfer(ctx, p.Pool))
	})
	// Output:
	// out of order
}

func ExamplePool_Count() {
	test(func(t *recorder) {
		p := pooltest.New(t, sessions, pool.Options{})
		for range 3 {
			transfer(context.Background(), p.Pool)
		}
		fmt.Println(p.Count(pool.Construct), "made for", p.Stats().Acquired)
	})
	// Output:
	// 1 made for 3
}

func ExampleNew() {
	test(func(t *recorder) {
		p := pooltest.New(t, sessions, pool.Options{Name: "sessions"})
		_, _ = p.Acquire(context.Background()) // and no Release
	})
	// Output:
	// headpond/pooltest: pool "sessions": 1 of 1 leases did not end with the test
}

func ExampleCheck() {
	test(func(t *recorder) {
		p, err := pool.New(sessions, pool.Options{Name: "sessions"})
		if err != nil {
			t.Fatalf("%v", err)
		}
		pooltest.Check(t, p)
		transfer(context.Background(), p)
		fmt.Println("all came back")
	})
	// Output:
	// all came back
}

// test runs f as a test, and prints the first line of every error.
func test(f func(t *recorder)) {
	var t recorder
	t.run(func() { f(&t) })
	for _, err := range t.errors {
		line, _, _ := strings.Cut(err, "\n")
		fmt.Println(line)
	}
}
