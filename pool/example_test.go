package pool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
)

// conn stands for what is worth pooling.
type conn struct{ id int }

func (c *conn) Close() error { return nil }

// dial returns hooks that make conns with the numbers 1, 2, 3, one after another.
func dial() resource.Hooks[*conn] {
	made := make(chan int, 1)
	made <- 0
	return resource.Hooks[*conn]{
		Construct: func(context.Context) (*conn, error) {
			id := <-made + 1
			made <- id
			return &conn{id}, nil
		},
		Destroy: func(_ context.Context, c *conn) error { return c.Close() },
	}
}

// open returns a pool of conns; it can't fail with these options.
func open(options pool.Options) *pool.Pool[*conn] {
	p, err := pool.New(dial(), options)
	if err != nil {
		panic(err)
	}
	return p
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
	fmt.Println(conns.Name(), err)
	defer conns.Close(context.Background())

	_, err = pool.New(resource.Hooks[io.Closer]{}, pool.Options{Name: "greetings"})
	fmt.Println(err)
	// Output:
	// greetings <nil>
	// headpond/pool "greetings": Hooks.Construct is nil: a pool needs a way to make a value
}

func ExamplePool_Acquire() {
	ctx := context.Background()
	conns := open(pool.Options{Name: "orders", MaxSize: 1, AcquireTimeout: 20 * time.Millisecond})
	defer conns.Close(ctx)

	lease, err := conns.Acquire(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("got", lease.Value().id)

	_, err = conns.Acquire(ctx) // the only one is held
	fmt.Println(errors.Is(err, pool.ErrAcquireTimeout), errors.Is(err, context.DeadlineExceeded))

	lease.Release()
	lease.Release() // does nothing
	// Output:
	// got 1
	// true true
}

func ExamplePool_Do() {
	ctx := context.Background()
	conns := open(pool.Options{MaxSize: 1})
	defer conns.Close(ctx)

	err := conns.Do(ctx, func(ctx context.Context, c *conn) error {
		fmt.Println("using", c.id)
		_, err := conns.Acquire(ctx) // would wait for itself
		fmt.Println(errors.Is(err, pool.ErrNested))
		return nil
	})
	fmt.Println(err, conns.Stats().Held)
	// Output:
	// using 1
	// true
	// <nil> 0
}

func ExamplePool_TryAcquire() {
	ctx := context.Background()
	conns := open(pool.Options{})
	defer conns.Close(ctx)

	_, err := conns.TryAcquire(ctx)
	fmt.Println(errors.Is(err, pool.ErrUnavailable))

	_ = conns.Warm(ctx, 1)
	lease, err := conns.TryAcquire(ctx)
	fmt.Println(lease.Value().id, err)
	lease.Release()
	// Output:
	// true
	// 1 <nil>
}

func ExampleLease_Discard() {
	ctx := context.Background()
	conns := open(pool.Options{MaxSize: 1})
	defer conns.Close(ctx)

	lease, _ := conns.Acquire(ctx)
	lease.Discard() // it is broken: the next one gets another
	lease, _ = conns.Acquire(ctx)
	fmt.Println(lease.Value().id)
	lease.Release()
	// Output: 2
}

func ExampleLease_Detach() {
	ctx := context.Background()
	conns := open(pool.Options{MaxSize: 1})
	defer conns.Close(ctx)

	lease, _ := conns.Acquire(ctx)
	mine := lease.Detach()
	defer mine.Close() // now the caller has to
	fmt.Println(mine.id, conns.Stats().Live())
	// Output: 1 0
}

func ExamplePool_Warm() {
	ctx := context.Background()
	conns := open(pool.Options{MaxSize: 4})
	defer conns.Close(ctx)

	fmt.Println(conns.Warm(ctx, 3), conns.Stats().Idle)
	fmt.Println(conns.Warm(ctx, 5))
	// Output:
	// <nil> 3
	// headpond/pool "pool": warm: n is 5: it must not exceed MaxSize, which is 4
}

// After a failover every connection that was made before has to go.
func ExamplePool_Evict() {
	ctx := context.Background()
	conns := open(pool.Options{MaxSize: 1})
	defer conns.Close(ctx)

	lease, _ := conns.Acquire(ctx)
	conns.Evict()
	fmt.Println("still held:", lease.Value().id)
	lease.Release()
	lease, _ = conns.Acquire(ctx)
	fmt.Println("another:", lease.Value().id)
	lease.Release()
	// Output:
	// still held: 1
	// another: 2
}

func ExamplePool_Resize() {
	ctx := context.Background()
	conns := open(pool.Options{MaxSize: 1})
	defer conns.Close(ctx)

	first, _ := conns.Acquire(ctx)
	fmt.Println(conns.Resize(2))
	second, _ := conns.Acquire(ctx)
	fmt.Println(conns.Stats().Held, "of", conns.Stats().MaxSize)
	first.Release()
	second.Release()
	fmt.Println(conns.Resize(0))
	// Output:
	// <nil>
	// 2 of 2
	// headpond/pool "pool": resize: maxSize is 0: it must be positive
}

// While the file behind the pool is replaced, nobody may use it.
func ExamplePool_Suspend() {
	ctx := context.Background()
	conns := open(pool.Options{AcquireTimeout: 20 * time.Millisecond})
	defer conns.Close(ctx)

	conns.Suspend()
	_, err := conns.Acquire(ctx)
	fmt.Println(errors.Is(err, pool.ErrAcquireTimeout))
	conns.Resume()
	lease, err := conns.Acquire(ctx)
	fmt.Println(lease.Value().id, err)
	lease.Release()
	// Output:
	// true
	// 1 <nil>
}

func ExamplePool_Stats() {
	ctx := context.Background()
	conns := open(pool.Options{MaxSize: 4, Policy: resource.Policy{MaxUses: 2}})
	for range 6 {
		_ = conns.Do(ctx, func(context.Context, *conn) error { return nil })
	}
	_ = conns.Close(ctx)
	stats := conns.Stats()
	fmt.Println("acquired", stats.Acquired, "created", stats.Created)
	fmt.Println("destroyed for", resource.MaxUses, stats.Destroyed[resource.MaxUses])
	// Output:
	// acquired 6 created 3
	// destroyed for max_uses 3
}

func ExamplePool_Holders() {
	ctx := context.Background()
	conns := open(pool.Options{LeakAfter: time.Minute}) // so that a lease knows its caller
	defer conns.Close(ctx)

	lease, _ := conns.Acquire(ctx)
	for _, holder := range conns.Holders() {
		frame := holder.Stack.Frames()[0]
		fmt.Println(holder.ID, frame.Function)
	}
	lease.Release()
	// Output: 1 github.com/headpond/headpond/pool_test.ExamplePool_Holders
}

func ExamplePool_Close() {
	conns := open(pool.Options{Name: "orders"})
	lease, _ := conns.Acquire(context.Background())

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err := conns.Close(ctx)
	var failure *pool.Error
	fmt.Println(errors.As(err, &failure), len(failure.Holders), "still held")

	lease.Release() // and destroyed
	fmt.Println(conns.Close(context.Background()))
	_, err = conns.Acquire(context.Background())
	fmt.Println(err)
	// Output:
	// true 1 still held
	// <nil>
	// headpond/pool "orders": acquire: the pool is closed
}

func ExampleObservers() {
	says := func(name string) pool.Observer {
		return func(p pool.Inspector) pool.Tap {
			return pool.Tap{End: func(_ context.Context, event pool.Event) {
				if event.Op == pool.Acquire || event.Op == pool.Release {
					fmt.Println(name, p.Name(), event.Op)
				}
			}}
		}
	}
	ctx := context.Background()
	conns := open(pool.Options{Observer: pool.Observers(says("A:"), says("B:"))})
	defer conns.Close(ctx)
	_ = conns.Do(ctx, func(context.Context, *conn) error { return nil })
	// Output:
	// B: pool acquire
	// A: pool acquire
	// B: pool release
	// A: pool release
}
