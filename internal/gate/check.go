package gate

import "slices"

// A value that is being checked by the pool itself is neither idle nor held: it is counted in checking,
// and keeps its slot.

// Doubt says that a value that was handed out never became a lease, because its caller had no time left to check it.
// It is checked again.
func (g *Gate[V]) Doubt(value V) {
	g.mu.Lock()
	defer g.unlock()
	g.counts.Rejected++
	g.checking++
	g.config.Check(value)
}

// checkSuspectsLocked has the idle suspects checked while the first waiter takes none of them: the last one released first,
// and with every one that fails twice as many at the same time, until one passes.
func (g *Gate[V]) checkSuspectsLocked() {
	w := g.firstLocked()
	if w == nil || !w.cautious {
		g.checkWidth = 1
		return
	}
	for i := len(g.idle) - 1; i >= 0 && g.checking < g.checkWidth; i-- {
		if value := g.idle[i]; g.config.Suspect(value) {
			g.idle = slices.Delete(g.idle, i, i+1)
			g.checking++
			g.config.Check(value)
		}
	}
}

// Checked brings a value that was checked. A good one goes to the first waiter, or is idle, at the place
// that it had among the idle ones; with any Disposition but Kept it has to be destroyed, and Gone told.
func (g *Gate[V]) Checked(value V, good bool) Disposition {
	g.mu.Lock()
	defer g.unlock()
	g.checking--
	if !good && !g.closed {
		g.checkWidth = min(2*g.checkWidth, 1<<20)
		g.destroying++
		g.settleLocked()
		return Bad
	}
	g.checkWidth = 1
	disposition := g.judgeLocked(value)
	switch {
	case disposition != Kept:
		g.destroying++
	case g.suspended || g.firstLocked() == nil || g.firstLocked().cautious && g.config.Suspect(value):
		since := g.config.IdleSince(value)
		i := len(g.idle)
		for i > 0 && g.config.IdleSince(g.idle[i-1]) > since {
			i--
		}
		g.idle = slices.Insert(g.idle, i, value)
	default:
		g.handOutLocked()
		g.grantLocked(g.firstLocked(), Value).Value = value
	}
	g.settleLocked()
	return disposition
}
