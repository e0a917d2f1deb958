package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What an Error of a pool can be, to errors.Is.
// For ErrAcquireTimeout, errors.Is with context.DeadlineExceeded holds as well.
var (
	ErrClosed               = errors.New("the pool is closed")                                            // Close was called
	ErrAcquireTimeout error = timeoutError{}                                                              // Options.AcquireTimeout has passed
	ErrUnavailable          = errors.New("no resource is idle")                                           // only of TryAcquire
	ErrSaturated            = errors.New("as many callers wait as MaxWaiters allows")                     // Options.MaxWaiters
	ErrNested               = errors.New("it would have to wait inside a lease or hook of the same pool") // by the ctx of Do, Lease.Context or a hook
)

type timeoutError struct{}

func (timeoutError) Error() string        { return "acquire timeout" }
func (timeoutError) Timeout() bool        { return true }
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Error is the error of every method of a pool that returns one, as an *Error:
// which pool, doing what, how it stood then, and why.
// The error of a hook is wrapped; an error of the function given to Do is returned as it is.
// Its text is for logs: it can have the names of files and functions, and what a hook returned.
type Error struct {
	Pool    string   // Options.Name
	Op      Op       // what failed
	Stats   Stats    // when it failed
	Holders []Holder // who held what, the longest first; only after a timeout and from Close
	Err     error    // why

	Waited time.Duration // how long an Acquire had waited, in the queue or for a build
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Error says what happened, how the pool stood, and what to do about it.
func (e *Error) Error() string {
	prefix := fmt.Sprintf("headpond/pool %q: %v: ", e.Pool, e.Op)
	figures := func() string {
		return fmt.Sprintf(" (%d of %d held, %d waiting, %d being built%s)%s", e.Stats.Held, e.Stats.MaxSize,
			e.Stats.Waiting, e.Stats.Constructing, e.longest(), e.advice())
	}
	switch {
	case errors.Is(e.Err, ErrClosed), errors.Is(e.Err, ErrNested):
		return prefix + e.Err.Error()
	case e.Op == Close:
		return fmt.Sprintf("%s%v, with %s; destroyed when they come back", prefix, e.Err, e.held())
	case errors.Is(e.Err, ErrAcquireTimeout):
		more := strings.TrimPrefix(e.Err.Error(), ErrAcquireTimeout.Error())
		return fmt.Sprintf("%sno resource within %v%s%s", prefix, round(e.Waited), more, figures())
	case e.Waited > 0:
		return fmt.Sprintf("%sno resource within %v: %v%s", prefix, round(e.Waited), e.Err, figures())
	case errors.Is(e.Err, ErrSaturated):
		return prefix + e.Err.Error() + figures()
	case errors.Is(e.Err, ErrUnavailable) && e.Stats.Suspended:
		return prefix + e.Err.Error() + e.advice()
	}
	return prefix + e.Err.Error()
}

// round leaves three digits or so.
func round(d time.Duration) time.Duration {
	for unit := time.Second; unit > 1; unit /= 1000 {
		if d >= unit {
			return d.Round(unit / 1000)
		}
	}
	return d
}

// held says what Close waited for.
func (e *Error) held() string {
	all := make([]string, 0, 5)
	for i, holder := range e.Holders {
		if i == 3 {
			all = append(all, fmt.Sprintf("and %d more", len(e.Holders)-i))
			break
		}
		all = append(all, holder.String())
	}
	if len(all) > 0 {
		return fmt.Sprintf("%d still held: %s", len(e.Holders), strings.Join(all, "; "))
	}
	return fmt.Sprintf("no lease out, %d values in a hook, %d being built and %d being destroyed",
		e.Stats.Held, e.Stats.Constructing, e.Stats.Destroying)
}

func (e *Error) longest() string {
	if len(e.Holders) == 0 {
		return ""
	}
	return ", longest held: " + e.Holders[0].String()
}

// advice says what to do about a pool that had nothing to give.
func (e *Error) advice() string {
	switch {
	case e.Stats.Suspended:
		return ": it is suspended, until Resume"
	case e.Stats.Held < e.Stats.MaxSize && e.Stats.CreateFailed > 0 && e.Stats.Created == 0:
		return ": Construct has never succeeded; look at what it connects to"
	case e.Stats.Held < e.Stats.MaxSize:
		return ""
	case len(e.Holders) > 0 && e.Holders[0].Stack.Caller() == "":
		return ": release sooner, raise MaxSize, or set LeakAfter to learn who holds"
	}
	return ": release sooner or raise MaxSize"
}

// String returns the value's ID, for how long it has been held and, where known, by whom.
func (h Holder) String() string {
	text := fmt.Sprintf("#%d for %v", h.ID, round(h.Held))
	if caller := h.Stack.Caller(); caller != "" {
		text += " by " + caller
	}
	return text
}

// PanicError is what the panic of a hook becomes: in the error of Acquire where that waits for the hook,
// and in Event.Err.
type PanicError struct {
	Op    Op
	Value any    // what it panicked with; nil after runtime.Goexit
	Stack []byte // of the panic, as runtime/debug.Stack returns it
}

// Error says which hook, and what it panicked with.
func (e *PanicError) Error() string {
	if e.Value == nil {
		return fmt.Sprintf("%v called runtime.Goexit", e.Op)
	}
	return fmt.Sprintf("%v panicked: %v", e.Op, e.Value)
}

// Unwrap returns Value where it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ended is the error of a ctx that has ended: to errors.Is both ctx.Err() and context.Cause(ctx).
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == err {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// sortHolders puts the longest held first.
func sortHolders(holders []Holder) []Holder {
	slices.SortFunc(holders, func(a, b Holder) int { return cmp.Compare(b.Held, a.Held) })
	return holders
}
