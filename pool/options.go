package pool

import (
	"fmt"
	"runtime"
	"time"

	"github.com/headpond/headpond/resource"
)

// Options of a pool. The zero Options are right for most.
// A negative value is an error unless the field says otherwise.
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

	// MaxIdle is how many values are kept idle: what comes back beyond it is destroyed, for the reason Surplus.
	// What Warm builds stays. 0: MaxSize. At least MinIdle, at most MaxSize.
	MaxIdle int

	// MaxConstructing is how many values are built at the same time, so that a burst of callers, or Warm,
	// is no storm of logins. Callers come before Warm, and Warm before MinIdle;
	// a caller past it waits in the queue. A build that is abandoned frees its place. 0: no bound.
	MaxConstructing int

	// MaxWaiters is how many callers may wait in the queue;
	// past it Acquire fails at once with ErrSaturated. A caller for which a value is being built does not count. 0: no bound.
	MaxWaiters int

	// Advice is what an Error says to do, beside releasing sooner, if all values are held: "raise Options.Readers".
	// Defaults to "raise MaxSize".
	Advice string

	// AcquireTimeout bounds an Acquire: the wait in the queue, a build, and the Check hook; not the Prepare hook.
	// Defaults to 5s; negative: the caller's ctx alone.
	// It costs nothing if no wait is needed.
	AcquireTimeout time.Duration

	// MaintainEvery is how often idle values and leases are looked at, or sooner if MaxIdleTime, MaxLifetime,
	// CheckEvery or LeakAfter is shorter. It runs only if a value is live and one of these is set:
	// what they say of idle values and of leases is noticed that much later. Defaults to 30s.
	MaintainEvery time.Duration

	// MinBackoff is how long no value is built after a Construct that failed, and MaxBackoff after many in a row: it doubles from the one
	// to the other; of each the last half is drawn. They default to 50ms and 1s. MaxBackoff must not be less than MinBackoff;
	// if it is 0 and MinBackoff is longer than 1s, it is MinBackoff.
	MinBackoff, MaxBackoff time.Duration

	// FailingAfter is for how long no Construct may have succeeded, and at least two failed, before the Observer is told, once,
	// by End with an Event of Op Failing. 0: off.
	FailingAfter time.Duration

	// LeakAfter is how long a lease may be held before it is reported to the Observer, with its stack;
	// it is reported again when it comes back. The pool never takes it back by itself.
	// With it every acquire records its caller, which costs more than the rest of one that need not wait. Without it,
	// acquires record their callers only for a minute after one that timed out, or waited for more than a second. 0: off.
	LeakAfter time.Duration

	// Extra adds to Stats what waits in a queue of a backend's own, for calls that share a lease, say: its callers are the pool's, too.
	// It is called with every snapshot that the pool takes of itself, right after that, from any goroutine: it must not call the pool. nil: nothing.
	Extra func(stats *Stats)

	// Policy is how long values live and how long hooks may take.
	Policy resource.Policy

	// Observer is told what the pool does; see [Observers] for more than one. nil: none.
	Observer Observer

	// Figures returns a backend's own figures, for observers and pages. May be nil.
	// It is called from New on, from any goroutine; it must return the same names every time,
	// and must not take a lock that is held while the pool is closed.
	Figures func() []Figure

	// Statements returns what the statements of a backend came to, those that took the most time altogether first, for pages; those of the owner.
	// May be nil. It is called from any goroutine.
	Statements func() []StatementStats

	// System is the database system that the values are connections to, as in the attribute db.system.name of OpenTelemetry: "sqlite".
	// Namespace is the database, as in db.namespace: never a path. A backend sets both, for observers. "": none.
	System, Namespace string

	// Owner is the name of what the pool is a part of, such as a database that has a pool of readers and a pool of one writer:
	// Figures are those of the owner, and stand under its name. Defaults to Name.
	Owner string
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "pool"
	}
	if o.Owner == "" {
		o.Owner = o.Name
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
	if o.MinBackoff == 0 {
		o.MinBackoff = 50 * time.Millisecond
	}
	if o.MaxBackoff == 0 {
		o.MaxBackoff = max(time.Second, o.MinBackoff)
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
	case o.MaxIdle < 0:
		return fmt.Errorf("Options.MaxIdle is %d: it must not be negative", o.MaxIdle)
	case o.MaxIdle > o.MaxSize:
		return fmt.Errorf("Options.MaxIdle is %d: it must not exceed MaxSize, which is %d", o.MaxIdle, o.MaxSize)
	case o.MaxIdle > 0 && o.MaxIdle < o.MinIdle:
		return fmt.Errorf("Options.MaxIdle is %d: it must not be less than MinIdle, which is %d", o.MaxIdle, o.MinIdle)
	case o.MaxConstructing < 0:
		return fmt.Errorf("Options.MaxConstructing is %d: it must not be negative", o.MaxConstructing)
	case o.MaxWaiters < 0:
		return fmt.Errorf("Options.MaxWaiters is %d: it must not be negative", o.MaxWaiters)
	case o.MaintainEvery < 0:
		return fmt.Errorf("Options.MaintainEvery is %v: it must not be negative", o.MaintainEvery)
	case o.MinBackoff < 0:
		return fmt.Errorf("Options.MinBackoff is %v: it must not be negative", o.MinBackoff)
	case o.MaxBackoff < o.MinBackoff:
		return fmt.Errorf("Options.MaxBackoff is %v: it must not be less than MinBackoff, which is %v", o.MaxBackoff, o.MinBackoff)
	case o.FailingAfter < 0:
		return fmt.Errorf("Options.FailingAfter is %v: it must not be negative", o.FailingAfter)
	case o.LeakAfter < 0:
		return fmt.Errorf("Options.LeakAfter is %v: it must not be negative", o.LeakAfter)
	}
	if err := o.Policy.Validate(); err != nil {
		return fmt.Errorf("Options.%w", err)
	}
	return nil
}
