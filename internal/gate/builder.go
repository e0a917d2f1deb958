package gate

import (
	"context"
	"time"
)

// Order is what a caller has to say of what is built for it.
type Order struct {
	Ctx      context.Context // whose values the build gets; nil: none
	Observed bool            // the observer is told of the caller
}

// Builder is a slot in which a value is being built.
type Builder[V any] struct {
	Order

	// The gate's lock protects the following.

	waiter *Waiter[V] // the caller that waits for it; nil: what is built goes to the first waiter, or is idle
	warmup *Warmup[V] // that it is built for, if any
	began  time.Duration
	over   bool // it was built, or failed to be
	trial  trial
}

// Built brings the value that was built: to the caller that waits for it, or else to the first waiter;
// otherwise it is idle. With any Disposition but Kept it has to be destroyed, and Gone told;
// a caller that waits for a stale one waits in the queue from then on, at its place.
func (g *Gate[V]) Built(b *Builder[V], value V) Disposition {
	g.mu.Lock()
	defer g.unlock()
	w := b.waiter
	g.endBuildLocked(b)
	g.counts.Created++
	g.breaker.succeeded(g.config.Now() - b.began)
	disposition := Kept
	switch {
	case w == nil:
		disposition = g.offerLocked(value, true)
	case g.config.Stale(value):
		g.destroying++
		disposition = Stale
		g.requeueLocked(w, nil)
	default:
		g.handOutLocked()
		grant := g.grantLocked(w, Value)
		grant.Value, grant.Fresh = value, true
	}
	g.settleLocked()
	if !g.failuresLocked() {
		g.sleepLocked()
	}
	return disposition
}

// FailedToBuild says that nothing was built. The caller that waits for it gets err: at once if nothing is live
// or it must not wait; else it waits in the queue, at its place, for as long as the backoff lasts.
func (g *Gate[V]) FailedToBuild(b *Builder[V], err error, abandoned bool) {
	g.mu.Lock()
	defer g.unlock()
	w := b.waiter
	g.endBuildLocked(b)
	g.counts.CreateFailed++
	if abandoned {
		g.counts.Abandoned++
	}
	if g.breaker.failed(err) && !g.closed {
		g.wakeLocked(g.breaker.pause(g.config.ShortestBackoff, g.config.LongestBackoff))
	}
	if b.warmup != nil && b.warmup.failure == nil {
		b.warmup.failure = err
	}
	if w != nil {
		if built := g.live - 1 - g.constructing - g.destroying; built > 0 && !w.nested {
			g.requeueLocked(w, err)
		} else {
			g.grantLocked(w, Failed).Err = err
		}
	}
	g.vacateLocked()
}

// requeueLocked puts a waiter whose build is over in the queue, at its place.
func (g *Gate[V]) requeueLocked(w *Waiter[V], failure error) {
	if w.nested {
		g.grantLocked(w, Busy)
		return
	}
	now := g.removeLocked(w)
	g.countWaitLocked(w)
	w.failure = failure
	g.queueLocked(w, now)
}

// startLocked counts a slot, and has a value built in it.
func (g *Gate[V]) startLocked(b *Builder[V]) {
	g.live++
	g.constructing++
	if b.waiter == nil {
		g.filling++
	}
	b.began = g.config.Now()
	b.trial = g.breaker.begin()
	if g.breaker.halfOpen() && !g.willWake {
		g.wakeLocked(g.breaker.patience())
	}
	g.config.Start(b)
}

// endBuildLocked says that a build is over.
func (g *Gate[V]) endBuildLocked(b *Builder[V]) {
	g.constructing--
	b.over = true
	if b.waiter == nil {
		g.filling--
	}
	if b.warmup != nil {
		b.warmup.building--
	}
	g.breaker.end(b.trial)
}

func (g *Gate[V]) mayBuildLocked() bool { return g.hasRoomLocked() && g.breaker.allows() }

// hasRoomLocked reports whether there is a slot, and a place among the builds.
func (g *Gate[V]) hasRoomLocked() bool {
	return g.live < g.max && (g.config.MaxConstructing == 0 || g.constructing < g.config.MaxConstructing)
}
