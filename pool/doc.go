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
// Construct builds it, in a goroutine of the pool, on demand, or ahead of demand for MinIdle and [Pool.Warm].
// A caller that gives up does not cancel the build: the finished value goes to the next waiter.
//
// [Pool.Acquire] hands out an idle value at once, the one that was released last first.
// If none is idle and fewer than MaxSize are live, it builds one; otherwise it waits in FIFO order.
// A caller that builds stands in the queue as well: it takes what is released before its own value is ready,
// and what was being built for it goes to the next in line.
// A value that has reached a limit of the [resource.Policy], or fails its Check, is destroyed,
// and the caller gets the next one without losing its place, MaxSize+1 of them at most.
// After two failed Checks it waits at the head of the queue for a slot, or a value that is released or new;
// meanwhile the pool itself checks the idle values that were last known to be good before that, the longest idle last.
// Prepare is the last step; its error is that of Acquire.
//
// A [Lease] is the value in use. It ends once: by Release, Discard or Detach.
// Release looks at the limits again, runs Reset, and gives the value to the first waiter.
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
// Then no build begins for 25 to 50 ms, doubling with every further failure
// up to 0.5 to 1 s, and after that one at a time, until one succeeds; if that one hangs for longer than a second,
// or twice the longest recent success, a second one begins, then four, up to MaxConstructing.
// The caller of a build that failed gets its error at once if no value is live; otherwise it waits in the queue
// for the rest of that time, in case one is released: a server may have a limit of its own below MaxSize.
// The other callers wait within their own limits, and if these end their error has the last cause as well.
// A pool with MinIdle goes on trying. Warm does not wait for the pause.
//
// # What each timeout bounds
//
//   - The ctx of Acquire: all of it. A build goes on without it. A value whose Check it cut short
//     is checked again by the pool itself.
//   - Options.AcquireTimeout: all of Acquire, except the Prepare hook, in the same way.
//   - Policy.ConstructTimeout and DestroyTimeout: the ctx of the hook, which is abandoned 100 ms later.
//   - Policy.CheckTimeout and ResetTimeout: the ctx of the hook. One that ignores it blocks its caller.
//   - The ctx of Close: the wait for leases, and for what is being built and destroyed.
//
// # Who may call what from where
//
// Every method of a Pool and of a Lease may be called from any goroutine; a value belongs to the holder of its lease.
//
// The ctx that [Pool.Do] hands out records the lease, and so does one that [Lease.Context] returns.
// An Acquire with it gets what is idle, or a free slot;
// if it would have to wait in the queue, perhaps for itself, it fails with [ErrNested] at once.
// So does one with the ctx of a Construct, Check, Reset or Destroy hook. Close with such a ctx
// begins to close, and returns ErrNested instead of waiting.
// Of an Acquire with any other ctx the pool can't know what its caller holds:
// callers that hold one value each and want a second one wait for each other until AcquireTimeout.
//
// The functions of a [Tap] must not block, and must not call the pool.
//
// # What happens on Close
//
// Every Acquire fails with [ErrClosed], waiting ones at once. Idle values are destroyed.
// The ctx of a Construct, Check or Reset that runs ends with ErrClosed as its cause.
// Close waits until every lease has ended and every value is destroyed;
// if its ctx ends before, it returns an [Error] that names the holders, and may be called again.
// What comes back later is still destroyed, without a Reset.
//
// A pool that is dropped without Close is collected with its values, on which Destroy is not called.
// With MaxLifetime, MaxIdleTime, CheckEvery or LeakAfter a timer keeps it, as long as a value is live.
//
// # Tuning for production
//
//   - Name: a stable one for each pool of a program. It stands in errors, logs and metrics.
//   - MaxSize: what the other side can bear, divided among the processes.
//     Stats.Waited and WaitTime say whether it is too small, Stats.Idle at a busy time whether it is too large.
//   - AcquireTimeout: less than the time that a request has, so that the error says why it failed.
//   - MaxConstructing: as many new connections as the other side can bear at the same time.
//   - MaxWaiters: with more callers than can be served in that time, those past it are refused at once.
//   - MinIdle, or Warm at the start, if a build takes longer than a request may.
//   - MaxLifetime, with LifetimeJitter so that values made together do not end together,
//     if what is behind an address moves; MaxIdleTime, shorter than that of the other side.
//   - CheckAfterIdle: a value that was idle for less than 1 s is handed out without a Check.
//   - LeakAfter: a time that no caller should need. It also makes errors and [Pool.Holders] say where
//     a value was acquired. A lease is looked at every MaintainEvery, 30 s unless it is set,
//     or sooner if LeakAfter is shorter. The pool never takes a value back by itself: its holder may still be using it.
//   - Observer: package tracing for OpenTelemetry, pool/poollog for a log, pool/poolz for a live page;
//     [Observers] makes one of several.
//
// # What it costs
//
// An Acquire and a Release that need not wait take two uncontended mutexes and a clock reading
// (two with a limit of time, LeakAfter, a Check or a Reset). Neither they nor a wait allocate.
// A wait takes one mutex more than none, and is woken when the one that released has let go of it;
// AcquireTimeout costs it nothing: one timer serves all that wait.
// A pool in which nothing happens has no goroutine, and no timer unless MaxLifetime, MaxIdleTime, LeakAfter or CheckEvery
// is set and a value is live; that of waits may fire once more after the last one. To see it, in a copy of the repository:
//
//	go test ./pool -run Allocate -v      # the allocations
//	go test ./pool -run - -bench Cycle   # the time, beside puddle's
package pool
