package tenants

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestAdmission_Model drives the state machine with random steps, and looks at all of it after each.
func TestAdmission_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"":         func(t *rapid.T) { m.check(t) },
			"use":      func(t *rapid.T) { m.call(t, kindUse) },
			"use more": func(t *rapid.T) { m.call(t, kindUse) },
			"scan":     func(t *rapid.T) { m.call(t, kindScan) },
			"exclude":  func(t *rapid.T) { m.call(t, kindExclusive) },
			"leave":    func(t *rapid.T) { m.leave(t) },
			"leave 2":  func(t *rapid.T) { m.leave(t) },
			"give up":  func(t *rapid.T) { m.abandon(t) },
			"opened":   func(t *rapid.T) { m.opened(t, true) },
			"failed":   func(t *rapid.T) { m.opened(t, rapid.Bool().Draw(t, "well")) },
			"closed":   func(t *rapid.T) { m.closed(t) },
			"retire":   func(t *rapid.T) { m.retire(t) },
			"time": func(t *rapid.T) {
				m.now += time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond
				m.a.fill(m.now)
			},
			"end": func(t *rapid.T) { m.end(t) },
		})
		m.finish(t)
	})
}

// model has the calls that the state machine does not have: those that were admitted, and those that wait.
type model struct {
	a                admission
	now              time.Duration
	tenants          []string
	waiting          []*waiter
	holding          []*hold
	opening, closing []*entry
	admitted         int
}

func newModel(t *rapid.T) *model {
	maxOpen := rapid.IntRange(1, 5).Draw(t, "MaxOpen")
	maxOpening := rapid.IntRange(1, maxOpen).Draw(t, "MaxOpening")
	m := &model{tenants: []string{"a", "b", "c", "d", "e", "f", "g"}}
	m.a = admission{
		maxOpen: maxOpen, maxOpening: maxOpening, reserve: min(maxOpening, maxOpen/2),
		maxWaiters: rapid.SampledFrom([]int{0, 3, 20}).Draw(t, "MaxWaiters"),
		idleAfter:  rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(t, "IdleAfter"),
		entries:    map[string]*entry{},
	}
	return m
}

func (m *model) call(t *rapid.T, kind kind) {
	h := &hold{Context: context.Background(), kind: kind}
	if len(m.holding) > 0 && rapid.IntRange(0, 4).Draw(t, "nested") == 0 {
		h.outer = rapid.SampledFrom(m.holding).Draw(t, "inside")
	}
	tenant := rapid.SampledFrom(m.tenants).Draw(t, "tenant")
	m.now++
	e := m.a.entry(tenant, tenant)
	before := e.failure
	if m.a.enter(e, h, m.now) {
		require.Empty(t, m.a.toOpen)
		require.Empty(t, m.a.toClose)
		m.admitted++
		m.holding = append(m.holding, h)
		return
	}
	w, err := m.a.wait(e, h, m.now)
	switch {
	case err == nil:
		m.waiting = append(m.waiting, w)
	case errors.Is(err, pool.ErrClosed):
		assert.True(t, m.a.ended)
	case errors.Is(err, pool.ErrSaturated):
		assert.Equal(t, m.a.maxWaiters, len(m.waiting))
	default:
		assert.ErrorIs(t, err, errBroken)
		assert.Less(t, m.now, before.until)
	}
}

var errBroken = errors.New("broken")

func (m *model) leave(t *rapid.T) {
	if h, ok := take(t, &m.holding, "hold"); ok {
		m.now++
		h.over.Store(true)
		m.a.leave(h, m.now)
	}
}

func (m *model) abandon(t *rapid.T) {
	if w, ok := take(t, &m.waiting, "waiter"); ok {
		m.now++
		assert.True(t, m.a.abandon(w, m.now))
		assert.False(t, m.a.abandon(w, m.now), "twice")
	}
}

func (m *model) opened(t *rapid.T, well bool) {
	e, ok := take(t, &m.opening, "opening")
	if !ok {
		return
	}
	m.now++
	if well {
		m.a.opened(e, fakeDatabase{}, m.now)
		return
	}
	m.a.openFailed(e, errBroken, m.now)
}

func (m *model) closed(t *rapid.T) {
	if e, ok := take(t, &m.closing, "closing"); ok {
		m.now++
		m.a.closed(e, m.now)
	}
}

func (m *model) retire(t *rapid.T) {
	if len(m.holding) > 0 {
		h := rapid.SampledFrom(m.holding).Draw(t, "hold")
		m.a.retire(h.entry, h.id, m.now)
	}
}

func (m *model) end(t *rapid.T) {
	if rapid.IntRange(0, 20).Draw(t, "whether") == 0 {
		m.a.end(m.now)
	}
}

// take removes one of all.
func take[T any](t *rapid.T, all *[]T, label string) (one T, ok bool) {
	if len(*all) == 0 {
		return one, false
	}
	i := rapid.IntRange(0, len(*all)-1).Draw(t, label)
	one = (*all)[i]
	*all = slices.Delete(*all, i, i+1)
	return one, true
}

