package pool

import "github.com/headpond/headpond/resource"

// Evict retires every value that is live now: idle ones at once, held ones when they come back.
// It does not wait for their destructors. Until these have returned the values keep their slots.
func (p *Pool[T]) Evict() {
	for _, e := range p.gate.Evict(func() { p.generation.Add(1) }) {
		p.destroy(e, resource.Evicted)
	}
}

// EvictIf destroys the idle values of which stale says true, in the background. It does not wait for that.
// stale is called with a lock of the pool held: it must neither block nor call the pool. A panic of it goes on, and nothing is evicted.
// Its info.Idle is 0 for what a release has brought back that read no clock: in a pool with no limit of time, no Check, no Reset,
// no LeakAfter and no Observer.
func (p *Pool[T]) EvictIf(stale func(value T, info resource.Info) bool) {
	now := p.now()
	chosen := func(e *entry[T]) bool {
		info := e.info(now)
		if !p.clocked && e.uses > 0 && e.idleSince == 0 { // when it was released is not known
			info.Idle = 0
		}
		return stale(e.value, info)
	}
	for _, e := range p.gate.TakeIf(chosen) {
		p.destroy(e, resource.Evicted)
	}
}

// stale reports whether e is of an earlier generation.
func (p *Pool[T]) stale(e *entry[T]) bool { return e.generation != p.generation.Load() }
