package tenants

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rig drives the state machine step by step.
type rig struct {
	t   *testing.T
	a   admission
	now time.Duration
}

func newRig(t *testing.T, maxOpen, maxOpening, reserve int) *rig {
	return &rig{t: t, a: admission{maxOpen: maxOpen, maxOpening: maxOpening, reserve: reserve, entries: map[string]*entry{}}}
}

// call is one call of a test.
type call struct {
	rig  *rig
	hold *hold
	wait *waiter
	err  error
}

func (r *rig) call(tenant string, kind kind, outer ...*call) *call {
	c := &call{rig: r, hold: &hold{Context: context.Background(), kind: kind}}
	for _, o := range outer {
		c.hold.outer = o.hold
	}
	r.now += time.Millisecond
	e := r.a.entry(tenant, tenant)
	if !r.a.enter(e, c.hold, r.now) {
		c.wait, c.err = r.a.wait(e, c.hold, r.now)
	}
	return c
}

func (r *rig) use(tenant string, outer ...*call) *call { return r.call(tenant, kindUse, outer...) }

// open makes a tenant's database open, and idle.
func (r *rig) open(tenants ...string) {
	for _, tenant := range tenants {
		c := r.use(tenant)
		r.opened(tenant)
		c.leave()
	}
}

// state is what the call has: "held", "waits", or its error.
func (c *call) state() string {
	if c.err != nil {
		return c.err.Error()
	}
	if c.wait == nil {
		return "held"
	}
	select {
	case <-c.wait.ready:
	default:
		return "waits"
	}
	if c.wait.err != nil {
		return c.wait.err.Error()
	}
	return "held"
}

func (c *call) leave() {
	require.Equal(c.rig.t, "held", c.state())
	c.rig.now += time.Millisecond
	c.hold.over.Store(true)
	c.rig.a.leave(c.hold, c.rig.now)
}

func (r *rig) opened(tenant string) {
	r.now += time.Millisecond
	require.Equal(r.t, stateOpening, r.state(tenant), tenant)
	r.a.opened(r.a.entries[tenant], fakeDatabase{}, r.now)
}

func (r *rig) failed(tenant string) {
	r.now += time.Millisecond
	require.Equal(r.t, stateOpening, r.state(tenant), tenant)
	r.a.openFailed(r.a.entries[tenant], errBroken, r.now)
}

func (r *rig) closed(tenant string) {
	r.now += time.Millisecond
	require.Equal(r.t, stateClosing, r.state(tenant), tenant)
	r.a.closed(r.a.entries[tenant], r.now)
}

func (r *rig) state(tenant string) state {
	if e := r.a.entries[tenant]; e != nil {
		return e.state
	}
	return stateClosed
}

func TestAdmission_EvictsTheLeastRecentlyUsed(t *testing.T) {
	r := newRig(t, 3, 1, 0)
	r.open("a", "b", "c")
	r.use("a").leave()
	d := r.use("d")
	assert.Equal(t, stateClosing, r.state("b"))
	assert.Equal(t, "waits", d.state())
	r.closed("b")
	r.opened("d")
	assert.Equal(t, "held", d.state())
	assert.Equal(t, stateOpen, r.state("a"))
	assert.Equal(t, stateOpen, r.state("c"))
}

func TestAdmission_KeepsPlacesFree(t *testing.T) {
	r := newRig(t, 6, 2, 2)
	r.open("a", "b", "c", "d")
	assert.Equal(t, 2, r.a.free())
	e := r.use("e")
	assert.Equal(t, stateClosing, r.state("a"), "ahead of demand")
	assert.Equal(t, stateOpening, r.state("e"), "and without a wait for it")
	r.closed("a")
	r.opened("e")
	e.leave()
	assert.Equal(t, 2, r.a.free())
}

func TestAdmission_OnePlaceInTheQueueForATenant(t *testing.T) {
	r := newRig(t, 1, 1, 0)
	a := r.use("a")
	r.opened("a")
	var many []*call
	for range 1000 {
		many = append(many, r.use("b"))
	}
	c := r.use("c")
	late := r.use("b")
	assert.Equal(t, 2, r.a.queue.Len())
	a.leave()
	r.closed("a")
	r.opened("b")
	for _, b := range append(many, late) {
		assert.Equal(t, "held", b.state(), "one opening serves all")
		b.leave()
	}
	assert.Equal(t, "waits", c.state())
	r.closed("b")
	r.opened("c")
	c.leave()
}

