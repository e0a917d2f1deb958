package gate

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// model is what a rapid test knows of a gate: where every value is, and who waits.
type model struct {
	*bench
	t       *rapid.T
	values  int   // made so far
	held    []int // handed out
	ending  []int // being destroyed
	builds  []*Builder[int]
	checks  []int
	waiters []*modelWaiter
	warmups []*Warmup[int]
	stale   map[int]bool
	bad     map[int]bool // suspects
	closed  bool
	handed  uint64
	looked  time.Duration        // when expire was called last
	spent   map[int]*Waiter[int] // on which a held value was waited for
}

type modelWaiter struct {
	*Waiter[int]
	place    uint64
	cautious bool
	agent    bool
	built    bool // what came was built for it
	deadline time.Duration
}

// TestGate_Model does anything in any order, and looks after every step whether a value is in two places or in none,
// whether the bound holds, whether something lies there for a caller that waits, and whether anyone was overtaken.
func TestGate_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{t: t, stale: map[int]bool{}, bad: map[int]bool{}, spent: map[int]*Waiter[int]{}}
		m.bench = newBench(Config[int]{
			Max: rapid.IntRange(1, 5).Draw(t, "max"), MinIdle: rapid.IntRange(0, 1).Draw(t, "minIdle"),
			MaxIdle: rapid.IntRange(0, 2).Draw(t, "maxIdle"), MaxWaiters: rapid.SampledFrom([]int{0, 3}).Draw(t, "maxWaiters"),
			MaxConstructing: rapid.IntRange(0, 2).Draw(t, "maxConstructing"), Admits: rapid.Bool().Draw(t, "admits"),
			ShortestBackoff: time.Hour, LongestBackoff: 20 * time.Hour, // the timer does not fire by itself
		})
		m.bench.stale = func(value int) bool { return m.stale[value] }
		m.suspect = func(value int) bool { return m.bad[value] }
		start := m.config.Start
		m.config.Start = func(b *Builder[int]) {
			assert.LessOrEqual(t, m.live, m.max, "the bound, when a build begins")
			start(b)
		}
		t.Repeat(map[string]func(*rapid.T){
			"Take":       m.take,
			"Enter":      m.enter,
			"EnterAgain": m.again,
			"Cautious":   m.cautious,
			"Leave":      m.leaveAny,
			"Put":        func(t *rapid.T) { m.end(m.lease(t), m.put) },
			"GiveBack":   func(t *rapid.T) { m.end(m.drawHeld(t), m.GiveBack) },
			"Retire":     func(t *rapid.T) { v := m.lease(t); m.Retire(); m.ending = append(m.ending, v) },
			"Reject":     func(t *rapid.T) { v := m.drawHeld(t); m.Reject(); m.ending = append(m.ending, v) },
			"Detach":     func(t *rapid.T) { m.lease(t); m.Detach() },
			"Doubt":      func(t *rapid.T) { m.Doubt(m.drawHeld(t)) },
			"Gone":       func(t *rapid.T) { draw(t, &m.ending, "ending"); m.Gone(0, false, false) },
			"Built":      m.built,
			"Failed": func(t *rapid.T) {
				m.FailedToBuild(draw(t, &m.builds, "build"), errRefused, rapid.Bool().Draw(t, "abandoned"))
			},
			"Checked": m.checked,
			"Suspect": m.suspects,
			"Evict":   m.evict,
			"Resize":  func(t *rapid.T) { m.ending = append(m.ending, m.Resize(rapid.IntRange(1, 5).Draw(t, "max"))...) },
			"Suspend": func(*rapid.T) { m.Suspend() },
			"Resume":  func(*rapid.T) { m.Resume() },
			"Warm":    m.warm,
			"Time":    func(*rapid.T) { m.now += 10 * time.Hour; m.wake(); m.expire(); m.looked = m.now },
			"Close":   m.close,
			"":        func(*rapid.T) { m.compare() },
		})
		if !m.closed {
			m.Close()
		}
	})
}

// draw takes one of all.
func draw[E any](t *rapid.T, all *[]E, what string) E {
	if len(*all) == 0 {
		t.Skip("none " + what)
	}
	i := rapid.IntRange(0, len(*all)-1).Draw(t, what)
	one := (*all)[i]
	*all = slices.Delete(*all, i, i+1)
	return one
}

func (m *model) drawHeld(t *rapid.T) int { return draw(t, &m.held, "held") }

// handOut notes that a caller has got a value.
func (m *model) handOut(value int) {
	assert.False(m.t, m.stale[value], "it was evicted before")
	m.held = append(m.held, value)
	m.handed++
}

// lease is a value that was held as a lease, which ends now.
func (m *model) lease(t *rapid.T) int {
	value := m.drawHeld(t)
	if m.config.Admits {
		m.Admitted()
	}
	return value
}

