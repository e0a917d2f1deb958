package pool

import (
	"context"
	"time"
)

// shield is a ctx of a caller's whose methods may panic: there they return nothing instead.
// What package context does with the parent of a ctx of ours happens at any time, and in goroutines of its own.
type shield struct {
	ctx  context.Context
	done <-chan struct{}
}

// newShield panics if ctx.Done does.
func newShield(ctx context.Context) shield { return shield{ctx, ctx.Done()} }

func (s shield) Done() <-chan struct{} { return s.done }

func (s shield) Err() (err error) {
	defer swallow()
	select {
	case <-s.done:
		err = context.Canceled // unless ctx says what
	default:
	}
	return s.ctx.Err()
}

func (s shield) Deadline() (deadline time.Time, ok bool) {
	defer swallow()
	return s.ctx.Deadline()
}

func (s shield) Value(key any) (value any) {
	defer swallow()
	return s.ctx.Value(key)
}

func swallow() { _ = recover() }

// hasEnded reports whether ctx has ended, or its deadline has passed, which what a Check did may notice a moment before.
func hasEnded(ctx context.Context) bool {
	defer swallow()
	if ctx.Err() != nil {
		return true
	}
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}