// TestAdmission_PlaceInTheQueue gives up the first call of a tenant: its place is then that of the next one.
func TestAdmission_PlaceInTheQueue(t *testing.T) {
	r := newRig(t, 1, 1, 0)
	a := r.use("a")
	r.opened("a")
	first := r.use("b")
	c, b := r.use("c"), r.use("b")
	r.a.abandon(first.wait, r.now)
	a.leave()
	r.closed("a")
	assert.Equal(t, stateOpening, r.state("c"))
	r.opened("c")
	c.leave()
	r.closed("c")
	r.opened("b")
	b.leave()
}

// TestAdmission_Starvation has one place, fifty callers of a tenant that never pause, and one caller of another.
func TestAdmission_Starvation(t *testing.T) {
	r := newRig(t, 1, 1, 0)
	var busy []*call
	for range 50 {
		busy = append(busy, r.use("busy"))
	}
	r.opened("busy")
	other := r.use("other")
	assert.True(t, r.a.entries["busy"].draining)
	var again []*call
	for _, c := range busy {
		assert.Equal(t, "waits", other.state())
		c.leave()
		again = append(again, r.use("busy"))
		assert.Equal(t, "waits", again[len(again)-1].state())
	}
	r.closed("busy")
	r.opened("other")
	assert.Equal(t, "held", other.state())
	other.leave()
	r.closed("other")
	r.opened("busy")
	for _, c := range again {
		assert.Equal(t, "held", c.state(), "they go on as well")
	}
}

func TestAdmission_DrainsTheOneOpenForTheLongest(t *testing.T) {
	r := newRig(t, 3, 2, 0)
	a, b, c := r.use("a"), r.use("b"), r.use("c")
	r.opened("b")
	r.opened("a")
	r.opened("c")
	a2 := r.use("a")
	assert.Equal(t, "held", a2.state())
	d := r.use("d")
	assert.True(t, r.a.entries["b"].draining)
	assert.False(t, r.a.entries["a"].draining, "one tenant waits, one database drains")
	b2 := r.use("b")
	assert.Equal(t, "waits", b2.state())
	assert.Equal(t, "held", r.use("a").state())

	r.a.abandon(d.wait, r.now)
	assert.Equal(t, "held", b2.state(), "its place is not needed any more")
	b2.leave()

	r.use("d")
	b2 = r.use("b")
	c.leave()
	assert.Equal(t, stateClosing, r.state("c"), "an idle one comes first")
	assert.Equal(t, "held", b2.state(), "and the one that drained goes on")
	a.leave()
	b.leave()
}

// TestAdmission_DrainPast holds the database that drains for long: another one, whose calls are short, drains as well.
func TestAdmission_DrainPast(t *testing.T) {
	r := newRig(t, 2, 1, 0)
	lasting := r.use("a")
	r.opened("a")
	short := r.use("b")
	r.opened("b")
	c := r.use("c")
	assert.True(t, r.a.entries["a"].draining)
	turn := func() {
		next := r.use("b")
		short.leave()
		short = next
	}
	turn()
	assert.False(t, r.a.entries["b"].draining, "too soon")
	r.now += drainPatience
	older := short
	short = r.use("b")
	r.use("b").leave()
	assert.False(t, r.a.entries["b"].draining, "that call did not hold it since the other one began to drain")
	older.leave()
	assert.True(t, r.a.entries["b"].draining, "each call that held it has ended meanwhile")
	assert.Equal(t, "waits", r.use("b").state())
	short.leave()
	r.closed("b")
	r.opened("c")
	assert.Equal(t, "held", c.state())
	lasting.leave()
}

// TestAdmission_DrainPastNeedsNewCalls keeps one call from before the drain: that one would not have ended sooner.
func TestAdmission_DrainPastNeedsNewCalls(t *testing.T) {
	r := newRig(t, 2, 1, 0)
	r.use("a")
	r.opened("a")
	first, second := r.use("b"), r.use("b")
	r.opened("b")
	r.use("c")
	r.now += drainPatience
	first.leave()
	assert.False(t, r.a.entries["b"].draining)
	r.use("b")
	second.leave()
	assert.True(t, r.a.entries["b"].draining)
}

