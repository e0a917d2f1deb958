package gate

// Builder is a slot in which a value is being built, and who waits for it, if anybody still does.
type Builder[V any] struct {
	waiter *Waiter[V] // belongs to the gate's lock
	fills  bool       // built for nobody, to lie ready
	rest   uint64     // the last one before it began
}

// Expect follows the turn to build, after which the builder has to go to Built or Failed:
// it returns the waiter on which the caller waits for what is built;
// nil where the gate was closed meanwhile, and the turn is over.
// The caller may Leave; what is built then goes to the first in the queue.
func (g *Gate[V]) Expect(b *Builder[V]) *Waiter[V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		g.giveUp(b)
		return nil
	}
	w := g.waiter()
	w.builder, b.waiter = b, w
	g.builders.push(w)
	return w
}

// Reserve counts slots to build in until n values are live, whoever waits
// and however the last build ended, and returns a builder for each,
// which has to go to Built or Failed.
func (g *Gate[V]) Reserve(n int) (builders []*Builder[V], turn Turn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, Closed
	}
	g.used = true
	for g.live-g.destroying < n && g.live < g.max {
		builders = append(builders, g.reserve().forNobody(g))
	}
	g.settle()
	return builders, Build
}

// Built brings the value that was built: to the caller that waits for it,
// else to the first waiter, else it is idle, else it has to be destroyed, and Gone told.
func (g *Gate[V]) Built(b *Builder[V], value V) Fate {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endBuild(b)
	g.counts.Created++
	g.resting, g.streak, g.cause = false, 0, nil
	fate := Kept
	if b.waiter != nil {
		g.counts.Acquired++
		g.grant(b.waiter, Grant[V]{Turn: Value, Value: value, Fresh: true})
	} else {
		fate = g.offer(value, true)
	}
	g.settle()
	return fate
}

// Failed says that nothing was built: the caller that waits for it gets err.
// Where that begins a rest it returns which failure in a row this is, from 1,
// and the number of the rest, with which Rested has to be called in a while.
func (g *Gate[V]) Failed(b *Builder[V], err error, abandoned bool) (streak int, rest uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endBuild(b)
	g.counts.CreateFailed++
	if abandoned {
		g.counts.Abandoned++
	}
	if b.waiter != nil {
		g.grant(b.waiter, Grant[V]{Turn: Failed, Err: err})
	}
	g.cause = err
	if !g.resting && !g.closed {
		g.resting = true
		g.rests++
		g.probes = 0
		g.streak++
		streak, rest = g.streak, g.rests
	}
	g.vacate()
	return streak, rest
}

// Rested ends the rest of that number, where a success has not ended it before.
func (g *Gate[V]) Rested(rest uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if rest == g.rests {
		g.resting = false
		g.settle()
	}
}

// forNobody makes b one whose value is to lie ready.
func (b *Builder[V]) forNobody(g *Gate[V]) *Builder[V] {
	b.fills = true
	g.filling++
	return b
}

// giveUp frees the slot of a builder that builds nothing.
func (g *Gate[V]) giveUp(b *Builder[V]) {
	g.endBuild(b)
	g.vacate()
}

func (g *Gate[V]) endBuild(b *Builder[V]) {
	g.constructing--
	if b.fills {
		g.filling--
	}
	if b.rest == g.rests {
		g.probes--
	}
}
