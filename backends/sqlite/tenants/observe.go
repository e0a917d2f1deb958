package tenants

import (
	"context"
	"strings"

	"github.com/headpond/headpond/pool"
)

// inspector is what an observer sees of a Pool: one pool, whose values are databases.
type inspector struct{ *Pool }

var _ pool.Lister = inspector{}

// Name returns Options.Name.
func (i inspector) Name() string { return i.options.Name }

// Options returns the options of the pool in the words of [pool.Options].
func (i inspector) Options() pool.Options {
	o := i.options
	options := pool.Options{
		Name: o.Name, Owner: o.Name, MaxSize: o.MaxOpen, MaxWaiters: o.MaxWaiters, AcquireTimeout: o.AcquireTimeout, Observer: o.Observer,
		LeakAfter: o.Database.LeakAfter,
	}
	options.Policy.MaxIdleTime = o.IdleAfter
	return options
}

// Stats returns the pool's figures as those of a pool of databases.
func (i inspector) Stats() pool.Stats {
	i.mu.Lock()
	defer i.mu.Unlock()
	s, a := i.statsLocked(), &i.admission
	return pool.Stats{
		MaxSize: s.MaxOpen, Idle: s.Open - s.Held, Held: s.Held, Constructing: s.Opening, Destroying: s.Closing,
		Waiting: s.Waiting, OldestWait: s.OldestWait, Closed: s.Closed,
		Acquired: a.counts.admitted, Released: a.counts.admitted - uint64(s.Calls),
		Waited: s.Waited, WaitTime: s.WaitTime, TimedOut: s.TimedOut, Cancelled: s.Cancelled, Saturated: s.Saturated,
		Created: s.Opened, CreateFailed: s.OpenFailed, Destroyed: a.counts.closed, DestroyFailed: s.CloseFailed, Since: s.Since,
	}
}

// Holders returns the calls that hold a database. Their tenants are left out.
func (i inspector) Holders() []pool.Holder {
	all := i.Pool.Holders()
	holders := make([]pool.Holder, len(all))
	for n, h := range all {
		holders[n] = pool.Holder{ID: h.ID, Since: h.Since, Held: h.Held}
	}
	return holders
}

// List returns the tenants whose databases are open and whose names contain find, the most recently used first.
func (i inspector) List(find string, most int) (items []pool.Item, total int) {
	for _, t := range i.Pool.Tenants() {
		if !strings.Contains(t.Name, find) {
			continue
		}
		if total++; total <= most {
			items = append(items, pool.Item{ID: t.ID, Name: t.Name, Since: t.Opened, Used: t.Used, Held: t.Calls, Uses: t.Uses})
		}
	}
	return items, total
}

// Figures returns what a pool of other values does not have.
func (i inspector) Figures() []pool.Figure {
	s := i.Pool.Stats()
	gauge := func(name, unit, help string, value int) pool.Figure {
		return pool.Figure{Name: "headpond.sqlite.tenants." + name, Unit: unit, Help: help, Value: float64(value)}
	}
	counter := func(name, unit, help string, value uint64) pool.Figure {
		return pool.Figure{Name: "headpond.sqlite.tenants." + name, Unit: unit, Help: help, Kind: pool.Counter, Value: float64(value)}
	}
	return append([]pool.Figure{
		gauge("open", "{database}", "Databases that are open.", s.Open),
		gauge("open.limit", "{database}", "The most databases that may be open, those being opened and closed included.", s.MaxOpen),
		gauge("opening", "{database}", "Databases that are being opened.", s.Opening),
		gauge("closing", "{database}", "Databases that are being closed.", s.Closing),
		gauge("draining", "{database}", "Open databases that admit no new calls, because another tenant waits for a place.", s.Draining),
		gauge("exclusive", "{tenant}", "Tenants that a call of Exclusive has to itself.", s.Exclusive),
		gauge("failing", "{tenant}", "Tenants whose last open failed, 20 seconds ago at most.", s.Failing),
		gauge("waiting", "{tenant}", "Tenants that wait for a place.", s.WaitingTenants),
		counter("hits", "{call}", "Calls that were admitted at once, because the database was open.", s.Hits),
		counter("opened", "{database}", "Databases that were opened.", s.Opened),
		counter("open_failed", "{database}", "Opens that failed.", s.OpenFailed),
		counter("evicted", "{database}", "Databases that were closed because their place was needed, or would be.", s.Evicted),
		counter("expired", "{database}", "Databases that were closed for IdleAfter.", s.Expired),
		counter("migrated", "{tenant}", "Tenants that Migrate has finished with, without an error.", s.Migrated),
		counter("backed_up", "{tenant}", "Tenants that Backup has copied.", s.BackedUp),
	}, s.figures()...)
}

// observes reports whether a call is observed.
func (p *Pool) observes(ctx context.Context, kind kind) bool {
	return p.tap != nil && kind != kindExclusive && p.tap.Enabled(ctx)
}

// beginAlone and endAlone are Tap.Begin and Tap.End of the observer, if there is one, for a goroutine that opens or closes a database:
// if the observer calls runtime.Goexit, that ends another goroutine.

func (p *Pool) beginAlone(ctx context.Context, event pool.Event) (inner context.Context) {
	if p.tap == nil {
		return ctx
	}
	inner = ctx
	apart(func() { inner = p.tap.Begin(ctx, event) })
	return inner
}

func (p *Pool) endAlone(ctx context.Context, event pool.Event) {
	if p.tap != nil {
		apart(func() { p.tap.End(ctx, event) })
	}
}

// apart calls do in another goroutine, and waits until that has ended.
func apart(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	<-done
}
