package pool

import (
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
	ErrClosed               = errors.New("the pool is closed")
	ErrAcquireTimeout error = timeoutError{}
	ErrUnavailable          = errors.New("no resource is idle")
	ErrSaturated            = errors.New("as many callers wait as MaxWaiters allows")
	ErrNested               = errors.New("it would wait for the lease that its own ctx belongs to")
)

type timeoutError struct{}

func (timeoutError) Error() string        { return "acquire timeout" }
func (timeoutError) Timeout() bool        { return true }
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Error is the error of every method of a pool that returns one:
// which pool, doing what, how it stood then, and why.
// The error of a hook is wrapped; an error of the function given to Do is returned as it is.
type Error struct {
	Pool    string   // Options.Name
	Op      Op       // what failed
	Stats   Stats    // when it failed
	Holders []Holder // who held what, the longest first; only after a timeout and from Close
	Err     error    // why

	Waited time.Duration // how long an Acquire had waited, in the queue or for a build

	cause error // why the last Construct failed, where that is part of Err
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Error says what happened, how the pool stood, and what to do about it.
func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "headpond/pool %q: %v: ", e.Pool, e.Op)
	switch {
	case e.Op == Close:
		fmt.Fprintf(&text, "%v, with %s; destroyed when they come back", e.Err, e.held())
	case errors.Is(e.Err, ErrClosed), errors.Is(e.Err, ErrNested), e.Waited == 0 && !errors.Is(e.Err, ErrSaturated):
		text.WriteString(e.Err.Error())
	default:
		if errors.Is(e.Err, ErrAcquireTimeout) {
			fmt.Fprintf(&text, "no resource within %v", e.Waited)
			if e.cause != nil {
				fmt.Fprintf(&text, "; the last Construct failed: %v", e.cause)
			}
		} else {
			text.WriteString(e.Err.Error())
			if e.Waited > 0 {
				fmt.Fprintf(&text, " after %v without a resource", e.Waited.Round(time.Millisecond))
			}
		}
		fmt.Fprintf(&text, " (%d of %d held, %d waiting, %d being built%s)%s", e.Stats.Held, e.Stats.MaxSize,
			e.Stats.Waiting, e.Stats.Constructing, e.longest(), e.advice())
	}
	return text.String()
}

func (e *Error) held() string {
	if len(e.Holders) == 0 {
		return fmt.Sprintf("no lease out, %d being built and %d being destroyed", e.Stats.Constructing, e.Stats.Destroying)
	}
	all := make([]string, 0, 4)
	for i, holder := range e.Holders {
		if i == 3 {
			all = append(all, fmt.Sprintf("and %d more", len(e.Holders)-i))
			break
		}
		all = append(all, holder.String())
	}
	return fmt.Sprintf("%d still held: %s", len(e.Holders), strings.Join(all, "; "))
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
	text := fmt.Sprintf("#%d for %v", h.ID, h.Held.Round(time.Millisecond))
	if caller := h.Stack.Caller(); caller != "" {
		text += " by " + caller
	}
	return text
}

// PanicError is what the panic of a hook becomes.
type PanicError struct {
	Op    Op
	Value any    // what it panicked with; nil after runtime.Goexit
	Stack []byte // of the panic, as runtime/debug.Stack returns it
}

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
	slices.SortFunc(holders, func(a, b Holder) int { return int(min(max(b.Held-a.Held, -1), 1)) })
	return holders
}
