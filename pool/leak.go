package pool

import "time"

// Leak is a lease that was held longer than Options.LeakAfter.
type Leak struct {
	Holder
	Returned bool // it has come back: this is the second and last report of it
}

// reportLeaks reports the leases that have been held for longer than LeakAfter, each once.
func (p *Pool[T]) reportLeaks() {
	now := p.now()
	for _, e := range p.entries() {
		began := e.held.Load()
		if began == free || now-time.Duration(began) < p.options.LeakAfter {
			continue
		}
		leak := Leak{Holder: e.holder(began, now)}
		e.mu.Lock()
		report := e.held.Load() == began && !e.reported
		e.reported = e.reported || report
		e.mu.Unlock()
		if report {
			p.leaked.Add(1)
			apart(func() { p.tellLeak(leak) })
		}
	}
}

// reportReturned reports the end of a lease that was reported as a leak.
func (p *Pool[T]) reportReturned(e *entry[T], now time.Duration) {
	e.mu.Lock()
	reported := e.reported
	e.reported = false
	e.mu.Unlock()
	if reported {
		leak := Leak{Holder: e.holder(e.last, now), Returned: true}
		apart(func() { p.tellLeak(leak) }) // the lease has ended: nobody else would give the value back
	}
}

func (p *Pool[T]) tellLeak(leak Leak) {
	if p.tap != nil {
		p.tap.Leak(leak)
	}
}
