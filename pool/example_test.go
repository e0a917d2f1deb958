package pool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
)

// conn stands for what is worth pooling.
type conn struct{ id int64 }

func (c *conn) Close() error { return nil }

// dial returns hooks that make conns with the numbers 1, 2, 3, one after another.
func dial() resource.Hooks[*conn] {
	var made atomic.Int64
	return resource.Hooks[*conn]{
		Construct: func(context.Context) (*conn, error) { return &conn{made.Add(1)}, nil },
		Destroy:   func(_ context.Context, c *conn) error { return c.Close() },
	}
}

func ExampleNew() {
	conns, err := pool.New(resource.Hooks[io.Closer]{
		Construct: func(context.Context) (io.Closer, error) { return io.NopCloser(strings.NewReader("hello")), nil },
		Destroy:   func(_ context.Context, c io.Closer) error { return c.Close() },
	}, pool.Options{
		Name:    "greetings",
		MaxSize: 10,
		Policy:  resource.Policy{MaxLifetime: time.Hour, LifetimeJitter: 5 * time.Minute},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(context.Background())
	fmt.Println("live:", conns.Stats().Live()) // the first is made when somebody needs it

	_, err = pool.New(resource.Hooks[io.Closer]{}, pool.Options{Name: "greetings"})
	fmt.Println(err)
	// Output:
	// live: 0
	// headpond/pool "greetings": Hooks.Construct is nil: a pool needs a way to make a value
}

// Ten goroutines share two connections.
func ExamplePool() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{MaxSize: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)

	var goroutines sync.WaitGroup
	for range 10 {
		goroutines.Go(func() {
			err := conns.Do(ctx, func(ctx context.Context, c *conn) error {
				return nil // use c
			})
			if err != nil {
				log.Print(err)
			}
		})
	}
	goroutines.Wait()
	stats := conns.Stats()
	fmt.Println("uses:", stats.Released, "no more than two made:", stats.Created <= 2)
	// Output: uses: 10 no more than two made: true
}

func ExamplePool_Acquire() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{MaxSize: 1, AcquireTimeout: 10 * time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)
	if err := conns.Warm(ctx, 1); err != nil { // the timeout is for a build as well
		log.Fatal(err)
	}

	lease, err := conns.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	fmt.Println("got", lease.Value().id)

	_, err = conns.Acquire(ctx) // the only one is held
	fmt.Println(errors.Is(err, pool.ErrAcquireTimeout), errors.Is(err, context.DeadlineExceeded))
	// Output:
	// got 1
	// true true
}

// What can be done without a connection is not worth a wait for one.
func ExamplePool_TryAcquire() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)

	refresh := func() error {
		lease, err := conns.TryAcquire(ctx)
		if errors.Is(err, pool.ErrUnavailable) {
			fmt.Println("later")
			return nil
		}
		if err != nil {
			return err
		}
		defer lease.Release()
		fmt.Println("now, with", lease.Value().id)
		return nil
	}
	if err := refresh(); err != nil { // nothing was made yet
		log.Fatal(err)
	}
	if err := conns.Warm(ctx, 1); err != nil {
		log.Fatal(err)
	}
	if err := refresh(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// later
	// now, with 1
}

func ExamplePool_Do() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{MaxSize: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)

	err = conns.Do(ctx, func(ctx context.Context, c *conn) error {
		fmt.Println("using", c.id)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("held:", conns.Stats().Held)
	// Output:
	// using 1
	// held: 0
}

// The ctx that Do hands out knows of the lease: what would wait for itself fails at once.
func ExamplePool_Do_nested() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{MaxSize: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)

	err = conns.Do(ctx, func(ctx context.Context, c *conn) error {
		lease, err := conns.Acquire(ctx)
		if err != nil {
			return err
		}
		lease.Release()
		return nil
	})
	fmt.Println(errors.Is(err, pool.ErrNested))
	// Output: true
}

// At the start of a program: a wrong address shows at once, and the first requests need not wait.
func ExamplePool_Warm() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{MaxSize: 4})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)

	if err := conns.Warm(ctx, 3); err != nil {
		log.Fatal(err)
	}
	fmt.Println("idle:", conns.Stats().Idle)
	fmt.Println(conns.Warm(ctx, 5))
	// Output:
	// idle: 3
	// headpond/pool "pool": warm: n is 5: it must not exceed MaxSize, which is 4
}

// After a failover every connection that was made before has to go.
func ExamplePool_Evict() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{MaxSize: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)

	lease, err := conns.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	conns.Evict()
	fmt.Println("still held:", lease.Value().id)
	lease.Release() // and destroyed

	err = conns.Do(ctx, func(ctx context.Context, c *conn) error {
		fmt.Println("another:", c.id)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// still held: 1
	// another: 2
}

func ExamplePool_Resize() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{MaxSize: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)

	if err := conns.Resize(2); err != nil {
		log.Fatal(err)
	}
	fmt.Println("at most", conns.Stats().MaxSize)
	fmt.Println(conns.Resize(0))
	// Output:
	// at most 2
	// headpond/pool "pool": resize: maxSize is 0: it must be positive
}

// While what is behind the pool is replaced, nobody may use it.
func ExamplePool_Suspend() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{Name: "orders", AcquireTimeout: 10 * time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)

	conns.Suspend()
	_, err = conns.Acquire(ctx)
	fmt.Println(errors.Is(err, pool.ErrAcquireTimeout))
	_, err = conns.TryAcquire(ctx)
	fmt.Println(err)
	// Output:
	// true
	// headpond/pool "orders": acquire: no resource is idle: it is suspended, until Resume
}

