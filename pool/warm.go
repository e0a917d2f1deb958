package pool

import (
	"context"
	"fmt"

	"github.com/headpond/headpond/internal/ctxerr"
	"github.com/headpond/headpond/internal/gate"
)

// Warm constructs what is missing until n values are live, those that are held included, as many at the same time
// as MaxConstructing allows, and blocks until that is done: it returns nil only when n are live, and none of these is still being built.
// What is built is idle, or goes to the callers that wait. Builds for callers come first.
//
// The error is an *Error: the first one of Construct, that of ctx as for Acquire (what is being built goes on), ErrClosed,
// that n exceeds MaxSize, or that there is no room for n, since others are being destroyed.
func (p *Pool[T]) Warm(ctx context.Context, n int) error {
	if size := p.gate.Max(); n > size {
		return p.fail(Warm, fmt.Errorf("n is %d: it must not exceed MaxSize, which is %d", n, size))
	}
	if ctx.Err() != nil {
		return p.fail(Warm, ctxerr.Ended(ctx))
	}
	done := ctx.Done()
	warmup := p.gate.Warm(ctx, n)
	select {
	case <-warmup.Done:
	case <-done:
		p.gate.StopWarm(warmup)
		return p.fail(Warm, ctxerr.Ended(ctx))
	}
	switch warmup.Decision {
	case gate.Closed:
		return p.fail(Warm, ErrClosed)
	case gate.Failed:
		return p.fail(Warm, warmup.Err)
	case gate.Busy:
		s := p.gate.Snapshot()
		return p.fail(Warm, fmt.Errorf("%d of %d values are live, and %d being destroyed", s.Idle+s.Held+s.Checking+s.Constructing, n, s.Destroying))
	}
	return nil
}
