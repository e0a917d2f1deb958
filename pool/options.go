package pool

import (
	"fmt"
	"runtime"
	"time"

	"github.com/headpond/headpond/resource"
)

// Options of a pool. The zero Options are right for most.
// A negative value is an error where nothing else is said of it.
type Options struct {
	// Name stands in errors, spans and metrics. Defaults to "pool".
	Name string

	// MaxSize is the most values that live at any instant,
	// those being built and destroyed included.
	// Defaults to max(4, GOMAXPROCS).
	MaxSize int

	// MinIdle is how many values are kept ready, built in the background
	// as soon as fewer are, from the first use of the pool on.
	// Defaults to 0. At most MaxSize, which still bounds the whole.
	MinIdle int

	// MaxWaiters is how many callers may wait in the queue;
	// past it Acquire fails at once with ErrSaturated. 0: no bound.
	MaxWaiters int

	// AcquireTimeout bounds what an Acquire waits, for a build as well; not the Check and Prepare hooks.
	// Defaults to 5s; negative: the caller's ctx alone.
	// It costs nothing where no wait is needed.
	AcquireTimeout time.Duration

	// MaintainEvery is how often idle values and leases are looked at.
	// It runs only where a value is live and MaxIdleTime, MaxLifetime or LeakAfter is set:
	// what these say of idle values and of leases is noticed that much later. Defaults to 30s.
	MaintainEvery time.Duration

	// LeakAfter is the time from which on a lease is reported to the Observer, with its stack;
	// it is reported again when it comes back. The pool never takes it back by itself.
	// Taking the stack costs more than the rest of an acquire that need not wait. 0: off.
	LeakAfter time.Duration

	// Policy is how long values live and how long hooks may take.
	Policy resource.Policy

	// Observer is told what the pool does; see Observers for more than one. nil: nobody.
	Observer Observer

	// Figures returns a backend's own figures, for observers and pages. May be nil.
	// It is called from New on, from any goroutine; it must return the same names every time,
	// and must not take a lock that is held while the pool is closed.
	Figures func() []Figure
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "pool"
	}
	if o.MaxSize == 0 {
		o.MaxSize = max(4, runtime.GOMAXPROCS(0))
	}
	if o.AcquireTimeout == 0 {
		o.AcquireTimeout = 5 * time.Second
	}
	if o.MaintainEvery == 0 {
		o.MaintainEvery = 30 * time.Second
	}
	o.Policy = o.Policy.WithDefaults()
	return o
}

// validate looks at o after withDefaults.
func (o Options) validate() error {
	switch {
	case o.MaxSize < 0:
		return fmt.Errorf("Options.MaxSize is %d: it must not be negative", o.MaxSize)
	case o.MinIdle < 0:
		return fmt.Errorf("Options.MinIdle is %d: it must not be negative", o.MinIdle)
	case o.MinIdle > o.MaxSize:
		return fmt.Errorf("Options.MinIdle is %d: it must not exceed MaxSize, which is %d", o.MinIdle, o.MaxSize)
	case o.MaxWaiters < 0:
		return fmt.Errorf("Options.MaxWaiters is %d: it must not be negative", o.MaxWaiters)
	case o.MaintainEvery < 0:
		return fmt.Errorf("Options.MaintainEvery is %v: it must not be negative", o.MaintainEvery)
	case o.LeakAfter < 0:
		return fmt.Errorf("Options.LeakAfter is %v: it must not be negative", o.LeakAfter)
	}
	if err := o.Policy.Validate(); err != nil {
		return fmt.Errorf("Options.%w", err)
	}
	return nil
}