func TestAdmission_Exclusive(t *testing.T) {
	r := newRig(t, 2, 1, 0)
	first := r.use("a")
	r.opened("a")
	own := r.call("a", kindExclusive)
	later := r.use("a")
	another := r.call("a", kindExclusive)
	assert.Equal(t, "waits", own.state())
	assert.Equal(t, "waits", later.state(), "it queues behind")
	first.leave()
	assert.Equal(t, stateClosing, r.state("a"))
	r.closed("a")
	assert.Equal(t, "held", own.state())
	assert.Equal(t, "waits", later.state())
	assert.Zero(t, r.a.places)
	own.leave()
	r.opened("a")
	assert.Equal(t, "held", later.state())
	assert.Equal(t, "waits", another.state())
	later.leave()
	r.closed("a")
	another.leave()
	assert.Empty(t, r.a.entries)

	r.use("c")
	r.failed("c")
	r.call("c", kindExclusive).leave()
	assert.Equal(t, "waits", r.use("c").state(), "it may have mended the file")
	r.failed("c")
	r.a.forgive(r.a.entries["c"])
	r.a.settle(r.a.entries["c"], r.now)

	fresh := r.call("b", kindExclusive)
	assert.Equal(t, "held", fresh.state(), "a tenant that is closed")
	behind := r.use("b")
	r.a.abandon(behind.wait, r.now)
	fresh.leave()
	assert.Empty(t, r.a.entries)
}

func TestAdmission_FailedOpen(t *testing.T) {
	r := newRig(t, 1, 1, 0)
	one, two, mend, three := r.use("a"), r.use("a"), r.call("a", kindExclusive), r.use("a")
	other := r.use("b")
	r.failed("a")
	assert.Equal(t, "broken", one.state())
	assert.Equal(t, "broken", two.state())
	assert.Equal(t, stateOpening, r.state("b"), "the place is free at once")
	assert.Equal(t, "held", mend.state())
	assert.Equal(t, "waits", three.state(), "it is behind one that may mend it")
	assert.Equal(t, "waits", r.use("a").state(), "so is this one")
	mend.leave()
	r.opened("b")
	other.leave()
	r.closed("b")
	r.opened("a")
	assert.Equal(t, "held", three.state())
}

func TestAdmission_Pauses(t *testing.T) {
	r := newRig(t, 2, 2, 0)
	for try, pause := range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond} {
		c := r.use("a")
		require.Equal(t, "waits", c.state(), try)
		r.failed("a")
		over := r.now + pause
		assert.Equal(t, "broken", c.state())
		assert.Contains(t, r.use("a").state(), fmt.Sprintf("broken (failed %d times in a row", try+1))
		other := r.use("b")
		if r.state("b") == stateOpening {
			r.opened("b")
		}
		assert.Equal(t, "held", other.state(), "it is that tenant's pause alone")
		r.now = over - 2*time.Millisecond
		assert.Contains(t, r.use("a").state(), "the next try is in 1ms)")
	}
	c := r.use("a")
	r.opened("a")
	c.leave()
	assert.Zero(t, r.a.failedList.Len(), "one that succeeds ends it")
	for range 100 {
		r.a.blame(r.a.entry("c", ""), errBroken, r.now)
	}
	assert.Equal(t, longestPause, r.a.entries["c"].failure.until-r.now)
}

// TestAdmission_FailuresAreForgotten makes more names up than are remembered.
func TestAdmission_FailuresAreForgotten(t *testing.T) {
	r := newRig(t, 2, 2, 0)
	for n := range mostFailures + 100 {
		r.use(fmt.Sprint(n))
		r.failed(fmt.Sprint(n))
	}
	assert.Len(t, r.a.entries, mostFailures)
	assert.NotContains(t, r.a.entries, "0")
	r.now += time.Minute
	r.use("500")
	r.failed("500")
	assert.Len(t, r.a.entries, 1)
	assert.Equal(t, 1, r.a.entries["500"].failure.tries, "the one before does not count any more")
}

