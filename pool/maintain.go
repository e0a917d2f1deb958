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

// maintain reports leaks, and retires the idle values that have reached a limit,
// one at a time, so that the pool is never empty for it.
func (p *Pool[T]) maintain() {
	p.maintaining.Lock()
	defer p.maintaining.Unlock()
	if p.options.LeakAfter > 0 {
		p.reportLeaks()
	}
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
	p.mu.Lock()
	p.keeping = false
	p.mu.Unlock()
	p.maintainLater()
}

// reportLeaks reports the leases that are out for longer than LeakAfter, each once.
func (p *Pool[T]) reportLeaks() {
	now := p.now()
	for _, e := range p.entries() {
		began := e.held.Load()
		if began == free || now-time.Duration(began) < p.options.LeakAfter {
			continue
		}
		leak := Leak{Holder: e.holder(began, now)}
		e.mu.Lock()
		if e.held.Load() == began && !e.reported {
			e.reported = true
			p.leaked.Add(1)
			p.tap.leak(leak)
		}
		e.mu.Unlock()
	}
}

// cameBack reports the end of a lease that was reported as a leak.
func (p *Pool[T]) cameBack(e *entry[T], now time.Duration) {
	e.mu.Lock()
	reported := e.reported
	e.reported = false
	e.mu.Unlock()
	if reported {
		p.tap.leak(Leak{Holder: e.holder(e.last, now), Returned: true})
	}
}
