package pool

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/internal/catch"
)

// bounded returns a ctx with the values of values that ends with the pool and after timeout (negative: never).
func (p *Pool[T]) bounded(values context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return p.boundedBy(context.WithoutCancel(values), timeout, nil)
}

// boundedBy returns a ctx that ends with parent, with the pool, and, for cause, after timeout (negative: never).
func (p *Pool[T]) boundedBy(parent context.Context, timeout time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	stop := context.AfterFunc(p.ctx, func() { cancel(context.Cause(p.ctx)) })
	stopTimer := func() {}
	if timeout >= 0 {
		ctx, stopTimer = context.WithTimeoutCause(ctx, timeout, cause)
	}
	return ctx, func() {
		stop()
		stopTimer()
		cancel(nil)
	}
}

// hookContext is the ctx of a Check or Reset: it has the values of another,
// and ends with the pool and after a timeout; that of a Check for a caller ends with the caller's ctx as well.
// One serves an entry again and again, and makes the real context, with its timer, only when a hook asks for it.
// Until something is asked of it, it is the entry's alone, and needs no lock.
type hookContext[T any] struct {
	pool  *Pool[T]
	state atomic.Uint32 // quiet, running or asked

	mu     sync.Mutex // protects the following, from the moment on at which the state is asked
	op     Op         // the hook that runs; 0: none
	outer  context.Context
	linked bool          // it ends with outer
	limit  time.Duration // from began on
	began  time.Duration
	cause  error           // of its end after limit
	real   context.Context // nil: the hook did not ask
	cancel context.CancelFunc
}

// The states of a hookContext.
const (
	quiet   uint32 = iota // no hook runs, and none has asked
	running               // a hook runs, and none has asked
	asked                 // for good: a hook that keeps its ctx may ask at any time
)

func (c *hookContext[T]) begin(outer context.Context, call *hookCall[T]) {
	shared := c.state.Load() == asked
	if shared {
		c.mu.Lock()
	}
	c.outer, c.op, c.linked, c.limit, c.began, c.cause = outer, call.op, call.linked, call.limit, call.now, call.cause
	if shared {
		c.mu.Unlock()
	} else {
		c.state.Store(running)
	}
}

// end says that the hook has returned. It reports whether c may serve again:
// not if the hook may have kept something that listens to it.
func (c *hookContext[T]) end() bool {
	if c.state.CompareAndSwap(running, quiet) {
		c.outer = nil // it is the entry's alone again
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.op, c.outer = 0, nil
	if c.real == nil {
		return true
	}
	c.cancel()
	return false
}

// ask locks c for a hook that asks something of it. It returns false, and locks nothing, if the hook has kept it and no hook runs.
func (c *hookContext[T]) ask() bool {
	for state := c.state.Load(); state != asked; state = c.state.Load() {
		if state == quiet {
			return false
		}
		c.state.CompareAndSwap(running, asked)
	}
	c.mu.Lock()
	return true
}

// returnedContext is the context of a hook that has returned.
var returnedContext = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// start returns the real context, and makes it at the first call.
func (c *hookContext[T]) start() context.Context {
	if !c.ask() {
		return returnedContext
	}
	defer c.mu.Unlock()
	if c.real == nil {
		if c.op == 0 {
			return returnedContext
		}
		parent := context.WithoutCancel(c.outer)
		if c.linked {
			parent = catch.NewShield(c.outer)
		}
		c.real, c.cancel = c.pool.boundedBy(parent, max(0, c.limit-(c.pool.now()-c.began)), c.cause)
	}
	return c.real
}

func (c *hookContext[T]) Done() <-chan struct{}       { return c.start().Done() }
func (c *hookContext[T]) Err() error                  { return c.start().Err() }
func (c *hookContext[T]) Deadline() (time.Time, bool) { return c.start().Deadline() }

func (c *hookContext[T]) Value(key any) any {
	if !c.ask() {
		return nil
	}
	op, values := c.op, c.outer
	if c.real != nil {
		values = c.real
	}
	c.mu.Unlock()
	switch {
	case op != 0 && key == any(markKey[T]{c.pool}):
		return &hookMark{op: op}
	case values != nil:
		return values.Value(key)
	}
	return nil
}
