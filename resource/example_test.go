package resource_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/headpond/headpond/resource"
)

// Connections to a server.
func ExampleHooks() {
	var dialer net.Dialer
	hooks := resource.Hooks[net.Conn]{
		Construct: func(ctx context.Context) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", "orders.example:7000")
		},
		Check: func(ctx context.Context, conn net.Conn) error {
			return ping(conn)
		},
		Prepare: func(ctx context.Context, conn net.Conn) error {
			deadline, _ := ctx.Deadline() // the caller's; none: the zero time
			return conn.SetDeadline(deadline)
		},
		Destroy: func(_ context.Context, conn net.Conn) error {
			return conn.Close()
		},
	}
	if err := hooks.Validate(); err != nil { // as pool.New does
		log.Fatal(err)
	}
	fmt.Println("fit for a pool")
	// Output: fit for a pool
}

// ping stands for what the server answers at once.
func ping(net.Conn) error { return nil }

// Validate names the hook that is missing.
func ExampleHooks_Validate() {
	fmt.Println(resource.Hooks[net.Conn]{}.Validate())
	// Output: Hooks.Construct is nil: a pool needs a way to make a value
}

func ExamplePolicy() {
	policy := resource.Policy{
		MaxLifetime:    time.Hour,
		LifetimeJitter: 10 * time.Minute, // between 50 minutes and an hour
		MaxIdleTime:    5 * time.Minute,
		CheckAfterIdle: 10 * time.Second,
	}
	fmt.Println(policy.Validate())
	// Output: <nil>
}

// A policy decides from durations alone; the pool brings the clock.
func ExamplePolicy_Retire() {
	policy := resource.Policy{MaxLifetime: time.Hour, LifetimeJitter: 5 * time.Minute, MaxIdleTime: time.Minute}

	fmt.Println(policy.Retire(resource.Info{Age: 50 * time.Minute, Idle: time.Second}))
	fmt.Println(policy.Retire(resource.Info{Age: 50 * time.Minute, Idle: 2 * time.Minute}))
	fmt.Println(policy.Retire(resource.Info{Age: 57 * time.Minute, Jitter: 3 * time.Minute}))
	// Output:
	// none
	// max_idle_time
	// max_lifetime
}

// Validate names the field that is out of range, and its value.
func ExamplePolicy_Validate() {
	fmt.Println(resource.Policy{MaxIdleTime: -time.Second}.Validate())
	// Output: Policy.MaxIdleTime is -1s: it must not be negative
}

func ExamplePolicy_WithDefaults() {
	policy := resource.Policy{CheckTimeout: time.Second}.WithDefaults()
	fmt.Println(policy.ConstructTimeout, policy.CheckTimeout, policy.ResetTimeout, policy.DestroyTimeout)
	// Output: 30s 1s 5s 15s
}

// How much of its lifetime a value has left.
func ExampleInfo() {
	info := resource.Info{Age: 40 * time.Minute, Jitter: 5 * time.Minute, Uses: 17}
	fmt.Println(time.Hour - info.Age - info.Jitter)
	// Output: 15m0s
}

func ExampleReason() {
	ends := resource.Policy{MaxUses: 100}.Retire(resource.Info{Uses: 100})
	fmt.Println(ends, ends == resource.MaxUses)
	// Output: max_uses true
}

// The names are those of the attribute headpond.destroy.reason.
func ExampleReason_String() {
	for reason := range resource.Reasons {
		fmt.Print(reason.String(), " ")
	}
	fmt.Println()
	// Output: none max_lifetime max_idle_time max_uses check_failed prepare_failed reset_failed discarded evicted shrunk closed panicked surplus
}
