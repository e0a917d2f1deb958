// Package agent is what a backend and the pools below it say to each other of leases.
//
// An [Agent] acquires for callers that wait in a queue of the backend's own, or to keep the values in order: such a lease is no caller's.
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

// Note is what a backend says of a lease: which of its methods has it.
type Note struct {
	Key    any // under which a ctx that records the lease has the Note as its value
	Method string
}

// Noted is the ctx that a pool's Do hands out.
type Noted interface {
	context.Context

	// Note adds a note, which the ctx has until the lease ends. It must be called at most once, before the ctx is handed on.
	Note(note *Note)
}
