package pool

import (
	"time"

	"github.com/headpond/headpond/resource"
)

// maintainLater sees to it that maintain runs after MaintainEvery, where an option needs it.
// A pool in which nothing is live has neither a timer nor a goroutine.
func (p *Pool[T]) maintainLater() {
	policy := p.options.Policy
	if policy.MaxLifetime == 0 && policy.MaxIdleTime == 0 && p.options.LeakAfter == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keeping || len(p.live) == 0 || p.ctx.Err() != nil {
		return
	}
	p.keeping = true
	if p.upkeep == nil {
		p.upkeep = time.AfterFunc(p.options.MaintainEvery, p.maintain)
	} else {
		p.upkeep.Reset(p.options.MaintainEvery)
	}
}

// maintain retires the idle values that have reached a limit, one at a time,
// so that the pool is never empty for it, and reports leaks.
func (p *Pool[T]) maintain() {
	p.maintaining.Lock()
	defer p.maintaining.Unlock()
	for p.ctx.Err() == nil {
		var reason resource.Reason
		now := p.now()
		e, found := p.gate.Expire(func(e *entry[T]) bool {
			reason = p.retire(e, now)
			return reason != resource.None
		})
		if !found {
			break
		}
		e.gone = make(chan struct{})
		p.destroy(e, reason)
		<-e.gone
	}
	if p.options.LeakAfter > 0 {
		p.reportLeaks()
	}
	p.mu.Lock()
	p.keeping = false
	p.mu.Unlock()
	p.maintainLater()
}

// reportLeaks reports the leases that are out for longer than LeakAfter, each once.
func (p *Pool[T]) reportLeaks() {
	for _, holder := range p.Holders() {
		if holder.Held < p.options.LeakAfter {
			return // they come the longest held first
		}
		p.mu.Lock()
		e := p.live[holder.ID]
		p.mu.Unlock()
		if e == nil {
			continue
		}
		e.mu.Lock()
		if turn := e.turn.Load(); turn%2 == 1 && int(turn/2)+1 == holder.Uses && !e.reported {
			e.reported = true
			p.leaked.Add(1)
			if p.tap != nil && p.tap.Leak != nil {
				p.tap.Leak(Leak{Holder: holder})
			}
		}
		e.mu.Unlock()
	}
}
