package catch

import (
	"context"
	"time"
)

// Shield is a ctx of a caller's for goroutines that are not that caller's: if a method of it panics, it returns nothing instead.
// What package context does with the parent of a ctx happens at any time, and in goroutines of its own.
type Shield struct {
	ctx  context.Context
	done <-chan struct{}
}

// NewShield belongs on the caller's goroutine: it panics if ctx.Done does.
func NewShield(ctx context.Context) Shield { return Shield{ctx, ctx.Done()} }

// ShieldOf is NewShield for a ctx whose Done was asked before, or is not wanted: it calls no method of ctx.
func ShieldOf(ctx context.Context, done <-chan struct{}) Shield { return Shield{ctx, done} }

// Done returns what ctx.Done had returned.
func (s Shield) Done() <-chan struct{} { return s.done }

// Err is that of ctx.
func (s Shield) Err() (err error) {
	defer Swallow()
	select {
	case <-s.done:
		err = context.Canceled // unless ctx says what
	default:
	}
	return s.ctx.Err()
}

// Deadline is that of ctx.
func (s Shield) Deadline() (deadline time.Time, ok bool) {
	defer Swallow()
	return s.ctx.Deadline()
}

// Value is that of ctx.
func (s Shield) Value(key any) (value any) {
	defer Swallow()
	return s.ctx.Value(key)
}

// Swallow, deferred, lets no panic go further.
func Swallow() { _ = recover() }
