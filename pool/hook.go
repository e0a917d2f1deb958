package pool

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/headpond/headpond/resource"
)

// errExited is what an observer sees of an operation in which a hook called runtime.Goexit.
var errExited = errors.New("a hook called runtime.Goexit")

// call calls one of the hooks that run on their caller's goroutine. Its timeout counts from now.
// A panic becomes an error. runtime.Goexit can't be stopped: the entry is destroyed and call does not return.
func (p *Pool[T]) call(ctx context.Context, now time.Duration, e *entry[T], op Op, hook func(context.Context, T) error, observed bool) (err error) {
	event := Event{Op: op, ID: e.id}
	var began time.Duration
	if observed {
		began = p.now()
		ctx = p.tap.begin(ctx, event)
	}
	inner := ctx
	if op != Prepare { // whose ctx is the caller's own
		if e.hook == nil {
			e.hook = &hookContext[T]{pool: p}
		}
		timeout := p.options.Policy.CheckTimeout
		if op == Reset {
			timeout = p.options.Policy.ResetTimeout
		}
		e.hook.begin(ctx, now, op, timeout)
		inner = e.hook
	}
	returned := false
	defer func() {
		var thrown any
		if !returned {
			thrown = recover()
			err = panicked(op, thrown)
		}
		if op != Prepare && !e.hook.end() {
			e.hook = nil
		}
		if observed {
			event.Took, event.Err = p.now()-began, err
			p.tap.end(ctx, event)
		}
		if !returned && thrown == nil { // runtime.Goexit
			p.gate.Retire(op != Reset)
			p.destroy(e, resource.Panicked)
		}
	}()
	err = hook(inner, e.value)
	returned = true
	return err
}

// panicked is the error for what recover returned: nil after runtime.Goexit.
func panicked(op Op, thrown any) error {
	return &PanicError{Op: op, Value: thrown, Stack: debug.Stack()}
}

// reasonOf is the reason for which a hook's error ends a value.
func reasonOf(err error, otherwise resource.Reason) resource.Reason {
	if _, ok := err.(*PanicError); ok {
		return resource.Panicked
	}
	return otherwise
}

// hookContext is the ctx of a Check or Reset: it has the values of another,
// and ends with the pool and after a timeout. One serves an entry again and again,
// and makes the real context, with its timer, only when a hook asks for it.
type hookContext[T any] struct {
	pool *Pool[T]

	mu      sync.Mutex // protects the following
	op      Op         // the hook that runs; 0: none
	values  context.Context
	timeout time.Duration
	began   time.Duration
	real    context.Context // nil: nobody asked
	cancel  context.CancelFunc
}

func (c *hookContext[T]) begin(values context.Context, now time.Duration, op Op, timeout time.Duration) {
	c.mu.Lock()
	c.values, c.op, c.timeout, c.began = values, op, timeout, now
	c.mu.Unlock()
}

// end says that the hook has returned. It reports whether c may serve again:
// not where the hook may have kept something that listens to it.
func (c *hookContext[T]) end() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.op, c.values = 0, nil
	if c.real == nil {
		return true
	}
	c.cancel()
	return false
}

// over is the context of a hook that has returned.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// arm returns the real context.
func (c *hookContext[T]) arm() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real == nil {
		if c.op == 0 {
			return over
		}
		c.real, c.cancel = c.pool.bounded(c.values, max(0, c.timeout-(c.pool.now()-c.began)))
	}
	return c.real
}

func (c *hookContext[T]) Done() <-chan struct{}       { return c.arm().Done() }
func (c *hookContext[T]) Err() error                  { return c.arm().Err() }
func (c *hookContext[T]) Deadline() (time.Time, bool) { return c.arm().Deadline() }

func (c *hookContext[T]) Value(key any) any {
	c.mu.Lock()
	op, values := c.op, c.values
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
