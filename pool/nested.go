package pool

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/headpond/headpond/internal/agent"
)

// markKey is the context key of a mark of the pool:
// the ctx belongs to a lease of it, or to one of its hooks.
type markKey[T any] struct{ pool *Pool[T] }

type mark interface {
	live() bool    // the lease has not ended, or the hook not returned
	place() string // for errors: "it holds ..."
}

// marked returns the mark that ctx carries, or nil if there is none or it is not live.
func (p *Pool[T]) marked(ctx context.Context) mark {
	if m, ok := ctx.Value(markKey[T]{p}).(mark); ok && m.live() {
		return m
	}
	return nil
}

// leaseContext is the ctx of Lease.Context, and the mark that it carries.
type leaseContext[T any] struct {
	context.Context
	lease Lease[T]
	note  *agent.Note // of a backend; nil: none
}

func (c *leaseContext[T]) Value(key any) any {
	if key == any(markKey[T]{c.lease.entry.pool}) {
		return c
	}
	if c.note != nil && key == c.note.Key && c.lease.live() {
		return c.note
	}
	return c.Context.Value(key)
}

// Note implements agent.Noted.
func (c *leaseContext[T]) Note(note *agent.Note) { c.note = note }

func (c *leaseContext[T]) live() bool { return c.lease.live() || c.outer() != nil }

func (c *leaseContext[T]) place() string {
	if outer := c.outer(); outer != nil && !c.lease.live() {
		return outer.place()
	}
	e := c.lease.entry
	return "it holds " + e.holder(c.lease.began, e.pool.now()).String()
}

// outer is the mark of the ctx that this one was made of; nil: none.
func (c *leaseContext[T]) outer() mark { return c.lease.entry.pool.marked(c.Context) }

// hookMark is in the ctx of a hook.
type hookMark struct {
	op       Op
	returned atomic.Bool
}

func (m *hookMark) live() bool    { return !m.returned.Load() }
func (m *hookMark) place() string { return fmt.Sprintf("it is in the %v hook", m.op) }
