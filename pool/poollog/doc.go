// Package poollog writes what goes wrong in a pool to a [log/slog.Logger].
//
//	pool.Options{Observer: poollog.Observer(slog.Default())}
//
// At Warn: an acquire that timed out, a Construct that failed, a lease that is held
// for longer than Options.LeakAfter and its return, a Destroy that failed.
// At Debug: a value that was retired, and why; a Check, Prepare or Reset that failed.
// Every line has the pool's name, and is written with the ctx of the operation,
// so that a handler can add its trace.
//
// An outage does not flood the log: of each kind of line a pool writes one a second at most.
// Of those that come sooner the last one is written when the second is over, or the pool is closed,
// and has as left_out how many there were besides.
//
// An acquire that goes well costs no allocation.
package poollog
