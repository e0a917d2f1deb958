package pool

import (
	"context"
	"fmt"
	"sync/atomic"
)

// markKey is under which a ctx carries a mark of the pool:
// that it belongs to a lease of it, or to one of its hooks.
type markKey[T any] struct{ pool *Pool[T] }

type mark interface {
	live() bool    // the lease has not ended
	place() string // who it is
}

// marked returns the mark that ctx carries, nil where there is none or its lease has ended.
func (p *Pool[T]) marked(ctx context.Context) mark {
	if m, ok := ctx.Value(markKey[T]{p}).(mark); ok && m.live() {
		return m
	}
	return nil
}

// leaseMark is in the ctx of Lease.Context.
type leaseMark[T any] struct {
	lease Lease[T]
	outer mark // of the ctx before; nil: none
}

func (m leaseMark[T]) live() bool {
	return m.lease.entry.held.Load() == m.lease.began || m.outer != nil && m.outer.live()
}

func (m leaseMark[T]) place() string {
	if m.lease.entry.held.Load() != m.lease.began && m.outer != nil {
		return m.outer.place()
	}
	e := m.lease.entry
	return "it holds " + e.holder(m.lease.began, e.pool.now()).String()
}

// hookMark is in the ctx of a hook.
type hookMark struct {
	op   Op
	over atomic.Bool // the hook has returned
}

func (m *hookMark) live() bool    { return !m.over.Load() }
func (m *hookMark) place() string { return fmt.Sprintf("it is in the %v hook", m.op) }
