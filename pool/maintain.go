package pool

import (
	"time"

	"github.com/headpond/headpond/resource"
)

// maintainEvery is how often maintain looks: Options.MaintainEvery, or sooner if a limit asks for it; 0: nothing needs it.
func (o *Options) maintainEvery() time.Duration {
	every := time.Duration(0)
	for _, limit := range []time.Duration{o.Policy.MaxLifetime, o.Policy.MaxIdleTime, o.Policy.CheckEvery, o.LeakAfter} {
		if limit > 0 && (every == 0 || limit < every) {
			every = limit
		}
	}
	if every == 0 {
		return 0
	}
	return min(every, o.MaintainEvery)
}

// maintainLater sees to it that maintain runs after a while, if an option needs it.
// A pool in which nothing is live has neither a timer nor a goroutine.
func (p *Pool[T]) maintainLater() {
	if p.every == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.scheduled || len(p.live) == 0 || p.ctx.Err() != nil {
		return
	}
	p.scheduled = true
	if p.upkeep == nil {
		p.upkeep = time.AfterFunc(p.every, p.maintain)
	} else {
		p.upkeep.Reset(p.every)
	}
}

// maintainNow lets maintain go on with what waits for a build, a destructor or a Check.
func (p *Pool[T]) maintainNow() {
	if !p.pending.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.again = true
	if p.scheduled && p.ctx.Err() == nil && p.upkeep != nil {
		p.upkeep.Reset(0)
	}
}

// maintain reports leaks, retires the idle values that have reached a limit, those that MinIdle keeps only after
// another was built in their place, and has one checked that is due. It waits for none of that.
func (p *Pool[T]) maintain() {
	p.maintaining <- struct{}{}
	defer func() { <-p.maintaining }()
	p.mu.Lock()
	p.again = false
	p.mu.Unlock()
	p.pending.Store(true) // until it is known that nothing is: what is begun here may end at once
	more := false
	if p.options.LeakAfter > 0 {
		p.reportLeaks()
	}
	if p.ctx.Err() == nil {
		retiring := p.retireIdle()
		more = p.checkIdle() || retiring
	}
	if !more {
		p.pending.Store(false)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.scheduled = len(p.live) > 0 && p.ctx.Err() == nil; p.scheduled {
		next := p.every
		if more && p.again { // what it waits for is over already
			next = 0
		}
		p.upkeep.Reset(next)
	}
}

// retireIdle destroys the idle values that have reached a limit. What MinIdle keeps may be idle for as long as it likes.
func (p *Pool[T]) retireIdle() (more bool) {
	policy := p.options.Policy
	if policy.MaxLifetime == 0 && policy.MaxIdleTime == 0 {
		return false
	}
	now := p.now()
	reason := func(e *entry[T]) resource.Reason { return policy.Retire(e.info(now)) }
	taken, more := p.gate.Expire(func(e *entry[T], spare bool) bool {
		why := reason(e)
		return why != resource.None && (spare || why != resource.MaxIdleTime)
	})
	for _, e := range taken {
		p.destroy(e, reason(e))
	}
	return more
}

// checkIdle has an idle value checked that was neither released nor checked for Policy.CheckEvery.
func (p *Pool[T]) checkIdle() (more bool) {
	every := p.options.Policy.CheckEvery
	if every <= 0 || p.hooks.Check == nil {
		return false
	}
	now := p.now()
	return p.gate.CheckIdle(func(e *entry[T]) bool { return now-e.good >= every })
}
