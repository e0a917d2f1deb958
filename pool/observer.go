package pool

import "context"

// An Observer is told what a pool does.
// New calls it once, with the pool; the Tap that it returns keeps what it needs of that pool.
type Observer func(pool Inspector) Tap

// Tap is the set of callbacks that an Observer registers for one pool. Any field may be nil.
//
// Its functions are called from the goroutines that use the pool, many at once.
// They must not block, and must not call the pool. A panic in one of them is swallowed.
type Tap struct {
	// Enabled is asked once for a lease, at acquire, with the ctx of Acquire, and once for an operation of a backend.
	// If it returns false, nothing else is called for that operation, nor for that lease except Leak, and End for its statements.
	// A nil Enabled is always true.
	Enabled func(ctx context.Context) bool

	// Begin is called before an operation: see Event for what it gets.
	// The ctx that it returns is the one that End, and the hooks inside, receive;
	// nil is taken for the one that it got.
	// Release's Begin gets the ctx that Acquire's Begin returned, kept on the lease,
	// and Construct's gets one that carries that ctx's values.
	// What the pool does on its own account (filling, retiring idle values, every Destroy)
	// begins with a background ctx.
	Begin func(ctx context.Context, event Event) context.Context

	// End is called after an operation, with the ctx that Begin returned.
	End func(ctx context.Context, event Event)

	// Statements asks the backend to call End for every statement that runs on a value; otherwise it does so
	// for those alone that it was told are slow. A backend without statements ignores it.
	Statements bool

	// Leak is called once for a lease that has been held for Options.LeakAfter, by a goroutine of the pool,
	// and once more when that lease comes back, by another one that the end of the lease waits for, whatever Enabled returned.
	// No lock of the pool is held: it may ask Stats and Holders.
	Leak func(leak Leak)

	// Detach is called once, by Close: the pool has nothing more to tell
	// except of leases that have not ended.
	Detach func()
}

// Inspector is what an observer or a page may ask of a pool, whatever its values are; every *Pool[T] is one.
// Its methods are those of Pool, and may be called from any goroutine.
type Inspector interface {
	Name() string
	Options() Options
	Stats() Stats
	Holders() []Holder
	Figures() []Figure
}
