package sqlite

import (
	"context"
	"time"
)

// shield is a ctx of a caller's for goroutines that are not that caller's: if a method of it panics, it returns nothing instead.
type shield struct {
	ctx  context.Context
	done <-chan struct{} // of ctx
}

// newShield belongs on the caller's goroutine: it panics if ctx.Done does.
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
