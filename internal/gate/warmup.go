package gate

import (
	"context"

	"github.com/headpond/headpond/internal/queue"
)

// Warmup is a call of Warm: it has values built until its number is live.
type Warmup[V any] struct {
	Done chan struct{} // closed when it is over; then look at the following

	Decision Decision // Value: they are live; Closed; Failed: with Err; Busy: there is no room, because of values that are being destroyed
	Err      error

	// The gate's lock protects the following.

	node     queue.Node[*Warmup[V]]
	number   int
	ctx      context.Context
	building int   // its builds under way
	failure  error // of the first of its builds that failed: it begins no more
}

// Warm has values built until n are live, and built, however many callers wait and however the last build ended.
// Builds for callers come first. What is built goes to the waiters, or is idle.
func (g *Gate[V]) Warm(ctx context.Context, n int) *Warmup[V] {
	g.mu.Lock()
	defer g.unlock()
	u := &Warmup[V]{Done: make(chan struct{}), number: n, ctx: ctx}
	u.node.Element = u
	g.warmups.PushBack(&u.node)
	if g.closed {
		g.endWarmupLocked(u, Closed, nil)
	} else {
		g.used = true
		g.settleLocked()
	}
	return u
}

// StopWarm ends a warmup whose caller has gone. What is being built for it goes on.
func (g *Gate[V]) StopWarm(u *Warmup[V]) {
	g.mu.Lock()
	defer g.unlock()
	if u.node.Queued() {
		g.endWarmupLocked(u, None, nil)
	}
}

// warmLocked begins what warmups have to build, and ends those that are over.
func (g *Gate[V]) warmLocked() {
	for u := range g.warmups.All {
		for u.failure == nil && g.live-g.destroying < u.number && g.hasRoomLocked() {
			u.building++
			g.startLocked(&Builder[V]{Order: Order{Ctx: u.ctx, Observed: true}, warmup: u})
		}
		switch {
		case g.live-g.destroying-g.constructing >= u.number:
			g.endWarmupLocked(u, Value, nil)
		case u.building > 0:
		case u.failure != nil:
			g.endWarmupLocked(u, Failed, u.failure)
		case g.live-g.destroying < u.number && g.live >= g.max:
			g.endWarmupLocked(u, Busy, nil)
		}
	}
}

func (g *Gate[V]) endWarmupLocked(u *Warmup[V], decision Decision, err error) {
	g.warmups.Remove(&u.node)
	u.Decision, u.Err = decision, err
	close(u.Done)
}
