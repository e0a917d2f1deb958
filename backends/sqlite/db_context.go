package sqlite

import (
	"context"
	"sync/atomic"
)

// useContext is the ctx of a function given to Read, Write or Batch. It marks what is called with it as nested.
type useContext struct {
	context.Context
	database *database
	method   string          // of the DB; for errors
	marks    context.Context // of the runner's lease, which ctx does not have: see pool.Lease.Context
	over     atomic.Bool     // the function has returned
}

type useKey struct{ *database }

// Value returns the useContext itself for its own key, and, until the function has returned, the marks of the lease.
func (u *useContext) Value(key any) any {
	if key == any(useKey{u.database}) {
		return u
	}
	if u.marks != nil && !u.over.Load() {
		if mark := u.marks.Value(key); mark != nil {
			return mark
		}
	}
	return u.Context.Value(key)
}

// within returns the innermost useContext that ctx is made of and whose function has not returned, or nil if there is none.
func (d *database) within(ctx context.Context) *useContext {
	for {
		u, ok := ctx.Value(useKey{d}).(*useContext)
		if !ok {
			return nil
		}
		if !u.over.Load() {
			return u
		}
		ctx = u.Context
	}
}
