package pool

import (
	"context"
	"fmt"

	"github.com/headpond/headpond/resource"
)

// Lease is one acquired value. It is a small value: copy it freely, all copies are the same lease.
// It ends once, by Release, Discard or Detach, from any goroutine.
// A later Release or Discard does nothing, even when another caller holds the value by then;
// a later Value or Detach panics.
// The zero Lease has ended.
type Lease[T any] struct {
	entry *entry[T]
	began int64 // entry.held while the lease is out
	uses  int   // of the value, before
}

// Value returns the value. It panics once the lease has ended:
// another caller may hold the value by then.
func (l Lease[T]) Value() T {
	if !l.live() {
		panic(l.misuse("Value"))
	}
	return l.entry.value
}

// ID returns the number of the value, as Holders, errors and spans have it; 0 for the zero Lease.
func (l Lease[T]) ID() uint64 {
	if l.entry == nil {
		return 0
	}
	return l.entry.id
}

// Release ends the lease and returns the value to the pool, which destroys it in the background
// if it has reached a limit. It runs the Reset hook, with Policy.ResetTimeout, and otherwise does not block.
func (l Lease[T]) Release() {
	if l.end() {
		l.entry.pool.release(l.entry, resource.None)
	}
}

// Discard ends the lease and destroys the value, in the background.
func (l Lease[T]) Discard() {
	if l.end() {
		l.entry.pool.release(l.entry, resource.Discarded)
	}
}

// Detach ends the lease and returns the value, which is the caller's from now on:
// the pool forgets it, and has room for another. It panics once the lease has ended.
func (l Lease[T]) Detach() T {
	if !l.end() {
		panic(l.misuse("Detach"))
	}
	l.entry.pool.releaseDetached(l.entry)
	return l.entry.value
}

// Info returns the value's age and how often it was used before.
// The zero Lease has none.
func (l Lease[T]) Info() resource.Info {
	if l.entry == nil {
		return resource.Info{}
	}
	return resource.Info{Age: l.entry.pool.now() - l.entry.born, Jitter: l.entry.jitter, Uses: l.uses}
}

// Context returns a copy of ctx that records the lease. While the lease is held, an Acquire with it that would have to wait,
// perhaps for its own caller, fails with ErrNested at once, and so does Close. Do hands out such a ctx by itself.
// The zero Lease returns ctx as it is.
func (l Lease[T]) Context(ctx context.Context) context.Context {
	if l.entry == nil {
		return ctx
	}
	return &leaseContext[T]{Context: ctx, lease: l}
}

// live reports whether the lease is out.
func (l Lease[T]) live() bool { return l.entry != nil && l.entry.held.Load() == l.began }

// end ends the lease, and reports whether this call did.
func (l Lease[T]) end() bool {
	return l.entry != nil && l.entry.held.CompareAndSwap(l.began, free)
}

func (l Lease[T]) misuse(method string) string {
	if l.entry == nil {
		return fmt.Sprintf("headpond/pool: %s of the zero Lease: Acquire returned an error, or was never called", method)
	}
	return fmt.Sprintf("headpond/pool %q: %s of a lease that has ended: resource #%d was released, discarded or detached before",
		l.entry.pool.options.Name, method, l.entry.id)
}
