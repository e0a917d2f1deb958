package pool

import (
	"context"
	"fmt"

	"github.com/headpond/headpond/internal/ctxerr"
	"github.com/headpond/headpond/resource"
)

// Close ends the pool: every Acquire from now on, and every one that waits, fails with ErrClosed,
// idle values are destroyed, and held ones when they come back, whenever that is.
// Close waits until no value is live, or until ctx ends: then it returns an *Error
// that wraps ctx's and names the holders. It may be called again, and waits again.
// What a Destroy hook returns is no error of Close: it is counted and observed.
// With the ctx of Do, of Lease.Context, or of a hook other than Prepare, it does not wait, but returns ErrNested.
func (p *Pool[T]) Close(ctx context.Context) error {
	idle, drained := p.gate.Close()
	p.cancel(ErrClosed)
	p.generation.Add(1)
	p.mu.Lock()
	if p.upkeep != nil {
		p.upkeep.Stop()
	}
	p.mu.Unlock()
	for _, e := range idle {
		p.destroy(e, resource.Closed)
	}
	defer p.detach()
	if mark := p.marked(ctx); mark != nil {
		return p.fail(Close, fmt.Errorf("%w: %s", ErrNested, mark.place()))
	}
	select {
	case <-drained:
	default:
		select {
		case <-drained:
		case <-ctx.Done():
			return p.failClosing(ctxerr.Ended(ctx))
		}
	}
	select {
	case p.maintaining <- struct{}{}: // when maintain has ended
	default:
		select {
		case p.maintaining <- struct{}{}:
		case <-ctx.Done():
			return p.failClosing(fmt.Errorf("%w while a leak is reported", ctxerr.Ended(ctx)))
		}
	}
	defer func() { <-p.maintaining }()
	p.work.Wait()
	p.lives.close()
	return nil
}
