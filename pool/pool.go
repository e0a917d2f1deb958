package pool

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/internal/gate"
	"github.com/headpond/headpond/resource"
)

// Pool holds values of T ready for use by many goroutines. Make one with [New].
// All methods may be called from any goroutine.
//
//	lease, err := conns.Acquire(ctx)
//	if err != nil {
//		return err
//	}
//	defer lease.Release()
//	return ping(ctx, lease.Value())
//
// [Pool.Do] does the same in one call.
type Pool[T any] struct {
	hooks   resource.Hooks[T]
	options Options
	tap     *Tap // a SafeTap; nil: there is no observer

	every   time.Duration // how often maintain looks; 0: never
	limited bool          // the policy has a limit that Retire looks at
	admits  bool          // a value that was handed out may be rejected
	clocked bool          // the time of release matters

	gate  *gate.Gate[*entry[T]] // the values' turns
	lives lives[T]              // the values' lives

	start  time.Time       // all durations count from here
	ctx    context.Context // ends with Close, with the cause ErrClosed
	cancel context.CancelCauseFunc

	generation atomic.Uint64 // values of an earlier one are stale: Evict and Close begin a new one
	lastID     atomic.Uint64
	leaked     atomic.Uint64

	lastFailedCheck atomic.Int64 // when it was, since the start

	work sync.WaitGroup // goroutines of the pool that build and check values

	mu        sync.Mutex // protects the following
	live      map[uint64]*entry[T]
	upkeep    *time.Timer // of maintain; nil if nothing needs it
	scheduled bool        // upkeep will fire, or maintain runs
	again     bool        // maintainNow was called since maintain began

	pending     atomic.Bool   // maintain waits for something: see maintainNow
	maintaining chan struct{} // has a place for maintain while it runs

	recordUntil atomic.Int64 // acquires record their callers until then, since the start
	failing     failing
	detach      func() // of the tap, once
}

// New returns a pool of what hooks construct. It does no I/O and starts nothing:
// the first value is built on demand. It calls Options.Observer.
// The error names the hook that is missing or the option that is out of range.
func New[T any](hooks resource.Hooks[T], options Options) (*Pool[T], error) {
	options = options.withDefaults()
	if err := hooks.Validate(); err != nil {
		return nil, fmt.Errorf("headpond/pool %q: %w", options.Name, err)
	}
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("headpond/pool %q: %w", options.Name, err)
	}
	policy := options.Policy
	p := &Pool[T]{
		hooks:   hooks,
		options: options,
		limited: policy.MaxLifetime > 0 || policy.MaxIdleTime > 0 || policy.MaxUses > 0,
		admits:  policy.MaxLifetime > 0 || policy.MaxIdleTime > 0 || hooks.Check != nil || hooks.Prepare != nil || options.Extra != nil,
		clocked: policy.MaxLifetime > 0 || policy.MaxIdleTime > 0 || options.LeakAfter > 0 ||
			hooks.Check != nil || hooks.Reset != nil,
		start:  time.Now(),
		live:   make(map[uint64]*entry[T]),
		detach: func() {}, maintaining: make(chan struct{}, 1),
	}
	p.every = options.maintainEvery()
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	p.gate = gate.New(gate.Config[*entry[T]]{
		Max: options.MaxSize, MinIdle: options.MinIdle, MaxIdle: options.MaxIdle,
		MaxWaiters: options.MaxWaiters, MaxConstructing: options.MaxConstructing,
		ShortestBackoff: options.MinBackoff, LongestBackoff: options.MaxBackoff,
		Now: p.now, Admits: p.admits, Stale: p.stale, Suspect: p.suspect,
		Start:     func(b *gate.Builder[*entry[T]]) { p.work.Go(func() { p.build(b) }) },
		Check:     func(e *entry[T]) { p.work.Go(func() { p.checkAlone(e) }) },
		IdleSince: func(e *entry[T]) time.Duration { return e.idleSince },
	})
	var err error
	if p.lives, err = newLives(p.construct, p.destruct); err != nil {
		return nil, fmt.Errorf("headpond/pool %q: %w", options.Name, err)
	}
	if options.Observer != nil {
		tap := SafeTap(options.Observer(p))
		var once sync.Once // sync.OnceFunc would panic if tap.Detach calls runtime.Goexit, at every Close
		p.tap, p.detach = &tap, func() { once.Do(func() { apart(tap.Detach) }) }
	}
	return p, nil
}

// now is the time since the pool was made.
func (p *Pool[T]) now() time.Duration { return time.Since(p.start) }

// Name returns Options.Name.
func (p *Pool[T]) Name() string { return p.options.Name }

// Options returns the options that are in force, defaults filled in.
// MaxSize is that of New; Stats has the one that Resize set.
func (p *Pool[T]) Options() Options { return p.options }

// Figures returns what Options.Figures returns; nil if that is nil.
func (p *Pool[T]) Figures() []Figure {
	if p.options.Figures == nil {
		return nil
	}
	return p.options.Figures()
}

// Stats returns the pool's figures, all of one instant, and what Options.Extra adds. It takes one lock for a moment.
func (p *Pool[T]) Stats() Stats {
	return p.statsOf(p.gate.Snapshot())
}

func (p *Pool[T]) statsOf(s gate.Snapshot) Stats {
	stats := Stats{
		MaxSize: s.Max, Idle: s.Idle, Held: s.Held, Checking: s.Checking, Constructing: s.Constructing, Destroying: s.Destroying,
		Waiting: s.Waiting, WaitingForBuild: s.WaitingForBuild, OldestWait: s.OldestWait, Suspended: s.Suspended, Closed: s.Closed,
		Acquired: s.Acquired, Rejected: s.Rejected, Released: s.Released, Detached: s.Detached,
		Waited: s.Waited, WaitTime: s.WaitTime, WaitedForBuild: s.WaitedForBuild, BuildWaitTime: s.BuildWaitTime, TimedOut: s.TimedOut, Cancelled: s.Cancelled, Saturated: s.Saturated,
		Created: s.Created, CreateFailed: s.CreateFailed, Destroyed: s.Destroyed, DestroyFailed: s.DestroyFailed,
		Abandoned: s.Abandoned, Leaked: p.leaked.Load(), Since: p.start,
	}
	if p.options.Extra == nil {
		return stats
	}
	more := stats // on the heap: without Extra there is nothing to allocate
	p.options.Extra(&more)
	return more
}

// Resize sets the maximum of live values. Growing lets waiters in at once.
// Shrinking destroys idle values first, and held ones when they come back;
// until then more than maxSize are live. It does not wait. The error is an *Error, if maxSize is not positive.
func (p *Pool[T]) Resize(maxSize int) error {
	if maxSize < 1 {
		return p.fail(Resize, fmt.Errorf("maxSize is %d: it must be positive", maxSize))
	}
	for _, e := range p.gate.Resize(maxSize) {
		p.destroy(e, resource.Shrunk)
	}
	return nil
}

// Suspend makes every Acquire from now on wait until Resume, within its own limits;
// TryAcquire returns ErrUnavailable. Leases may end, and Warm builds. A second Suspend does nothing.
func (p *Pool[T]) Suspend() { p.gate.Suspend() }

// Resume undoes Suspend, however often that was called. The callers that wait get what there is, first come, first served.
func (p *Pool[T]) Resume() { p.gate.Resume() }
