package gate

import "slices"

// Expire takes the idle values of which expired says true, the longest idle ones first; they have to be destroyed, and Gone told.
// spare says whether as many as Config.MinIdle stay idle without the value. One that is not spare is replaced first,
// if there is room for another: it stays until that is built. As many are taken at the same time as there are free slots, or one:
// each keeps its slot until it is gone. more reports that others are to be taken later. expired is called with the lock held.
func (g *Gate[V]) Expire(expired func(value V, spare bool) bool) (taken []V, more bool) {
	g.mu.Lock()
	defer g.unlock()
	replace := 0
	g.idle = slices.DeleteFunc(g.idle, func(value V) bool {
		spare := len(g.idle)-len(taken)+g.checking > g.config.MinIdle
		switch {
		case !expired(value, spare):
		case spare && g.destroying >= max(1, g.max-g.live):
			more = true
		case spare || g.closed:
			g.destroying++
			taken = append(taken, value)
			return true
		default:
			replace++
		}
		return false
	})
	if replace == 0 {
		return taken, more
	}
	wanted := replace + max(0, g.config.MinIdle-len(g.idle)-g.checking)
	for g.filling < wanted && g.mayBuildLocked() {
		g.startLocked(&Builder[V]{Order: Order{Observed: true}})
	}
	if g.filling == 0 && g.destroying == 0 && g.live >= g.max {
		for i, value := range g.idle {
			if expired(value, false) {
				g.idle = slices.Delete(g.idle, i, i+1)
				g.destroying++
				return append(taken, value), true
			}
		}
	}
	return taken, true
}

// TakeIf takes every idle value of which chosen says true; they have to be destroyed, and Gone told.
// chosen is called with the lock held. A panic of it goes on, and nothing is taken.
func (g *Gate[V]) TakeIf(chosen func(V) bool) (taken []V) {
	g.mu.Lock()
	defer g.unlock()
	kept := make([]V, 0, len(g.idle)) // not in place: a panic of chosen leaves the idle values as they were
	for _, value := range g.idle {
		if chosen(value) {
			taken = append(taken, value)
		} else {
			kept = append(kept, value)
		}
	}
	g.idle = kept
	g.destroying += len(taken)
	g.settleLocked() // for MinIdle
	return taken
}

// CheckIdle has one idle value checked of which due says true, the longest idle ones first: it is counted in checking until Checked,
// and then idle again at its place. It takes none while another is being checked, and not the last idle one while a caller waits.
// more reports that others may be due when the check that is under way is over. due is called with the lock held.
func (g *Gate[V]) CheckIdle(due func(V) bool) (more bool) {
	g.mu.Lock()
	defer g.unlock()
	if g.checking > 0 {
		return true
	}
	if g.closed || len(g.idle) == 1 && g.firstLocked() != nil {
		return false
	}
	for i, value := range g.idle {
		if due(value) {
			g.idle = slices.Delete(g.idle, i, i+1)
			g.checking++
			g.config.Check(value)
			return true
		}
	}
	return false
}
