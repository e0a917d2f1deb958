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
// # The life of a value
//
// Construct builds it, in a goroutine of the pool, when somebody needs it, or MinIdle or [Pool.Warm] ask for it.
// A caller that gives up does not stop it: what is built goes to the next in line.
//
// [Pool.Acquire] hands out an idle value at once, the one that was released last first.
// Where none is idle and fewer than MaxSize are live, it builds one; else it waits: first come, first served.
// A value that has reached a limit of the [resource.Policy], or fails its Check, is destroyed,
// and the caller gets the next one without losing its place, MaxSize+1 of them at most.
// Prepare is the last step; its error is that of Acquire.
//
// A [Lease] is the value in use. It ends once: by Release, Discard or Detach.
// Release looks at the limits again, runs Reset, and gives the value to the first who waits.
// Maintenance destroys what has been idle or alive for too long, one value at a time.
//
// Destroy ends it, in the background. Until it has returned, the value keeps its slot:
// never more than MaxSize values live at any instant, those being built and destroyed included,
// and a pool of one is a lock. There are two exceptions: after a [Pool.Resize] to less, held values are over
// the maximum until they come back; and a Construct or Destroy that ignores its ctx is abandoned,
// frees its slot, and counts in Stats.Abandoned.
//
// # When Construct fails
//
// Its caller learns the error at once. Then nobody tries for 25 to 50 ms, doubling with every further failure
// up to 0.5 to 1 s, and after that one at a time, until one succeeds. The others wait
// within their own limits, and where these end their error has the last cause as well.
// A pool with MinIdle goes on trying. Warm does not wait for the pause.
//
// # What each timeout bounds
//
//   - The ctx of Acquire: waiting, for a build as well, and the Prepare hook. The build goes on without it,
//     and a Check that runs is not ended by it.
//   - Options.AcquireTimeout: waiting, for a build as well; neither Check nor Prepare.
//   - Policy.ConstructTimeout and DestroyTimeout: the ctx of the hook, which is abandoned 100 ms later.
//   - Policy.CheckTimeout and ResetTimeout: the ctx of the hook. One that ignores it blocks its caller.
//   - The ctx of Close: the wait for leases, and for what is being built and destroyed.
//
// # Who may call what from where
//
// Every method of a Pool and of a Lease may be called from any goroutine; a value belongs to the holder of its lease.
//
// The ctx that [Pool.Do] hands out knows of the lease, and so does one that [Lease.Context] returns.
// An Acquire with it gets what is idle, or a free slot;
// where it would have to wait in the queue, perhaps for itself, it fails with [ErrNested] at once.
// So does one with the ctx of a Construct, Check, Reset or Destroy hook. Close with such a ctx
// begins to close, and returns ErrNested instead of waiting.
// Of an Acquire with any other ctx the pool can't know what its caller holds:
// callers that hold one value each and want a second one wait for each other until AcquireTimeout.
//
// The functions of a [Tap] must not block, and must not call the pool.
//
// # What happens on Close
//
// Every Acquire fails with [ErrClosed], those that wait at once. Idle values are destroyed.
// The ctx of a Construct, Check or Reset that runs ends with ErrClosed as its cause.
// Close waits until every lease has ended and every value is destroyed;
// where its ctx ends before, it returns an [Error] that names the holders, and may be called again.
// What comes back later is still destroyed, without a Reset.
//
// # Tuning for production
//
//   - Name: a stable one for each pool of a program. It stands in errors, logs and metrics.
//   - MaxSize: what the other side can bear, divided among the processes.
//     Stats.Waited and WaitTime say whether it is too small, Stats.Idle at a busy time whether it is too large.
//   - AcquireTimeout: less than the time that a request has, so that the error says why it failed.
//   - MaxWaiters: with more callers than can be served in that time, those past it are refused at once.
//   - MinIdle, or Warm at the start, where a build takes longer than a request may.
//   - MaxLifetime, with LifetimeJitter so that values made together do not end together,
//     where what is behind an address moves; MaxIdleTime, shorter than that of the other side.
//   - CheckAfterIdle: a value that was idle for less than 1 s is handed out without a Check.
//   - LeakAfter: a time that no caller should need. It also makes errors and [Pool.Holders] say where
//     a value was acquired. A lease is looked at every MaintainEvery, 30 s unless it is set.
//     The pool never takes a value back by itself: its holder may still be using it.
//   - Observer: package tracing for OpenTelemetry, pool/poollog for a log, pool/poolz for a live page;
//     [Observers] makes one of several.
//
// # What it costs
//
// An Acquire and a Release that need not wait take two uncontended mutexes and a clock reading
// (two with a limit of time, LeakAfter, a Check or a Reset). Neither they nor a wait allocate.
// A pool in which nothing happens has no goroutine, and no timer unless MaxLifetime, MaxIdleTime or LeakAfter
// is set and a value is live. To see it, in a copy of the repository:
//
//	go test ./pool -run Allocate -v      # the allocations
//	go test ./pool -run - -bench Cycle   # the time, beside puddle's
package pool
