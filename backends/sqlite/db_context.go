package sqlite

import (
	"context"
	"sync/atomic"

	"github.com/headpond/headpond/internal/agent"
)

// useKey is the context key of the note that says which method of the DB has called the function that got the ctx.
type useKey struct{ *database }

// note returns the note of a method.
func (d *database) note(method string) *agent.Note {
	return &agent.Note{Key: useKey{d}, Method: method}
}

// within returns the innermost method of the DB whose function got ctx, or one that ctx was made of, and has not returned; "": none.
func (d *database) within(ctx context.Context) (method string) {
	if note, ok := ctx.Value(useKey{d}).(*agent.Note); ok {
		return note.Method
	}
	return ""
}

// callContext is the ctx of a function given to Batch. What the ctx of a lease has, it has by itself: that of the caller is no part of it.
type callContext struct {
	context.Context
	note  *agent.Note
	marks context.Context // of the runner's lease: see pool.Lease.Context
	over  atomic.Bool     // the function has returned
}

// Value returns the note for its own key, and the marks of the lease, both until the function has returned.
func (c *callContext) Value(key any) any {
	if !c.over.Load() {
		if key == c.note.Key {
			return c.note
		}
		if c.marks != nil {
			if mark := c.marks.Value(key); mark != nil {
				return mark
			}
		}
	}
	return c.Context.Value(key)
}