func (m *model) take(t *rapid.T) {
	var value int
	var decision Decision
	if rapid.Bool().Draw(t, "idle only") {
		value, decision = m.TakeIdle(rapid.Bool().Draw(t, "cautious"))
	} else {
		value, _, decision = m.Take()
	}
	if decision == Value {
		assert.Empty(t, m.waiters, "it overtakes")
		m.handOut(value)
	}
}

func (m *model) enter(t *rapid.T) {
	m.request(Request{
		Nested: rapid.IntRange(0, 3).Draw(t, "nested") == 0, Agent: rapid.IntRange(0, 3).Draw(t, "agent") == 0, Deadline: deadline(t),
	})
}

// again is a caller that has rejected what it got.
func (m *model) again(t *rapid.T) {
	value := m.drawHeld(t)
	m.Reject()
	m.ending = append(m.ending, value)
	place := uint64(1)
	if m.places > 0 {
		place = rapid.Uint64Range(1, m.places).Draw(t, "place")
	}
	for _, w := range m.waiters {
		if w.place == place {
			return // it is taken
		}
	}
	m.request(Request{Place: place, Cautious: rapid.Bool().Draw(t, "cautious"), Deadline: deadline(t)})
}

// deadline is how long a caller waits; 0: for as long as it takes.
func deadline(t *rapid.T) time.Duration {
	return time.Duration(rapid.IntRange(0, 30).Draw(t, "deadline")) * time.Hour
}

// put brings back a value, and the waiter on which it was waited for.
func (m *model) put(value int) Disposition {
	spent := m.spent[value]
	delete(m.spent, value)
	return m.Put(value, spent)
}

// cautious has what is held come back, and then a Check fail, so that all of it is suspect to a cautious caller.
func (m *model) cautious(t *rapid.T) {
	first := m.drawHeld(t)
	for len(m.held) > 0 && rapid.Bool().Draw(t, "more") {
		m.end(m.lease(t), m.put)
	}
	m.Reject()
	m.ending = append(m.ending, first)
	for value := range m.values {
		m.bad[value+1] = true
	}
	m.request(Request{Cautious: true})
}

func (m *model) request(r Request) {
	r.Now = m.now
	if r.Deadline > 0 {
		r.Deadline += m.now
	}
	w, place, grant := m.bench.enter(r)
	if w != nil {
		m.waiters = append(m.waiters, &modelWaiter{Waiter: w, place: place, cautious: r.Cautious, agent: r.Agent, deadline: r.Deadline})
		return
	}
	switch grant.Decision {
	case Value:
		for _, w := range m.waiters {
			assert.Less(m.t, place, w.place, "it overtakes")
		}
		m.handOut(grant.Value)
	case Closed:
		assert.True(m.t, m.closed)
	case Busy:
		assert.True(m.t, r.Nested)
	case Saturated:
		assert.Zero(m.t, r.Place)
		assert.False(m.t, r.Agent)
		assert.GreaterOrEqual(m.t, m.queue.Len(), m.config.MaxWaiters)
	default:
		m.t.Fatalf("decision %d", grant.Decision)
	}
}

func (m *model) leaveAny(t *rapid.T) {
	w := draw(t, &m.waiters, "waiter")
	if grant := m.giveUp(w.Waiter); grant.Decision == Value {
		m.handOut(grant.Value)
	}
}

// dispose notes what becomes of a value that was brought to the gate.
func (m *model) dispose(value int, disposition Disposition) {
	if disposition != Kept {
		m.ending = append(m.ending, value)
	}
	assert.Equal(m.t, m.closed, disposition == Refused)
}

func (m *model) end(value int, end func(int) Disposition) {
	m.now += time.Second
	m.since[value] = m.now
	m.dispose(value, end(value))
}

func (m *model) built(t *rapid.T) {
	b := draw(t, &m.builds, "build")
	m.values++
	value := m.values
	m.now += time.Second
	m.since[value] = m.now
	m.stale[value] = rapid.IntRange(0, 5).Draw(t, "stale") == 0
	for _, w := range m.waiters {
		w.built = w.builder == b
	}
	disposition := m.Built(b, value)
	if m.closed && disposition == Kept {
		t.Fatal("kept after Close")
	}
	if disposition != Kept {
		m.ending = append(m.ending, value)
	}
}

func (m *model) checked(t *rapid.T) {
	value := draw(t, &m.checks, "check")
	good := rapid.Bool().Draw(t, "good")
	if good {
		m.bad[value] = false
	}
	m.dispose(value, m.Checked(value, good))
}

// suspects makes every idle value a suspect, as a Check does that has failed.
func (m *model) suspects(*rapid.T) {
	for value := range m.values {
		m.bad[value+1] = true
	}
	m.mu.Lock()
	m.settleLocked() // a caller always does something after its Check has failed
	m.unlock()
}

func (m *model) evict(*rapid.T) {
	m.ending = append(m.ending, m.Evict(func() {
		for value := range m.values {
			m.stale[value+1] = true
		}
	})...)
}

func (m *model) warm(t *rapid.T) {
	m.warmups = append(m.warmups, m.Warm(context.Background(), rapid.IntRange(0, 5).Draw(t, "n")))
}

