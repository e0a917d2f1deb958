package pool_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
)

// numbers are hooks whose Construct counts.
func numbers() resource.Hooks[int64] {
	var made atomic.Int64
	return resource.Hooks[int64]{Construct: func(context.Context) (int64, error) { return made.Add(1), nil }}
}

// An observer of one's own: how long callers have waited.
func ExampleObserver() {
	ctx := context.Background()
	var acquires, took atomic.Int64
	observer := func(p pool.Inspector) pool.Tap { // called once, by New
		return pool.Tap{End: func(_ context.Context, event pool.Event) {
			if event.Op == pool.Acquire {
				acquires.Add(1)
				took.Add(int64(event.Took))
			}
		}}
	}
	p, err := pool.New(numbers(), pool.Options{Observer: observer})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	for range 3 {
		if err := p.Do(ctx, func(context.Context, int64) error { return nil }); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(acquires.Load(), "acquires, all within a minute:", time.Duration(took.Load()) < time.Minute)
	// Output: 3 acquires, all within a minute: true
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
	p, err := pool.New(numbers(), pool.Options{Name: "orders", Observer: pool.Observers(says("A:"), says("B:"))})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	if err := p.Do(ctx, func(context.Context, int64) error { return nil }); err != nil {
		log.Fatal(err)
	}
	// Output:
	// B: orders acquire
	// A: orders acquire
	// B: orders release
	// A: orders release
}

// What Begin puts into the ctx, the hooks inside and End find there.
func ExampleTap() {
	type requestKey struct{}
	observer := func(pool.Inspector) pool.Tap {
		return pool.Tap{
			Enabled: func(ctx context.Context) bool { return ctx.Value(requestKey{}) != nil }, // not for the rest
			End: func(ctx context.Context, event pool.Event) {
				fmt.Println(ctx.Value(requestKey{}), event.Op, event.Err)
			},
			Detach: func() { fmt.Println("closed") },
		}
	}
	p, err := pool.New(numbers(), pool.Options{Observer: observer})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for _, ctx := range []context.Context{ctx, context.WithValue(ctx, requestKey{}, "GET /orders")} {
		if err := p.Do(ctx, func(context.Context, int64) error { return nil }); err != nil {
			log.Fatal(err)
		}
	}
	p.Evict()
	if err := p.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// GET /orders acquire <nil>
	// GET /orders release <nil>
	// <nil> destroy <nil>
	// closed
}

// The operations in the life of one value.
func ExampleOp() {
	ctx := context.Background()
	hooks := numbers()
	hooks.Check = func(context.Context, int64) error { return nil }
	hooks.Prepare = func(context.Context, int64) error { return nil }
	hooks.Reset = func(context.Context, int64) error { return nil }
	p, err := pool.New(hooks, pool.Options{
		Policy: resource.Policy{CheckAfterIdle: -1}, // on every acquire
		Observer: func(pool.Inspector) pool.Tap {
			return pool.Tap{End: func(_ context.Context, event pool.Event) { fmt.Println(event.Op) }}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Do(ctx, func(context.Context, int64) error { return nil }); err != nil {
		log.Fatal(err)
	}
	if err := p.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// construct
	// check
	// prepare
	// acquire
	// reset
	// release
	// destroy
}

func ExampleEvent() {
	ctx := context.Background()
	p, err := pool.New(numbers(), pool.Options{Observer: func(pool.Inspector) pool.Tap {
		return pool.Tap{End: func(_ context.Context, event pool.Event) {
			switch event.Op {
			case pool.Acquire:
				fmt.Println("acquired", event.ID, "from", event.Source)
			case pool.Release:
				fmt.Println("released", event.ID, event.Outcome, "for", event.Reason)
			}
		}}
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	lease, err := p.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	lease.Discard()
	// Output:
	// acquired 1 from created
	// released 1 destroyed for discarded
}

func ExampleSource() {
	ctx := context.Background()
	p, err := pool.New(numbers(), pool.Options{Observer: func(pool.Inspector) pool.Tap {
		return pool.Tap{End: func(_ context.Context, event pool.Event) {
			if event.Op == pool.Acquire {
				fmt.Println(event.Source)
			}
		}}
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	for range 2 {
		if err := p.Do(ctx, func(context.Context, int64) error { return nil }); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// created
	// idle
}

func ExampleOutcome() {
	ctx := context.Background()
	p, err := pool.New(numbers(), pool.Options{Observer: func(pool.Inspector) pool.Tap {
		return pool.Tap{End: func(_ context.Context, event pool.Event) {
			if event.Op == pool.Release {
				fmt.Println(event.Outcome)
			}
		}}
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	for _, end := range []func(pool.Lease[int64]){
		pool.Lease[int64].Release,
		pool.Lease[int64].Discard,
		func(lease pool.Lease[int64]) { lease.Detach() },
	} {
		lease, err := p.Acquire(ctx)
		if err != nil {
			log.Fatal(err)
		}
		end(lease)
	}
	// Output:
	// returned
	// destroyed
	// detached
}

// What looks at pools need not know what is in them.
func ExampleInspector() {
	ctx := context.Background()
	numbers, err := pool.New(numbers(), pool.Options{Name: "numbers", MaxSize: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer numbers.Close(ctx)
	words, err := pool.New(resource.Hooks[string]{
		Construct: func(context.Context) (string, error) { return "word", nil },
	}, pool.Options{Name: "words", MaxSize: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer words.Close(ctx)
	if err := words.Warm(ctx, 1); err != nil {
		log.Fatal(err)
	}
	for _, p := range []pool.Inspector{numbers, words} {
		fmt.Println(p.Name(), p.Stats().Live(), "of", p.Stats().MaxSize)
	}
	// Output:
	// numbers 0 of 1
	// words 1 of 1
}

// A backend's own figure, for observers and pages.
func ExampleFigure() {
	hits := 17
	p, err := pool.New(numbers(), pool.Options{Figures: func() []pool.Figure {
		return []pool.Figure{{Name: "orders.cache.hits", Unit: "{hit}", Help: "Orders that were found in the cache.", Kind: pool.Counter, Value: float64(hits)}}
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())
	fmt.Printf("%+v\n", p.Figures())
	// Output: [{Name:orders.cache.hits Unit:{hit} Help:Orders that were found in the cache. Kind:counter Labels:[] Value:17}]
}

func ExampleHolder() {
	ctx := context.Background()
	p, err := pool.New(numbers(), pool.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	lease, err := p.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	for _, holder := range p.Holders() {
		fmt.Println(holder.ID, holder.Held < time.Minute, holder.Stack.Caller() == "") // without LeakAfter
	}
	// Output: 1 true true
}

// What a log could say of a lease that is held for too long.
func ExampleLeak() {
	ctx := context.Background()
	lines := make(chan string, 2)
	observer := func(p pool.Inspector) pool.Tap {
		return pool.Tap{Leak: func(leak pool.Leak) {
			if leak.Returned {
				lines <- fmt.Sprintf("pool %s: #%d came back", p.Name(), leak.ID)
			} else {
				lines <- fmt.Sprintf("pool %s: #%d is held for too long", p.Name(), leak.ID) // and by leak.Stack.Caller()
			}
		}}
	}
	p, err := pool.New(numbers(), pool.Options{
		Name: "orders", Observer: observer,
		LeakAfter: time.Millisecond, MaintainEvery: time.Millisecond, // a minute and more, in earnest
	})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	lease, err := p.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-lines)
	lease.Release()
	fmt.Println(<-lines)
	// Output:
	// pool orders: #1 is held for too long
	// pool orders: #1 came back
}

// acquiredAt holds a value of a pool that notes where leases are acquired, and returns what look says of that place.
func acquiredAt(look func(stack pool.Stack) string) string {
	ctx := context.Background()
	p, err := pool.New(numbers(), pool.Options{LeakAfter: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	lease, err := p.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	return look(p.Holders()[0].Stack)
}

// With Options.LeakAfter a holder has the place at which it was acquired.
func ExampleStack() {
	fmt.Println(acquiredAt(func(stack pool.Stack) string {
		return stack.Frames()[0].Function
	}))
	// Output: github.com/headpond/headpond/pool_test.acquiredAt
}

func ExampleStack_Caller() {
	fmt.Println(acquiredAt(func(stack pool.Stack) string {
		place, function, _ := strings.Cut(stack.Caller(), " ")
		return fmt.Sprint(strings.Contains(place, "observer_example_test.go:"), " ", function)
	}))
	// Output: true github.com/headpond/headpond/pool_test.acquiredAt
}

// The innermost call comes first; the pool's own are left out.
func ExampleStack_Frames() {
	fmt.Println(acquiredAt(func(stack pool.Stack) string {
		frames := stack.Frames()
		return frames[0].Function + "\n" + frames[1].Function
	}))
	// Output:
	// github.com/headpond/headpond/pool_test.acquiredAt
	// github.com/headpond/headpond/pool_test.ExampleStack_Frames
}

// Every call is two lines, as in a panic: the function, and its file and line.
func ExampleStack_String() {
	fmt.Println(acquiredAt(func(stack pool.Stack) string {
		function, _, _ := strings.Cut(stack.String(), "\n")
		return function
	}))
	// Output: github.com/headpond/headpond/pool_test.acquiredAt
}

// A sum of the figures of one instant.
func ExampleStats() {
	ctx := context.Background()
	p, err := pool.New(numbers(), pool.Options{MaxSize: 4})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	if err := p.Warm(ctx, 3); err != nil {
		log.Fatal(err)
	}
	lease, err := p.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	stats := p.Stats()
	fmt.Printf("%d held, %d idle, room for %d\n", stats.Held, stats.Idle, stats.MaxSize-stats.Live())
	// Output: 1 held, 2 idle, room for 1
}

func ExampleStats_Live() {
	ctx := context.Background()
	p, err := pool.New(numbers(), pool.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	if err := p.Warm(ctx, 2); err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Stats().Live())
	// Output: 2
}

// What to tell the client of a service if a pool gave nothing.
func ExampleError() {
	status := func(err error) int {
		switch {
		case errors.Is(err, pool.ErrSaturated), errors.Is(err, pool.ErrAcquireTimeout), errors.Is(err, pool.ErrClosed):
			return 503
		case err != nil:
			return 500
		}
		return 200
	}
	ctx := context.Background()
	p, err := pool.New(numbers(), pool.Options{Name: "orders", MaxSize: 1, AcquireTimeout: time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	if err := p.Warm(ctx, 1); err != nil { // the timeout is for a build as well
		log.Fatal(err)
	}
	lease, err := p.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()

	_, err = p.Acquire(ctx)
	fmt.Println(status(err))
	var failure *pool.Error
	if errors.As(err, &failure) {
		fmt.Println(failure.Pool, failure.Op, failure.Err)
		fmt.Printf("%d of %d held, for the longest time #%d\n", failure.Stats.Held, failure.Stats.MaxSize, failure.Holders[0].ID)
	}
	// Output:
	// 503
	// orders acquire acquire timeout
	// 1 of 1 held, for the longest time #1
}

// The panic of a hook becomes an error, and costs nothing but its value.
func ExamplePanicError() {
	p, err := pool.New(resource.Hooks[int]{
		Construct: func(context.Context) (int, error) {
			return strconv.Atoi(strings.Fields("")[0])
		},
	}, pool.Options{Name: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())

	_, err = p.Acquire(context.Background())
	fmt.Println(err)
	var panicked *pool.PanicError
	if errors.As(err, &panicked) {
		fmt.Println(panicked.Op, "has a stack:", len(panicked.Stack) > 0)
	}
	// Output:
	// headpond/pool "orders": construct: construct panicked: runtime error: index out of range [0] with length 0
	// construct has a stack: true
}
