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

// A whole test: of what the program does in an outage, and after it.
func ExamplePool() {
	test(func(t *recorder) { // in a test: t *testing.T
		p := pooltest.New(t, sessions, pool.Options{MaxSize: 2})
		p.Fail(pool.Construct, errors.New("connection refused"))
		if got := transfer(context.Background(), p.Pool); got != "out of order" {
			t.Errorf("in an outage the user is told %q", got)
		}
		p.Fail(pool.Construct, nil)
		if got := transfer(context.Background(), p.Pool); got != "done" {
			t.Errorf("after it the user is told %q", got)
		}
		fmt.Println("sessions that were tried:", p.Count(pool.Construct))
	})
	// Output: sessions that were tried: 2
}

// A pool that has nothing to give.
func ExamplePool_Fail() {
	test(func(t *recorder) {
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

// An error that goes away.
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

// A user who leaves at the last moment.
func ExamplePool_On() {
	test(func(t *recorder) {
		p := pooltest.New(t, sessions, pool.Options{})
		ctx, cancel := context.WithCancel(context.Background())
		p.On(pool.Prepare, func(ctx context.Context) error {
			cancel()
			return ctx.Err()
		})
		fmt.Println(transfer(ctx, p.Pool))
	})
	// Output:
	// out of order
}

// One value serves one caller after another.
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

// A test that forgets a lease fails.
func ExampleNew() {
	test(func(t *recorder) {
		p := pooltest.New(t, sessions, pool.Options{Name: "sessions"})
		if _, err := p.Acquire(context.Background()); err != nil { // and no Release
			t.Errorf("%v", err)
		}
	})
	// Output:
	// headpond/pooltest: pool "sessions": 1 of 1 leases did not end with the test
}

// Check is for a pool that the program makes itself.
func ExampleCheck() {
	test(func(t *recorder) {
		p, err := pool.New(sessions, pool.Options{Name: "sessions"})
		if err != nil {
			t.Fatalf("%v", err)
		}
		t.Cleanup(func() { _ = p.Close(context.Background()) }) // after Check has looked
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
