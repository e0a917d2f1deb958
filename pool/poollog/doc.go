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
//
// At Debug:
//   - a value that was retired, and why
//   - a Check, Prepare or Reset that failed
//
// Every line has the name of the pool as its attribute pool, and is written with the ctx of the operation
// where that has one, so that a handler can add its trace. Errors are written as they are, with whatever a hook put into them.
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
// A handler that blocks holds up whoever uses the pool.
package poollog