// Those who came during a Suspend are served by Resume, in the order in which they came.
func ExamplePool_Resume() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)

	conns.Suspend()
	served := make(chan error)
	go func() {
		served <- conns.Do(ctx, func(ctx context.Context, c *conn) error { return nil })
	}()
	conns.Evict() // what is to be done meanwhile
	conns.Resume()
	fmt.Println(<-served)
	// Output: <nil>
}

func ExamplePool_Stats() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{MaxSize: 4, Policy: resource.Policy{MaxUses: 2}})
	if err != nil {
		log.Fatal(err)
	}
	for range 6 {
		if err := conns.Do(ctx, func(context.Context, *conn) error { return nil }); err != nil {
			log.Fatal(err)
		}
	}
	if err := conns.Close(ctx); err != nil {
		log.Fatal(err)
	}
	stats := conns.Stats()
	fmt.Println("acquired", stats.Acquired, "created", stats.Created)
	fmt.Println("destroyed for", resource.MaxUses, stats.Destroyed[resource.MaxUses])
	// Output:
	// acquired 6 created 3
	// destroyed for max_uses 3
}

func ExamplePool_Holders() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{LeakAfter: time.Minute}) // so that a lease knows its caller
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)

	lease, err := conns.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	for _, holder := range conns.Holders() { // the longest held first
		fmt.Printf("#%d by %s\n", holder.ID, holder.Stack.Frames()[0].Function)
	}
	// Output: #1 by github.com/headpond/headpond/pool_test.ExamplePool_Holders
}

func ExamplePool_Close() {
	conns, err := pool.New(dial(), pool.Options{Name: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	lease, err := conns.Acquire(context.Background())
	if err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err = conns.Close(ctx)
	var failure *pool.Error
	if errors.As(err, &failure) {
		fmt.Println("still held:", len(failure.Holders))
	}

	lease.Release() // and destroyed
	fmt.Println(conns.Close(context.Background()))
	_, err = conns.Acquire(context.Background())
	fmt.Println(err)
	// Output:
	// still held: 1
	// <nil>
	// headpond/pool "orders": acquire: the pool is closed
}

// What a backend can say of itself is on every page and among the metrics, beside the pool's own figures.
func ExamplePool_Figures() {
	var sent atomic.Int64
	conns, err := pool.New(dial(), pool.Options{Figures: func() []pool.Figure {
		return []pool.Figure{{Name: "orders.sent", Unit: "By", Value: float64(sent.Load())}}
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(context.Background())

	sent.Add(1500)
	for _, figure := range conns.Figures() {
		fmt.Println(figure.Name, figure.Value, figure.Unit)
	}
	// Output: orders.sent 1500 By
}

func ExamplePool_Name() {
	conns, err := pool.New(dial(), pool.Options{Name: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(context.Background())
	fmt.Println(conns.Name())
	// Output: orders
}

func ExamplePool_Options() {
	conns, err := pool.New(dial(), pool.Options{MaxSize: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(context.Background())
	options := conns.Options()
	fmt.Println(options.Name, options.MaxSize, options.AcquireTimeout) // defaults filled in
	// Output: pool 2 5s
}

// A lease ends once. What comes later does nothing, whoever has the value by then.
func ExampleLease() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{MaxSize: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)

	first, err := conns.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	first.Release()
	second, err := conns.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer second.Release()

	first.Release()
	fmt.Println("held:", conns.Stats().Held, "in use:", second.Value().id)
	// Output: held: 1 in use: 1
}

// Value is for as long as the lease lasts; later it panics.
func ExampleLease_Value() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{Name: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)
	lease, err := conns.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(lease.Value().id)
	lease.Release()

	defer func() { fmt.Println(recover()) }()
	lease.Value()
	// Output:
	// 1
	// headpond/pool "orders": Value of a lease that has ended: resource #1 was released, discarded or detached before
}

// The number is the one that errors, pages and spans have.
func ExampleLease_ID() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)
	lease, err := conns.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	fmt.Println(lease.ID(), conns.Holders()[0].ID)
	// Output: 1 1
}

func ExampleLease_Release() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{MaxSize: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)
	lease, err := conns.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release() // for every way out

	if lease.Value().id == 1 {
		lease.Release() // sooner: the second one does nothing
	}
	fmt.Println("idle:", conns.Stats().Idle)
	// Output: idle: 1
}

// A connection that is known to be broken must not come back.
func ExampleLease_Discard() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{MaxSize: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)

	call := func(c *conn) error {
		if c.id == 1 {
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	for {
		lease, err := conns.Acquire(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if err := call(lease.Value()); err != nil {
			lease.Discard()
			continue
		}
		fmt.Println("done with", lease.Value().id)
		lease.Release()
		break
	}
	// Output: done with 2
}

// A connection that is handed over for good leaves the pool.
func ExampleLease_Detach() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{MaxSize: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)

	lease, err := conns.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	mine := lease.Detach()
	defer mine.Close() // the pool does not do it any more
	fmt.Println("mine:", mine.id, "live:", conns.Stats().Live())
	// Output: mine: 1 live: 0
}

func ExampleLease_Info() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{MaxSize: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)
	for range 3 {
		lease, err := conns.Acquire(ctx)
		if err != nil {
			log.Fatal(err)
		}
		info := lease.Info()
		fmt.Println("used before:", info.Uses, "young:", info.Age < time.Hour)
		lease.Release()
	}
	// Output:
	// used before: 0 young: true
	// used before: 1 young: true
	// used before: 2 young: true
}

// Callers that do not use Do pass on Lease.Context, so that a nested Acquire fails at once instead of deadlocking.
func ExampleLease_Context() {
	ctx := context.Background()
	conns, err := pool.New(dial(), pool.Options{MaxSize: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)

	lease, err := conns.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()

	_, err = conns.Acquire(lease.Context(ctx))
	fmt.Println(errors.Is(err, pool.ErrNested))
	// Output: true
}