func TestAdmission_Nested(t *testing.T) {
	r := newRig(t, 3, 2, 0)
	a := r.use("a")
	r.opened("a")
	t.Run("its own tenant", func(t *testing.T) {
		assert.Equal(t, "held", r.use("a", a).state())
		r.a.entries["a"].draining = true
		r.a.draining++
		assert.Equal(t, "held", r.use("a", a).state(), "though it drains")
		r.a.stopDraining(r.now)
		r.a.retire(r.a.entries["a"], r.a.entries["a"].id, r.now)
		assert.Equal(t, "held", r.use("a", a).state(), "though it is about to be opened anew")
		r.a.entries["a"].retired = false
		exclusive := r.call("a", kindExclusive)
		assert.Equal(t, "held", r.use("a", a).state(), "though another call waits")
		assert.Equal(t, pool.ErrNested.Error(), r.call("a", kindExclusive, a).state())
		r.a.abandon(exclusive.wait, r.now)
	})
	t.Run("an opening, then a place that is free", func(t *testing.T) {
		b := r.use("b", a)
		require.Equal(t, "waits", b.state())
		r.opened("b")
		b.leave()
	})
	t.Run("an idle database to close", func(t *testing.T) {
		r.open("c")
		d := r.use("d", a)
		require.Equal(t, "waits", d.state())
		r.closed("b")
		r.opened("d")
		d.leave()
	})
	t.Run("a database that closes, and is opened again", func(t *testing.T) {
		b := r.use("b")
		require.Equal(t, stateClosing, r.state("c"))
		c := r.use("c", a)
		assert.Equal(t, "waits", c.state(), "b takes that place, but d is idle")
		r.closed("c")
		r.opened("b")
		r.closed("d")
		r.opened("c")
		assert.Equal(t, pool.ErrNested.Error(), r.use("d", a).state(), "all are held")
		assert.Zero(t, r.a.draining, "and none drains for it")
		b.leave()
		c.leave()
	})
	t.Run("a tenant that another call has", func(t *testing.T) {
		b := r.use("b")
		assert.Equal(t, pool.ErrNested.Error(), r.call("b", kindExclusive, a).state())
		exclusive := r.call("b", kindExclusive)
		assert.Equal(t, pool.ErrNested.Error(), r.use("b", a).state())
		b.leave()
		assert.Equal(t, pool.ErrNested.Error(), r.use("b", a).state(), "it closes for another call")
		r.closed("b")
		assert.Equal(t, pool.ErrNested.Error(), r.use("b", a).state())
		assert.Equal(t, pool.ErrNested.Error(), r.use("b", exclusive).state(), "inside Exclusive, its own tenant")
		exclusive.leave()
	})
	t.Run("a tenant that is being opened, for itself", func(t *testing.T) {
		first := r.use("e")
		assert.Equal(t, pool.ErrNested.Error(), r.call("e", kindExclusive, a).state(), "the other call comes first")
		for r.state("e") != stateOpening {
			for tenant, e := range r.a.entries {
				if e.state == stateClosing {
					r.closed(tenant)
				}
			}
		}
		r.opened("e")
		first.leave()
	})
	t.Run("exclusive of an idle one", func(t *testing.T) {
		exclusive := r.call("c", kindExclusive, a)
		require.Equal(t, "waits", exclusive.state())
		r.closed("c")
		assert.Equal(t, "held", exclusive.state())
		exclusive.leave()
	})
	a.leave()
}

// TestAdmission_NestedLosesWhatItCountedOn holds the idle database that a nested call would have got the place of.
func TestAdmission_NestedLosesWhatItCountedOn(t *testing.T) {
	r := newRig(t, 4, 1, 0)
	a := r.use("a")
	r.opened("a")
	r.open("b", "c", "d")
	e := r.use("e")
	require.Equal(t, stateClosing, r.state("b"), "one at a time")
	f := r.use("f", a)
	require.Equal(t, "waits", f.state(), "c and d are idle")
	r.use("c")
	assert.Equal(t, "waits", f.state())
	r.use("d")
	assert.Equal(t, pool.ErrNested.Error(), f.state())
	assert.EqualValues(t, 1, r.a.counts.nested)
	r.closed("b")
	r.opened("e")
	e.leave()
}

// TestAdmission_NestedBehindOneThatDrains: the tenant ahead in the queue still has its own place.
func TestAdmission_NestedBehindOneThatDrains(t *testing.T) {
	r := newRig(t, 3, 2, 0)
	b, c := r.use("b"), r.use("c")
	r.opened("b")
	r.opened("c")
	r.open("a")
	r.a.retire(r.a.entries["b"], r.a.entries["b"].id, r.now)
	again := r.use("b")
	require.Equal(t, "waits", again.state())
	require.Equal(t, 1, r.a.queue.Len())
	d := r.use("d", c)
	assert.Equal(t, "waits", d.state(), "a is idle, and b does not need its place")
	assert.Equal(t, stateClosing, r.state("a"))
	r.closed("a")
	r.opened("d")
	assert.Equal(t, "held", d.state())
	b.leave()
	r.closed("b")
	r.opened("b")
	assert.Equal(t, "held", again.state())
}