// gather does what the Pool does after each step: it takes what is to be opened and closed, and wakes callers.
func (m *model) gather(t require.TestingT) {
	m.opening = append(m.opening, m.a.toOpen...)
	m.closing = append(m.closing, m.a.toClose...)
	m.a.toOpen, m.a.toClose = nil, nil
	m.waiting = slices.DeleteFunc(m.waiting, func(w *waiter) bool {
		select {
		case <-w.ready:
		default:
			require.False(t, w.over)
			return false
		}
		require.True(t, w.over)
		switch {
		case w.err == nil:
			require.NotNil(t, w.hold.entry)
			m.admitted++
			m.holding = append(m.holding, w.hold)
		case errors.Is(w.err, pool.ErrNested):
			require.NotNil(t, w.hold.outer, "a call that is not nested was refused")
		case errors.Is(w.err, pool.ErrClosed):
			require.True(t, m.a.ended)
		default:
			require.ErrorIs(t, w.err, errBroken)
		}
		return true
	})
}

func (m *model) check(t require.TestingT) {
	m.gather(t)
	a := &m.a
	count := map[state]int{}
	calls, draining, notWanting, waiting := 0, 0, 0, 0
	for name, e := range a.entries {
		what := fmt.Sprintf("%s in state %d", name, e.state)
		count[e.state]++
		calls += e.holds.Len()
		waiting += e.waiters.Len()
		if e.draining {
			draining++
			require.Equal(t, stateOpen, e.state, what)
		}
		require.Equal(t, e.state == stateOpen, e.opened.Queued(), what)
		require.Equal(t, e.state == stateOpen && e.holds.Len() == 0, e.idle.Queued(), what)
		require.Equal(t, e.failure.err != nil, e.failed.Queued(), what)
		first := e.waiters.First()
		switch e.state {
		case stateClosed:
			require.Zero(t, e.holds.Len(), what)
			require.True(t, first != nil || e.failure.err != nil, "%s: nothing keeps it", what)
			if first != nil {
				require.NotEqual(t, kindExclusive, first.hold.kind, "%s: it could have been granted", what)
				require.True(t, e.queued.Queued(), what)
			}
		case stateOpening, stateClosing:
			require.Zero(t, e.holds.Len(), what)
		case stateExclusive:
			require.Equal(t, 1, e.holds.Len(), what)
			require.Equal(t, kindExclusive, e.holds.First().kind, what)
		case stateOpen:
			for h := range e.holds.All {
				require.NotEqual(t, kindExclusive, h.kind, what)
			}
			if first != nil && first.hold.kind != kindExclusive {
				require.True(t, e.draining || e.retired, "%s: calls wait for what is open", what)
			}
			if first != nil && first.hold.kind == kindExclusive {
				require.NotZero(t, e.holds.Len(), "%s: nothing keeps it open", what)
			}
			if e.queued.Queued() {
				notWanting++
			}
		}
	}
	require.LessOrEqual(t, count[stateOpen]+count[stateOpening]+count[stateClosing], a.maxOpen)
	require.Equal(t, count[stateOpen]+count[stateOpening]+count[stateClosing], a.places)
	require.Equal(t, count[stateOpening], a.opening)
	require.Equal(t, count[stateClosing], a.closing)
	require.LessOrEqual(t, a.opening, a.maxOpening)
	require.Equal(t, count[stateExclusive], a.exclusive)
	require.Len(t, m.opening, a.opening)
	require.Len(t, m.closing, a.closing)
	require.Equal(t, len(m.holding), calls)
	require.Equal(t, calls, a.calls)
	require.Equal(t, draining, a.draining)
	require.Equal(t, notWanting, a.notWanting)
	require.Equal(t, len(m.waiting), waiting)
	require.Equal(t, waiting, a.arrivals.Len())
	require.EqualValues(t, m.admitted, a.counts.admitted)

	var last uint64
	for e := range a.queue.All {
		require.Less(t, last, e.waiters.First().seq, "the queue is in the order of the first waiting calls")
		last = e.waiters.First().seq
		if e.state == stateClosed {
			require.True(t, a.free() == 0 || a.opening == a.maxOpening, "%s waits for nothing", e.name)
		}
	}
	if a.wanting() > 0 && a.free()+a.closing == 0 && a.idleList.Len() == 0 && count[stateOpen] > 0 {
		retired := 0
		for e := range a.openedList.All {
			if e.retired {
				retired++
			}
		}
		require.NotZero(t, draining+retired, "a tenant waits, and no database drains")
	}
	if a.wanting() == 0 {
		require.Zero(t, draining, "no tenant waits, and a database drains")
	}
	if a.closing < a.maxOpening && a.idleList.Len() > 0 {
		require.False(t, a.ended)
		require.GreaterOrEqual(t, a.free()+a.closing, max(a.reserve, min(a.wanting(), a.maxOpening)), "more could be evicted")
	}
	for w := range a.nested.All {
		require.True(t, a.certain(w), "a nested call waits for another one")
	}
}

// finish lets everything end: then no call may wait for ever.
func (m *model) finish(t *rapid.T) {
	for n := 0; ; n++ {
		m.check(t)
		require.Less(t, n, 1000, "%d calls wait for ever", len(m.waiting))
		m.now++
		switch {
		case len(m.opening) > 0:
			m.opened(t, true)
		case len(m.closing) > 0:
			m.closed(t)
		case len(m.holding) > 0:
			m.leave(t)
		default:
			require.Empty(t, m.waiting)
			m.a.end(m.now)
			m.check(t)
			if m.a.over() {
				return
			}
		}
	}
}

type fakeDatabase struct{}

func (fakeDatabase) Close(context.Context) error { return nil }
func (fakeDatabase) Stats() sqlite.Stats         { return sqlite.Stats{} }
