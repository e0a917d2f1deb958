// Package agent lets a backend acquire from a pool for callers that wait in a queue of the backend's own,
// or to keep the values in order: such a lease is no caller's.
//
// The pool does not count it in its Stats, nor tell the observer of its acquire and release, since the callers are counted and told of
// by the backend; and it asks the agent who has the value, since the goroutine that acquired it does not say so.
package agent

import "context"

// Agent is a ctx. If it is given to Acquire or TryAcquire as it is, of a pool whose Options.Extra is set, the lease is the agent's.
// A ctx that is made of it is an ordinary one.
type Agent interface {
	context.Context

	// Holder returns for whom the value is held now: a label, "" if there is none, and program counters as runtime.Callers returns them,
	// nil if they are unknown. It is called from any goroutine, with a lock held: it must not block.
	Holder() (label string, stack []uintptr)
}
