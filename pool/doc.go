// Package pool keeps values that are expensive to make ready for use by many goroutines:
// connections, sessions, worker processes, anything.
//
//	conns, err := pool.New(resource.Hooks[net.Conn]{
//		Construct: func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", address) },
//		Destroy:   func(_ context.Context, conn net.Conn) error { return conn.Close() },
//	}, pool.Options{Name: "orders", MaxSize: 10})
//	...
//	err = conns.Do(ctx, func(ctx context.Context, conn net.Conn) error { ... })
//
// # The way of an Acquire
//
// An idle value goes to the caller at once, the one that was released last first.
// Where none is idle and fewer than MaxSize are live, one is built,
// in a goroutine of the pool: a caller that gives up does not stop it,
// and what is built goes to the next in line.
// Else the caller waits: first come, first served.
// Who builds waits for what it builds.
// A value that has reached a limit of the policy, or fails its Check, is destroyed,
// and the caller tries the next one without losing its place.
//
// MaxSize bounds the values that live at any instant, those being built and destroyed included:
// a pool of one is a lock. The one exception is a Construct or Destroy that ignores its ctx:
// it is abandoned, frees its slot, and counts in Stats.Abandoned.
//
// After a Construct has failed nobody else tries for 50 ms, doubling to 1 s with every further failure,
// and then one at a time until one succeeds. The caller whose Construct failed learns it at once,
// the others wait within their own limits, and where these end learn the last cause as well.
// A pool with MinIdle goes on trying, at most once a second.
//
// # Leases
//
// A [Lease] ends once: by Release, Discard or Detach. Later calls do nothing, whoever has the value by then.
// [Pool.Do] is the scoped way, and ends its lease whatever happens.
// [Pool.Holders] says who holds what since when; with Options.LeakAfter also where it was acquired,
// and a lease that is held for longer is reported to the Observer.
// The pool never takes a value back by itself: its holder may still be using it.
//
// # What each timeout bounds
//
//   - the ctx of Acquire: waiting, building, and the Prepare hook; a build goes on without it
//   - Options.AcquireTimeout: waiting and building
//   - Policy.ConstructTimeout, DestroyTimeout: the hook, which is abandoned 100 ms later
//   - Policy.CheckTimeout, ResetTimeout: the hook's ctx; one that ignores it blocks its caller
//   - the ctx of Close: how long it waits for leases
//
// # What happens on Close
//
// Every Acquire fails with [ErrClosed], those that wait at once. Idle values are destroyed.
// Hooks that run are told by their ctx. Close waits until every lease has come back and every value is destroyed;
// where its ctx ends before, it returns an [Error] that names the holders, and may be called again.
// What comes back later is still destroyed.
//
// # What it costs
//
// An Acquire and a Release that need not wait take two uncontended mutexes and a clock reading
// (a second one with limits), and allocate nothing; neither does a wait.
// An idle pool has no goroutine, and no timer unless a live value has a limit.
package pool
