package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headpond/headpond/internal/catch"
	"github.com/headpond/headpond/resource"
)

// errExited is what an observer sees of an operation in which a hook called runtime.Goexit.
var errExited = errors.New("a hook called runtime.Goexit")

// PanicError is what the panic of a hook becomes: in the error of Acquire if that waits for the hook,
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

// Unwrap returns Value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// hookCall is a call of one of the hooks that run on their caller's goroutine.
type hookCall[T any] struct {
	op       Op
	hook     func(context.Context, T) error
	observed bool
	alone    bool // a Check by the pool itself, for no caller

	// Of Check and Reset: Prepare has the caller's own ctx.

	now    time.Duration // limit counts from then on
	limit  time.Duration // of the hook's ctx
	cause  error         // of its end for that; nil: context.DeadlineExceeded
	linked bool          // it ends with the caller's ctx, too
}

// call calls a hook. A panic becomes an error.
// runtime.Goexit can't be stopped: the entry is destroyed and call does not return.
func (p *Pool[T]) call(ctx context.Context, e *entry[T], c *hookCall[T]) (err error) {
	if c.observed {
		return p.callObserved(ctx, e, c)
	}
	inner := p.enterHook(ctx, e, c)
	returned := false
	defer func() { // not by catch.Run: its closures cost as much as a hook that does nothing
		if !returned {
			ending := catch.Caught(recover())
			err = p.leaveHook(e, c, ending)
			if ending.Exited() {
				p.lost(e, c)
			}
		}
	}()
	err = c.hook(inner, e.value)
	returned = true
	if c.op != Prepare && !e.hook.end() {
		e.hook = nil
	}
	return err
}

// callObserved is call, of which the observer is told.
func (p *Pool[T]) callObserved(ctx context.Context, e *entry[T], c *hookCall[T]) (err error) {
	exits := true // the goroutine ends before callObserved returns
	defer func() {
		if exits {
			p.lost(e, c)
		}
	}()
	event := Event{Op: c.op, ID: e.id}
	began := p.now()
	ctx = p.begin(ctx, event)
	inner := p.enterHook(ctx, e, c)
	catch.Run(func() { err = c.hook(inner, e.value) }, func(ending catch.Ending) {
		if failure := p.leaveHook(e, c, ending); failure != nil {
			err = failure
		}
		event.Took, event.Err = p.now()-began, err
		p.end(ctx, event)
		exits = ending.Exited()
	})
	return err
}

// enterHook returns the ctx of a hook.
func (p *Pool[T]) enterHook(ctx context.Context, e *entry[T], c *hookCall[T]) context.Context {
	if c.op == Prepare {
		return ctx
	}
	if e.hook == nil {
		e.hook = &hookContext[T]{pool: p}
	}
	e.hook.begin(ctx, c)
	return e.hook
}

// leaveHook ends the ctx of a hook. The error is that of a hook that has not returned.
func (p *Pool[T]) leaveHook(e *entry[T], c *hookCall[T], ending catch.Ending) error {
	if c.op != Prepare && !e.hook.end() {
		e.hook = nil
	}
	if ending.Returned {
		return nil
	}
	return &PanicError{c.op, ending.Value, ending.Stack}
}

// lost destroys an entry whose hook, or the tap that was told of it, has called runtime.Goexit.
func (p *Pool[T]) lost(e *entry[T], c *hookCall[T]) {
	switch {
	case c.alone:
		p.checkedAlone(e, &PanicError{Op: c.op})
		return
	case c.op == Reset:
		p.gateRetire(e)
	default:
		p.gate.Reject()
	}
	p.destroy(e, resource.Panicked)
}

// reasonOf is the reason for which a hook's error ends a value.
func reasonOf(err error, otherwise resource.Reason) resource.Reason {
	if _, ok := err.(*PanicError); ok {
		return resource.Panicked
	}
	return otherwise
}

// grace is what a hook that returns when its ctx ends may take to do so before it is abandoned.
const grace = 100 * time.Millisecond

// abandonedError is the error of a hook that was abandoned.
type abandonedError struct {
	pool  Inspector
	after time.Duration
}

func (e *abandonedError) Error() string {
	return fmt.Sprintf("it did not return when its ctx ended after %v, and was abandoned", e.after)
}

// abandoned reports whether err says that a hook of this pool was abandoned.
func (p *Pool[T]) abandoned(err error) bool {
	var abandoned *abandonedError
	return errors.As(err, &abandoned) && abandoned.pool == Inspector(p)
}

// isolate calls hook in a goroutine of its own, so that runtime.Goexit ends nothing else,
// and waits for it; with a timeout only so long, and a moment more, and then abandons it.
// What an abandoned hook returns goes to late.
func isolate[R any](pool Inspector, op Op, timeout time.Duration, hook func() (R, error), late func(R)) (R, error) {
	type outcome struct {
		result R
		err    error
	}
	done := make(chan outcome)
	abandoned := make(chan struct{})
	go func() {
		var o outcome
		catch.Run(func() { o.result, o.err = hook() }, func(ending catch.Ending) {
			if !ending.Returned {
				o.err = &PanicError{op, ending.Value, ending.Stack}
			}
			select {
			case done <- o:
			case <-abandoned:
				if o.err == nil {
					late(o.result)
				}
			}
		})
	}()
	var expired <-chan time.Time
	if timeout > 0 && timeout < forever-grace {
		timer := time.NewTimer(timeout + grace)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case o := <-done:
		return o.result, o.err
	case <-expired:
		close(abandoned)
		var none R
		return none, &abandonedError{pool, timeout}
	}
}
