// Package poollog writes what goes wrong in a pool to a [log/slog.Logger].
//
//	pool.Options{Observer: poollog.Observer(slog.Default())}
//
// # What is written
//
// At Warn:
//   - an acquire that timed out, with its error, which says how the pool stood
//   - a Construct that failed
//   - a lease that is held for longer than pool.Options.LeakAfter, with the place that acquired it, and its return
//   - a Destroy that failed
//   - that no Construct has succeeded for pool.Options.FailingAfter
//   - a slow statement, where the backend tells of those, as with sqlite.Options.SlowAfter: its text as it was prepared,
//     how long it took, its rows, steps of scans of whole tables, sorts and automatic indexes
//
// At Info:
//   - an acquire that was refused because the queue was full
//   - an acquire for which no value passed its Check
//
// At Debug:
//   - a value that was retired, and why
//   - a Check, Prepare or Reset that failed
//
// Every line has the name of the pool as its attribute pool, and is written with the ctx of the operation
// if that has one, so that a handler can add its trace. Errors are written as they are, with whatever a hook put into them.
//
// # In an outage
//
// The log is not flooded: of each kind of line a pool writes one a second at most.
// Of those that come sooner the last one is written when the second is over, or the pool is closed,
// and has as left_out how many there were besides.
//
// # What it costs
//
// An acquire that goes well costs no allocation.
// A handler that blocks holds up the callers of the pool.
package poollog
