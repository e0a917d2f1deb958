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
// An error of any of these costs the value and never the pool's place for one.
package resource
