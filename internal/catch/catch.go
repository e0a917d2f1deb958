// Package catch calls functions and methods of others, and says how the call ended:
// by returning, by a panic, or by [runtime.Goexit].
package catch

import "runtime/debug"

// Ending is how a call ended.
type Ending struct {
	Returned bool   // normally
	Value    any    // what it panicked with; nil if it returned, or called runtime.Goexit
	Stack    []byte // of the panic or runtime.Goexit, as debug.Stack returns it; nil if it returned
}

// Exited reports whether the call ended by runtime.Goexit.
func (e Ending) Exited() bool { return !e.Returned && e.Value == nil }

// Caught returns how a call ended that did not return: recovered is what recover returned to the function
// that the caller of f deferred. It is for calls for which the closures of Run cost too much.
func Caught(recovered any) Ending { return Ending{Value: recovered, Stack: debug.Stack()} }

// Run calls f, and then ended with how f ended. A panic goes no further than ended.
// runtime.Goexit cannot be stopped: ended is called, and Run does not return.
// (A panic with nil is a *runtime.PanicNilError, so that nil stands for runtime.Goexit.)
//
// Neither f nor ended is kept, so that a closure need not be allocated for them.
func Run(f func(), ended func(Ending)) {
	var ending Ending
	defer func() {
		if !ending.Returned {
			ending = Caught(recover())
		}
		ended(ending)
	}()
	f()
	ending.Returned = true
}
