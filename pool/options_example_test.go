package pool_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poollog"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/resource"
)

// answers are hooks for a pool of a value that takes a connection, a process or a file in earnest.
var answers = resource.Hooks[int]{
	Construct: func(context.Context) (int, error) { return 42, nil },
}

// A pool of a service.
func ExampleOptions() {
	page := poolz.New()
	http.Handle("/debug/poolz", page) // on an internal port

	p, err := pool.New(answers, pool.Options{
		Name:           "orders",
		MaxSize:        20,
		MinIdle:        2,               // hide the time of a build
		MaxWaiters:     200,             // more than that can't be served in time: refuse at once
		AcquireTimeout: 2 * time.Second, // less than the time that a request has
		LeakAfter:      time.Minute,
		Policy: resource.Policy{
			MaxLifetime:    time.Hour, // what is behind a load balancer moves
			LifetimeJitter: 10 * time.Minute,
			MaxIdleTime:    10 * time.Minute, // less than that of the firewall in between
		},
		Observer: pool.Observers(poollog.Observer(slog.Default()), page.Observer()),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Close(context.Background()))
	// Output: <nil>
}

// Values are kept ready from the first use of the pool on.
func ExampleOptions_minIdle() {
	ctx := context.Background()
	made := make(chan int, 10)
	p, err := pool.New(resource.Hooks[int]{
		Construct: func(context.Context) (int, error) { made <- 1; return 42, nil },
	}, pool.Options{MinIdle: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)

	lease, err := p.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	fmt.Println("made:", <-made+<-made+<-made, "for one lease")
	// Output: made: 3 for one lease
}

// A crowd that can't be served in time is better refused at once.
func ExampleOptions_maxWaiters() {
	ctx, cancel := context.WithCancel(context.Background())
	p, err := pool.New(answers, pool.Options{MaxSize: 1, MaxWaiters: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(context.Background())
	lease, err := p.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()

	failed := make(chan error)
	for range 2 { // one waits, the other is one too many
		go func() {
			_, err := p.Acquire(ctx)
			failed <- err
		}()
	}
	fmt.Println(errors.Is(<-failed, pool.ErrSaturated))
	cancel()
	fmt.Println(errors.Is(<-failed, context.Canceled))
	// Output:
	// true
	// true
}

// A lease that is held for too long is reported with the place that acquired it, and once more when it comes back.
func ExampleOptions_leakAfter() {
	ctx := context.Background()
	told := make(chan pool.Leak, 2)
	p, err := pool.New(answers, pool.Options{
		LeakAfter:     time.Millisecond, // a minute, say
		MaintainEvery: time.Millisecond, // how often the pool looks; the default is 30s
		Observer: func(pool.Inspector) pool.Tap {
			return pool.Tap{Leak: func(leak pool.Leak) { told <- leak }}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)

	lease, err := p.Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	leak := <-told
	fmt.Println("returned:", leak.Returned, leak.Stack.Frames()[0].Function)
	lease.Release()
	fmt.Println("returned:", (<-told).Returned)
	// Output:
	// returned: false github.com/headpond/headpond/pool_test.ExampleOptions_leakAfter
	// returned: true
}
