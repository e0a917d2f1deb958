package pool

import (
	"context"
	"fmt"
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

// leaseMark is in the ctx that Do hands out.
type leaseMark[T any] struct{ lease Lease[T] }

func (m leaseMark[T]) live() bool { return m.lease.entry.held.Load() == m.lease.began }

func (m leaseMark[T]) place() string {
	e := m.lease.entry
	return "it holds " + e.holder(m.lease.began, e.pool.now()).String()
}

// hookMark is in the ctx of a hook, which is not used after its return.
type hookMark struct{ op Op }

func (m hookMark) live() bool    { return true }
func (m hookMark) place() string { return fmt.Sprintf("it is in the %v hook", m.op) }
