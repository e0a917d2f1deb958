package resource_test

import (
	"fmt"
	"time"

	"github.com/headpond/headpond/resource"
)

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
