package pool

import (
	"context"

	"github.com/headpond/headpond/resource"
)

// Do acquires a value, calls use with it, and ends the lease. It blocks as Acquire and use do.
// It returns the *Error of Acquire, or the error of use as it is.
// An error that [Discard] has marked makes it destroy the value.
// If use panics or calls runtime.Goexit, the value is destroyed and the panic goes on.
// The ctx that use gets records the lease: see [Lease.Context].
func (p *Pool[T]) Do(ctx context.Context, use func(ctx context.Context, value T) error) error {
	lease, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	returned, discarded := false, false
	defer func() {
		if returned && discarded {
			lease.Discard()
		} else if returned {
			lease.Release()
		} else if lease.end() {
			p.release(lease.entry, resource.Panicked)
		}
	}()
	err = use(lease.Context(ctx), lease.Value())
	returned = true
	if err != nil {
		err, discarded = Discarded(err)
	}
	return err
}

// Do is [Pool.Do] for a function that returns a result. If the error is not nil, the result is what use returned with it,
// or zero if use was not called.
func Do[T, R any](ctx context.Context, p *Pool[T], use func(ctx context.Context, value T) (R, error)) (R, error) {
	var result R
	err := p.Do(ctx, func(ctx context.Context, value T) (err error) {
		result, err = use(ctx, value)
		return err
	})
	return result, err
}