func (m *model) close(t *rapid.T) {
	if m.closed || !rapid.Bool().Draw(t, "really") {
		t.Skip("not now")
	}
	m.closed = true
	idle, _ := m.Close()
	m.ending = append(m.ending, idle...)
}

func (m *model) compare() {
	t := m.t
	m.builds, m.started = append(m.builds, m.started...), nil
	m.checks, m.checking = append(m.checks, m.bench.checking...), m.checking[:0]
	var before []*modelWaiter // those that wait still
	var served []*modelWaiter
	for _, w := range m.waiters {
		if len(w.Ready) == 0 {
			before = append(before, w)
			continue
		}
		var grant Grant[int]
		if w.place%2 == 0 { // it gives up at this moment
			grant = m.giveUp(w.Waiter)
		} else {
			<-w.Ready
			grant = *w.Granted()
			if grant.Decision == Value {
				m.spent[grant.Value] = w.Waiter
			}
		}
		switch grant.Decision {
		case Value:
			m.handOut(grant.Value)
			served = append(served, w)
		case Late:
			assert.LessOrEqual(t, w.deadline, m.now)
			assert.NotZero(t, w.deadline)
		case Closed:
			assert.True(t, m.closed)
		case Failed:
			assert.Equal(t, errRefused, grant.Err)
		case Busy:
		default:
			t.Fatalf("decision %d", grant.Decision)
		}
	}
	m.waiters = before
	for _, w := range served {
		for _, other := range before {
			if !w.built && !other.cautious {
				assert.Less(t, w.place, other.place, "it was overtaken")
			}
		}
		w.built = false
	}

	s := m.Snapshot()
	assert.Equal(t, len(m.held), s.Held, "held")
	assert.Equal(t, len(m.ending), s.Destroying, "destroying")
	assert.Equal(t, len(m.builds), s.Constructing, "constructing")
	assert.Equal(t, len(m.checks), s.Checking, "checking")
	callers := 0
	for _, w := range m.waiters {
		if !w.agent {
			callers++
		}
	}
	assert.Equal(t, callers, s.Waiting+s.WaitingForBuild, "waiting")
	assert.Equal(t, len(m.waiters)-callers, m.agents.queued+m.agents.building, "agents")
	assert.Equal(t, m.live, s.Held+s.Idle+s.Destroying+s.Constructing+s.Checking)
	if m.config.Admits {
		assert.Equal(t, s.Released, s.Acquired, "a held one is no lease yet")
	} else {
		assert.Equal(t, m.handed, s.Acquired)
	}
	assert.Equal(t, m.handed, s.Rejected+s.Released+uint64(s.Held))
	waitedFor := 0
	for _, b := range m.builds {
		if b.waiter != nil {
			waitedFor++
		}
	}
	assert.Equal(t, waitedFor, s.WaitingForBuild+m.agents.building)
	assert.Equal(t, len(m.builds)-waitedFor, m.filling, "filling")
	everywhere := slices.Concat(m.held, m.ending, m.checks, m.idle)
	slices.Sort(everywhere)
	assert.Len(t, slices.Compact(everywhere), m.live-s.Constructing, "a value is in two places, or in none")
	assert.True(t, slices.IsSortedFunc(m.idle, func(a, b int) int { return int(m.since[a] - m.since[b]) }), "idle, the longest first")
	for _, value := range m.idle {
		assert.False(t, m.stale[value], "it was evicted")
	}
	if m.closed {
		assert.Empty(t, m.idle)
		assert.Empty(t, m.waiters)
		return
	}
	if m.suspended {
		return
	}
	first := m.firstLocked()
	if first != nil && len(m.idle) > 0 {
		assert.True(t, first.cautious, "a value lies there for it")
		assert.Equal(t, -1, m.idleLocked(true), "a good value lies there for it")
		assert.NotZero(t, s.Checking, "its suspects are checked")
	}
	if m.queue.Len() > 0 {
		assert.False(t, m.mayBuildLocked(), "a slot is free for it")
	}
	if w := m.due.First(); w != nil {
		assert.Greater(t, w.deadline, m.looked, "its time is over")
		assert.NotZero(t, m.expireAt, "its time will be over")
		assert.LessOrEqual(t, m.expireAt, w.deadline)
	}
	bounded := 0
	for _, w := range m.waiters {
		if w.deadline != 0 {
			bounded++
		}
	}
	assert.Equal(t, bounded, m.due.Len())
	assert.True(t, slices.IsSortedFunc(slices.Collect(iter.Seq[*Waiter[int]](m.due.All)), func(a, b *Waiter[int]) int { return cmp.Compare(a.deadline, b.deadline) }))
	if m.breaker.open {
		assert.True(t, m.willWake, "the backoff ends")
	}
	for _, u := range m.warmups {
		select {
		case <-u.Done:
		default:
			assert.NotZero(t, s.Constructing, "it waits for nothing")
		}
	}
}
