package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Sentinel errors, wrapped in *Error. Test for them with errors.Is.
// An error that wraps ErrAcquireTimeout matches context.DeadlineExceeded, too.
var (
	ErrClosed               = errors.New("the pool is closed")                                             // Close was called
	ErrAcquireTimeout error = timeoutError{}                                                               // Options.AcquireTimeout has passed
	ErrUnavailable          = errors.New("no resource is idle")                                            // only of TryAcquire
	ErrSaturated            = errors.New("wait queue is full (MaxWaiters)")                                // Options.MaxWaiters callers wait
	ErrNested               = errors.New("waiting inside a lease or hook of the same pool would deadlock") // by the ctx of Do, Lease.Context or a hook
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
	Holders []Holder // the leases that were held the longest, at most 8, the longest first; only after a timeout and from Close
	Err     error    // why
	Advice  string   // Options.Advice
	Cause   error    // why nothing could be had, if an Acquire waited and that is known: the last Construct failed, say

	Waited   time.Duration // how long an Acquire took that waited, or checked values
	Building time.Duration // of Waited, the wait for builds
	Checking time.Duration // of Waited, the time in Check
}

// Unwrap returns Err, or if there is a Cause an error that wraps both.
func (e *Error) Unwrap() error {
	if e.Cause == nil {
		return e.Err
	}
	return causedError{e.Err, e.Cause}
}

// causedError is an error and its cause.
type causedError struct{ err, cause error }

func (e causedError) Error() string   { return e.err.Error() + "; " + e.cause.Error() }
func (e causedError) Unwrap() []error { return []error{e.err, e.cause} }

// Error says what happened, how the pool stood, and what to do about it.
func (e *Error) Error() string {
	prefix := fmt.Sprintf("headpond/pool %q: %v: ", e.Pool, e.Op)
	figures := func() string {
		return fmt.Sprintf(" (%d of %d held, %d waiting, %d being built%s%s)%s", e.Stats.Held, e.Stats.MaxSize,
			e.Stats.Waiting, e.Stats.Constructing, e.others(), e.longest(), e.advice())
	}
	switch {
	case errors.Is(e.Err, ErrClosed), errors.Is(e.Err, ErrNested):
		return prefix + e.Err.Error()
	case e.Op == Close && e.Stats.Held > 0:
		return fmt.Sprintf("%s%v, with %s; destroyed when they come back", prefix, e.Err, e.held())
	case e.Op == Close:
		return fmt.Sprintf("%s%v, with %s", prefix, e.Err, e.held())
	case e.Err == ErrAcquireTimeout: // one of another pool, in a hook or as the cause of ctx's end, has a text that says which
		return fmt.Sprintf("%sno resource within %v%s%s%s", prefix, round(e.Waited), e.spent(), e.cause(), figures())
	case e.Waited > 0:
		return fmt.Sprintf("%sno resource within %v%s: %v%s%s", prefix, round(e.Waited), e.spent(), e.Err, e.cause(), figures())
	case e.Err == ErrSaturated:
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
			break
		}
		all = append(all, holder.String())
	}
	if held := max(len(e.Holders), e.Stats.Held); len(all) > 0 {
		if more := held - len(all); more > 0 {
			all = append(all, fmt.Sprintf("and %d more", more))
		}
		return fmt.Sprintf("%d still held: %s", held, strings.Join(all, "; "))
	}
	return fmt.Sprintf("no lease held, %d values in a hook, %d being built and %d being destroyed",
		e.Stats.Held+e.Stats.Checking, e.Stats.Constructing, e.Stats.Destroying)
}

// spent says what the time went to, if it was not all the same.
func (e *Error) spent() string {
	var parts []string
	for _, part := range []struct {
		time time.Duration
		name string
	}{{e.Checking, "in Check"}, {e.Building, "waiting for builds"}, {e.Waited - e.Checking - e.Building, "in the queue"}} {
		if part.time >= time.Microsecond {
			parts = append(parts, fmt.Sprintf("%v %s", round(part.time), part.name))
		}
	}
	if len(parts) < 2 && e.Checking == 0 {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}

// others names the values that are in no caller's hands and none is waiting for.
func (e *Error) others() (text string) {
	for _, other := range []struct {
		n    int
		what string
	}{{e.Stats.Idle, "idle"}, {e.Stats.Checking, "being checked"}, {e.Stats.Destroying, "being destroyed"}} {
		if other.n > 0 {
			text += fmt.Sprintf(", %d %s", other.n, other.what)
		}
	}
	return text
}

func (e *Error) cause() string {
	if e.Cause == nil {
		return ""
	}
	return "; " + e.Cause.Error()
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
	case e.Stats.Destroying > 0 && e.Stats.Held+e.Stats.Destroying >= e.Stats.MaxSize:
		return ": a value that is being destroyed keeps its slot until Destroy has returned; look at what that waits for"
	case e.Stats.Held < e.Stats.MaxSize && e.Stats.CreateFailed > 0 && e.Stats.Created == 0:
		return ": Construct has never succeeded; look at what it connects to"
	case e.Stats.Held < e.Stats.MaxSize && errors.Is(e.Err, context.Canceled):
		return "" // it may have been cancelled at once
	case e.Stats.Held < e.Stats.MaxSize && e.Building > 0 && e.Stats.Constructing > 0:
		return ": a build is still under way; look at what Construct waits for"
	case e.Stats.Held < e.Stats.MaxSize && e.Checking > 0 && e.Stats.Checking > 0:
		return ": a value is still being checked; look at what Check waits for"
	case e.Stats.Held < e.Stats.MaxSize:
		return ""
	}
	larger := cmp.Or(e.Advice, "raise MaxSize")
	if len(e.Holders) > 0 && e.Holders[0].Stack.Caller() == "" {
		return ": release sooner, " + larger + ", or set LeakAfter to learn who holds"
	}
	return ": release sooner or " + larger
}

// fail returns the Error of op.
//
// It is not inlined: its Stats would lie in the frame of every Acquire that waits,
// and make its goroutine's stack grow from 2 to 8 KiB.
//
//go:noinline
func (p *Pool[T]) fail(op Op, err error) *Error {
	return &Error{Pool: p.options.Name, Op: op, Stats: p.Stats(), Err: err, Advice: p.options.Advice}
}

// failWaiting is fail for an acquire that waited, or checked values: with what its time went to, why nothing could be built,
// and the holders unless it was cancelled.
func (p *Pool[T]) failWaiting(err error, a *attempt[T]) *Error {
	s := p.gate.Snapshot()
	e := &Error{Pool: p.options.Name, Op: Acquire, Stats: p.statsOf(s), Err: err, Advice: p.options.Advice}
	e.Waited, e.Checking, e.Building = p.now()-a.since, a.spent.checking, a.spent.building
	if s.Cause != nil {
		e.Cause = fmt.Errorf("the last Construct failed: %w", s.Cause)
	}
	if !errors.Is(err, context.Canceled) {
		e.Holders = p.longestHolders()
	}
	return e
}

// failClosing is fail for Close: with the holders.
func (p *Pool[T]) failClosing(err error) *Error {
	e := p.fail(Close, err)
	e.Holders = p.longestHolders()
	return e
}
