package gate

import "slices"

// offerLocked gives a live value that belongs to no caller to the first waiter, or makes it idle.
func (g *Gate[V]) offerLocked(value V, fresh bool) Disposition {
	disposition := g.judgeLocked(value)
	if disposition != Kept {
		g.destroying++
		return disposition
	}
	switch w := g.firstLocked(); {
	case (w == nil || g.suspended) && !fresh && g.config.MaxIdle > 0 && len(g.idle) >= g.config.MaxIdle:
		g.destroying++
		return Surplus
	case w == nil || g.suspended:
		g.idle = append(g.idle, value)
	case w.cautious && g.config.Suspect(value):
		g.idle = append(g.idle, value)
		g.settleLocked()
	default:
		g.handOutLocked()
		grant := g.grantLocked(w, Value)
		grant.Value, grant.Fresh = value, fresh
	}
	return Kept
}

// judgeLocked says whether a value may live on.
func (g *Gate[V]) judgeLocked(value V) Disposition {
	switch {
	case g.closed:
		return Refused
	case g.config.Stale(value):
		return Stale
	case g.live-g.destroying > g.max:
		return Excess
	}
	return Kept
}

// settleLocked gives what there is to those that wait for it: idle values to the waiters, in the order of their places;
// slots to the waiters that have none, then to Warm, then to MinIdle.
// It is called after every change that leaves something to give.
func (g *Gate[V]) settleLocked() {
	if g.closed {
		return
	}
	if !g.suspended {
		for w := g.firstLocked(); w != nil; w = g.firstLocked() {
			i := g.idleLocked(w.cautious)
			if i < 0 {
				break
			}
			value := g.takeLocked(i)
			g.grantLocked(w, Value).Value = value
		}
		for g.queue.Len() > 0 && g.mayBuildLocked() {
			g.buildForLocked(g.queue.First())
		}
		g.checkSuspectsLocked()
	}
	g.warmLocked()
	for g.used && len(g.idle)+g.checking+g.filling < g.config.MinIdle && g.mayBuildLocked() {
		g.startLocked(&Builder[V]{Order: Order{Observed: true}})
	}
}

// firstLocked returns the waiter that is the next to get a value, nil if none waits.
func (g *Gate[V]) firstLocked() *Waiter[V] {
	queued, builds := g.queue.First(), g.builders.First()
	if queued == nil || builds != nil && builds.place < queued.place {
		return builds
	}
	return queued
}

// idleLocked returns which idle value a caller gets: the last one released,
// or if the caller is cautious the last one that is no suspect; -1 if there is none.
func (g *Gate[V]) idleLocked(cautious bool) int {
	i := len(g.idle) - 1
	for cautious && i >= 0 && g.config.Suspect(g.idle[i]) {
		i--
	}
	return i
}

// popLocked hands out the idle value that was released last.
func (g *Gate[V]) popLocked() V {
	var none V
	last := len(g.idle) - 1
	value := g.idle[last]
	g.idle[last] = none
	g.idle = g.idle[:last]
	g.handOutLocked()
	return value
}

// takeLocked hands out an idle value.
func (g *Gate[V]) takeLocked(i int) V {
	if i == len(g.idle)-1 {
		return g.popLocked()
	}
	value := g.idle[i]
	g.idle = slices.Delete(g.idle, i, i+1)
	g.handOutLocked()
	return value
}

// handOutLocked counts a value that a caller gets.
func (g *Gate[V]) handOutLocked() {
	if !g.config.Admits {
		g.counts.Acquired++
	}
}

// vacateLocked says that a slot is free.
func (g *Gate[V]) vacateLocked() {
	g.live--
	g.settleLocked()
	if g.closed && g.live == 0 {
		close(g.drained)
	}
}

// clearLocked takes all idle values, which have to be destroyed.
func (g *Gate[V]) clearLocked() (idle []V) {
	idle, g.idle = g.idle, nil
	g.destroying += len(idle)
	return idle
}
