// Package resource says what happens to one value of a pool in its life:
// the [Hooks] that make it, look at it and end it,
// the [Policy] that says how long it may live,
// and the [Reason] for which it ended.
//
// Everything here is pure: no goroutine, no lock, no clock.
// Package pool decides when, and to which value.
//
// # The life of a value
//
//	Construct ─▶ (idle) ─▶ Check ─▶ Prepare ─▶ held ─▶ Reset ─▶ (idle) ─▶ ... ─▶ Destroy
//
// Construct makes it and Destroy ends it: once each.
// Check asks, after an idle time, whether it is still alive.
// Prepare fits it to the caller who is about to get it,
// and Reset brings it back to the state in which the next one expects it.
// An error, a panic or runtime.Goexit in any of these costs the value and never the pool's place for one.
//
// # What a hook has to keep to
//
//	hook       runs on                      its ctx ends                     an error
//	Construct  a goroutine of the pool      with the pool, ConstructTimeout  is the error of Acquire
//	Check      the goroutine of Acquire     with Acquire, CheckTimeout       destroys; another value is tried
//	Prepare    the goroutine of Acquire     with the caller's ctx            destroys, and is the error of Acquire
//	Reset      the goroutine of Release     with the pool, ResetTimeout      destroys
//	Destroy    a goroutine of the pool      after DestroyTimeout             is counted and observed
//
// A hook returns when its ctx ends. Construct and Destroy are abandoned if they do not, and go on
// at the expense of a goroutine; the others block their caller.
// The hooks of one value never run at the same time; those of different values do, so what they share needs a lock.
// A hook that writes to a connection sets a deadline on it: Check from its ctx, Prepare from the caller's.
//
// # How long a value may live
//
// The limits of a Policy are looked at when a value is handed out, when it comes back,
// and while it is idle, every pool.Options.MaintainEvery. A value that is held is left alone:
// MaxLifetime ends it when it comes back.
package resource