// TestAdmission_NestedInsideAnOpening calls the pool from what opens a database: Setup, or a function of a migration.
func TestAdmission_NestedInsideAnOpening(t *testing.T) {
	r := newRig(t, 3, 1, 0)
	r.open("b")
	r.use("a")
	inside := &call{rig: r, hold: &hold{Context: context.Background(), kind: kindOpening, entry: r.a.entries["a"]}}
	assert.Equal(t, "held", r.use("b", inside).state())
	assert.Equal(t, pool.ErrNested.Error(), r.use("c", inside).state(), "the opening has the only turn")
	assert.Equal(t, pool.ErrNested.Error(), r.use("a", inside).state())
	r.opened("a")
	inside.hold.over.Store(true)
	assert.Equal(t, "waits", r.use("c", inside).state())
}

func TestAdmission_Scan(t *testing.T) {
	r := newRig(t, 3, 1, 0)
	r.open("a", "b")
	scan := r.call("c", kindScan)
	r.opened("c")
	scan.leave()
	assert.Equal(t, stateClosing, r.state("c"), "only a scan used it")
	r.closed("c")

	scan = r.call("c", kindScan)
	r.opened("c")
	r.use("c").leave()
	scan.leave()
	assert.Equal(t, stateOpen, r.state("c"), "another call used it too")
	scan = r.call("a", kindScan)
	scan.leave()
	assert.Equal(t, stateOpen, r.state("a"), "it was open before")
}

func TestAdmission_Retire(t *testing.T) {
	r := newRig(t, 3, 1, 0)
	a, b := r.use("a"), r.use("a")
	r.opened("a")
	id := r.a.entries["a"].id
	r.a.retire(r.a.entries["a"], id+1, r.now)
	assert.Equal(t, "held", r.use("a").state(), "that was another opening")
	c := r.a.entries["a"].holds.Last()
	r.a.retire(r.a.entries["a"], id, r.now)
	d := r.use("a")
	assert.Equal(t, "waits", d.state())
	a.leave()
	b.leave()
	r.a.leave(c, r.now)
	r.closed("a")
	r.opened("a")
	assert.Equal(t, "held", d.state(), "it is opened anew")
	d.leave()
	assert.Equal(t, "held", r.use("a").state())
}

func TestAdmission_IdleAfter(t *testing.T) {
	r := newRig(t, 4, 1, 0)
	r.a.idleAfter = time.Minute
	_, exists := r.a.nextExpiry()
	assert.False(t, exists, "no timer is needed")
	r.open("a", "b", "c")
	at, exists := r.a.nextExpiry()
	assert.True(t, exists)
	assert.Equal(t, r.a.entries["a"].idleAt+time.Minute, at)
	r.use("a").leave()
	r.now += time.Minute - 2*time.Millisecond
	r.a.fill(r.now)
	assert.Equal(t, stateClosing, r.state("b"))
	assert.Equal(t, stateOpen, r.state("c"), "one at a time")
	r.now += time.Minute
	r.a.fill(r.now)
	_, exists = r.a.nextExpiry()
	assert.False(t, exists, "a timer would fire in vain until that one is closed")
	r.now += 10 * time.Millisecond
	r.closed("b")
	r.closed("c")
	r.closed("a")
	assert.Empty(t, r.a.entries)
}

func TestAdmission_MaxWaiters(t *testing.T) {
	r := newRig(t, 1, 1, 0)
	r.a.maxWaiters = 2
	a := r.use("a")
	b := r.use("b")
	assert.Equal(t, pool.ErrSaturated.Error(), r.use("c").state())
	assert.NotContains(t, r.a.entries, "c")
	r.opened("a")
	assert.Equal(t, "waits", r.use("c").state())
	assert.Equal(t, "held", a.state())
	assert.Equal(t, "waits", b.state())
	assert.EqualValues(t, 1, r.a.counts.saturated)
}

func TestAdmission_End(t *testing.T) {
	r := newRig(t, 4, 1, 0)
	r.open("a", "b")
	c, d := r.use("c"), r.use("d")
	r.opened("c")
	r.a.end(r.now)
	assert.Equal(t, pool.ErrClosed.Error(), d.state())
	assert.Equal(t, pool.ErrClosed.Error(), r.use("a").state())
	assert.Equal(t, "held", r.use("c", c).state(), "inside a call that goes on")
	r.a.leave(r.a.entries["c"].holds.Last(), r.now)
	r.opened("d")
	r.closed("a")
	r.closed("b")
	r.closed("d")
	assert.False(t, r.a.over())
	c.leave()
	r.closed("c")
	assert.True(t, r.a.over())
}
