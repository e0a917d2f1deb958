package resource

import (
	"context"
	"errors"
)

// Hooks say what happens to one value of T in its life.
// Construct is required; any other may be nil.
//
// The hooks of one value are never called at the same time;
// those of different values are.
// A hook that panics or calls [runtime.Goexit] costs its value and nothing else
// (but Goexit in Check, Prepare or Reset ends the goroutine of its caller, too).
// A hook should return when its ctx ends, and must not keep it
// (but Prepare, whose ctx is the caller's own).
// Construct and Destroy are abandoned if they do not;
// Check, Prepare and Reset run on their caller's goroutine and block it.
type Hooks[T any] struct {
	// Construct makes a value.
	// Its ctx carries the values of the ctx that Acquire or Warm was called with,
	// ends with the pool, and after Policy.ConstructTimeout.
	// It does not end with the caller: what is built goes to the next in line.
	// If it returns an error, so does the Acquire that waits for it.
	Construct func(ctx context.Context) (T, error)

	// Check reports whether value is still alive.
	// It is called on acquire, if value was idle for Policy.CheckAfterIdle,
	// or was last known to be good before the latest Check that failed.
	// Its ctx carries the values of the ctx of Acquire, and ends with it, with the pool,
	// with pool.Options.AcquireTimeout, and after Policy.CheckTimeout.
	// If it returns an error, value is destroyed and another is tried;
	// but if it had less than CheckTimeout, because the time of Acquire was over, the pool calls it once more by itself,
	// with all of CheckTimeout and a background ctx. It does so, too, while a caller waits for which two Checks have failed.
	Check func(ctx context.Context, value T) error

	// Prepare fits value to the caller that acquires it.
	// Its ctx is the caller's own and its only bound, so that it may be kept
	// for as long as the lease lasts.
	// If it returns an error, value is destroyed and Acquire returns the error.
	Prepare func(ctx context.Context, value T) error

	// Reset brings value back to the state in which the next caller expects it.
	// It is called on release, if value is to live on.
	// Its ctx ends with the pool, and after Policy.ResetTimeout.
	// If it returns an error, value is destroyed, which Release does not say:
	// it is counted and observed.
	Reset func(ctx context.Context, value T) error

	// Destroy ends value, and has to leave nothing of it behind:
	// it is called once for every value that Construct returned
	// and that was not detached.
	// Its ctx ends after Policy.DestroyTimeout.
	// An error is counted and observed. nil: the value is dropped.
	Destroy func(ctx context.Context, value T) error
}

// Validate returns an error that names the hook that is missing.
func (h Hooks[T]) Validate() error {
	if h.Construct == nil {
		return errors.New("Hooks.Construct is nil: a pool needs a way to make a value")
	}
	return nil
}
