package pool_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestModel compares a pool with a model of it, in which everything happens at once:
// who gets which value, who waits, and what the figures are.
// `go test ./pool -run TestModel -rapid.checks=100000` runs it for longer.
func TestModel(t *testing.T) {
	checkModel(t, nil)
}

// checkModel runs the model in bubbles of testing/synctest; a failure goes on outside of them.
func checkModel(t *testing.T, observer pool.Observer) {
	rapid.Check(t, func(r *rapid.T) {
		var thrown any
		synctest.Test(t, func(*testing.T) {
			defer func() { thrown = recover() }()
			runModel(r, observer)
		})
		if thrown != nil {
			panic(thrown)
		}
	})
}

// modelMaxUses retires values often enough for the model to meet it.
const modelMaxUses = 4

// caller is one Acquire, which may wait.
type caller struct {
	cancel context.CancelFunc
	done   chan struct{}
	lease  pool.Lease[*fake.Value]
	err    error
}

// modelValue is what the model knows of a live value.
type modelValue struct {
	id, uses int // id 0: any, of several that were built at the same time
	stale    bool
}

type model struct {
	t     *rapid.T
	p     *pool.Pool[*fake.Value]
	maker *fake.Maker

	size              int
	suspended, closed bool
	made, live        int
	idle              []*modelValue
	queue             []*caller
	held              map[*caller]*modelValue
	ended             []pool.Lease[*fake.Value]

	failConstruct, failCheck, failReset bool // the next one fails; the hooks and the model take it back
	hooks                               struct{ construct, check, reset atomic.Bool }
}

var errHook = errors.New("hook failed")

func runModel(t *rapid.T, observer pool.Observer) {
	m := &model{t: t, maker: &fake.Maker{}, size: rapid.IntRange(1, 4).Draw(t, "size"), held: map[*caller]*modelValue{}}
	hooks := m.maker.Hooks()
	fail := func(once *atomic.Bool, next func() error) error {
		if once.CompareAndSwap(true, false) {
			return errHook
		}
		return next()
	}
	construct, check, reset := hooks.Construct, hooks.Check, hooks.Reset
	hooks.Construct = func(ctx context.Context) (value *fake.Value, err error) {
		err = fail(&m.hooks.construct, func() error { value, err = construct(ctx); return err })
		return value, err
	}
	hooks.Check = func(ctx context.Context, v *fake.Value) error {
		return fail(&m.hooks.check, func() error { return check(ctx, v) })
	}
	hooks.Reset = func(ctx context.Context, v *fake.Value) error {
		return fail(&m.hooks.reset, func() error { return reset(ctx, v) })
	}
	var err error
	m.p, err = pool.New(hooks, pool.Options{
		MaxSize: m.size, AcquireTimeout: -1, Observer: observer,
		Policy: resource.Policy{CheckAfterIdle: -1, MaxUses: modelMaxUses},
	})
	require.NoError(t, err)
	defer func() { // where it failed, nothing may be left waiting
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = m.p.Close(ctx)
	}()
	t.Repeat(map[string]func(*rapid.T){
		"Acquire":       func(*rapid.T) { m.acquire() },
		"AcquireMore":   func(*rapid.T) { m.acquire(); m.acquire(); m.acquire() },
		"TryAcquire":    func(*rapid.T) { m.tryAcquire() },
		"Cancel":        m.cancel,
		"Release":       func(t *rapid.T) { m.end(t, pool.Lease[*fake.Value].Release, false) },
		"Discard":       func(t *rapid.T) { m.end(t, pool.Lease[*fake.Value].Discard, true) },
		"Detach":        m.detach,
		"Stale":         m.stale,
		"Evict":         func(*rapid.T) { m.evict() },
		"Resize":        m.resize,
		"Suspend":       func(*rapid.T) { m.p.Suspend(); m.suspended = true },
		"Resume":        m.resume,
		"Warm":          m.warm,
		"Panic":         func(*rapid.T) { m.panics() },
		"FailConstruct": func(*rapid.T) { m.failConstruct = true; m.hooks.construct.Store(true) },
		"FailCheck":     func(*rapid.T) { m.failCheck = true; m.hooks.check.Store(true) },
		"FailReset":     func(*rapid.T) { m.failReset = true; m.hooks.reset.Store(true) },
		"Close":         m.close,
		"":              func(*rapid.T) { m.compare() },
	})
	m.failCheck, m.failConstruct = false, false
	m.hooks.check.Store(false)
	m.hooks.construct.Store(false)
	m.resume(t)
	m.compare()
	for _, c := range m.queue {
		c.cancel()
		<-c.done
	}
	for c := range m.held {
		c.lease.Release()
	}
	require.NoError(t, m.p.Close(context.Background()))
	m.maker.Finished(t)
	_, most := m.maker.Live()
	require.LessOrEqual(t, most, 4+min(1, int(m.p.Stats().Detached)), "a detached value lives on beside the next one")
}

// rest lets everything happen that can, backoffs included.
func (m *model) rest() {
	synctest.Wait()
	<-time.After(2 * time.Second)
	synctest.Wait()
}

func (m *model) compare() {
	m.rest()
	stats := m.p.Stats()
	require.Equal(m.t, m.size, stats.MaxSize)
	require.Equal(m.t, len(m.queue), stats.Waiting, "waiting")
	require.Equal(m.t, len(m.idle), stats.Idle, "idle")
	require.Equal(m.t, len(m.held), stats.Held, "held")
	require.Zero(m.t, stats.Constructing+stats.Destroying)
	require.Equal(m.t, m.live, stats.Live())
	require.EqualValues(m.t, m.made, stats.Created)
	require.EqualValues(m.t, len(m.held), stats.Acquired-stats.Unfit-stats.Released)
	var destroyed uint64
	for _, n := range stats.Destroyed {
		destroyed += n
	}
	require.EqualValues(m.t, m.live, stats.Created-destroyed-stats.Detached)
	require.Len(m.t, m.p.Holders(), len(m.held))
	for c, v := range m.held {
		<-c.done
		require.NoError(m.t, c.err)
		if v.id == 0 {
			v.id = c.lease.Value().ID
		}
		require.Equal(m.t, v.id, c.lease.Value().ID, "which value")
		require.Equal(m.t, v.uses-1, c.lease.Info().Uses)
	}
	for _, c := range m.queue {
		select {
		case <-c.done:
			m.t.Fatalf("a caller who should wait came back with %v", c.err)
		default:
		}
	}
}

func (m *model) acquire() {
	ctx, cancel := context.WithCancel(context.Background())
	c := &caller{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.lease, c.err = m.p.Acquire(ctx)
	}()
	m.rest()
	if m.closed {
		<-c.done
		require.ErrorIs(m.t, c.err, pool.ErrClosed)
		return
	}
	m.queue = append(m.queue, c)
	m.settle()
}

// settle gives the model's values to the model's waiters.
func (m *model) settle() {
	for len(m.queue) > 0 && !m.suspended {
		c := m.queue[0]
		if n := len(m.idle); n > 0 {
			v := m.idle[n-1]
			m.idle = m.idle[:n-1]
			if m.failCheck {
				m.failCheck = false
				m.live--
				continue
			}
			v.uses++
			m.held[c] = v
		} else if m.live < m.size {
			if m.failConstruct {
				m.failConstruct = false
				m.queue = m.queue[1:]
				m.rest()
				<-c.done
				require.ErrorIs(m.t, c.err, errHook)
				continue
			}
			m.made++
			if m.failCheck { // CheckAfterIdle is negative: fresh ones are checked as well
				m.failCheck = false
				continue
			}
			m.live++
			m.held[c] = &modelValue{uses: 1}
		} else {
			return
		}
		m.queue = m.queue[1:]
	}
}

func (m *model) tryAcquire() {
	m.rest()
	lease, err := m.p.TryAcquire(context.Background())
	if m.closed {
		require.ErrorIs(m.t, err, pool.ErrClosed)
		return
	}
	for !m.suspended && len(m.idle) > 0 {
		v := m.idle[len(m.idle)-1]
		m.idle = m.idle[:len(m.idle)-1]
		if m.failCheck {
			m.failCheck = false
			m.live--
			continue
		}
		v.uses++
		c := &caller{lease: lease, err: err, done: make(chan struct{})}
		close(c.done)
		m.held[c] = v
		return
	}
	require.ErrorIs(m.t, err, pool.ErrUnavailable)
}

func (m *model) cancel(t *rapid.T) {
	if len(m.queue) == 0 {
		t.Skip("nobody waits")
	}
	i := rapid.IntRange(0, len(m.queue)-1).Draw(t, "waiter")
	c := m.queue[i]
	c.cancel()
	<-c.done
	require.ErrorIs(t, c.err, context.Canceled)
	m.queue = slices.Delete(m.queue, i, i+1)
}

// holder draws one of the leases that are out.
func (m *model) holder(t *rapid.T) *caller {
	if len(m.held) == 0 {
		t.Skip("nobody holds")
	}
	m.rest()
	all := make([]*caller, 0, len(m.held))
	for c := range m.held {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *caller) int { return m.held[a].id - m.held[b].id })
	return rapid.SampledFrom(all).Draw(t, "lease")
}

func (m *model) end(t *rapid.T, end func(pool.Lease[*fake.Value]), discard bool) {
	c := m.holder(t)
	end(c.lease)
	m.ended = append(m.ended, c.lease)
	v := m.held[c]
	delete(m.held, c)
	retired := discard || v.stale || v.uses >= modelMaxUses
	if !retired && m.failReset {
		m.failReset = false
		retired = true
	}
	if retired || m.live > m.size {
		m.live--
	} else {
		m.idle = append(m.idle, v)
	}
	m.settle()
}

func (m *model) detach(t *rapid.T) {
	c := m.holder(t)
	value := c.lease.Detach()
	require.Equal(t, m.held[c].id, value.ID)
	m.ended = append(m.ended, c.lease)
	delete(m.held, c)
	m.live--
	m.maker.Destroy(value) // its owner's duty now
	m.settle()
}

func (m *model) stale(t *rapid.T) {
	if len(m.ended) == 0 {
		t.Skip("no lease has ended")
	}
	lease := rapid.SampledFrom(m.ended).Draw(t, "ended")
	lease.Release()
	lease.Discard()
	require.Panics(t, func() { lease.Detach() })
	require.Panics(t, func() { lease.Value() })
}

func (m *model) evict() {
	m.p.Evict()
	m.live -= len(m.idle)
	m.idle = nil
	for _, v := range m.held {
		v.stale = true
	}
	m.settle()
}

// single skips what lets several in at once where one of them will fail: which is not determined.
func (m *model) single(t *rapid.T) {
	if len(m.queue) > 1 && (m.failCheck || m.failConstruct) {
		t.Skip("who fails is not determined")
	}
}

func (m *model) resume(t *rapid.T) {
	m.single(t)
	m.p.Resume()
	m.suspended = false
	m.settle()
}

func (m *model) resize(t *rapid.T) {
	m.single(t)
	m.size = rapid.IntRange(1, 4).Draw(t, "size")
	require.NoError(t, m.p.Resize(m.size))
	excess := min(max(m.live-m.size, 0), len(m.idle))
	m.idle = m.idle[excess:] // the longest idle ones
	m.live -= excess
	m.settle()
}

func (m *model) warm(t *rapid.T) {
	n := rapid.IntRange(0, m.size).Draw(t, "n")
	m.rest()
	err := m.p.Warm(context.Background(), n)
	if m.closed {
		require.ErrorIs(t, err, pool.ErrClosed)
		return
	}
	if missing := n - m.live; missing > 0 && m.failConstruct {
		m.failConstruct = false
		require.ErrorIs(t, err, errHook)
		n--
	} else {
		require.NoError(t, err)
	}
	for m.live < n {
		m.live++
		m.made++
		m.idle = append(m.idle, &modelValue{})
	}
	m.settle()
}

func (m *model) panics() {
	if m.closed || m.suspended || len(m.queue) > 0 || len(m.idle) == 0 || m.failCheck {
		return
	}
	m.rest()
	require.PanicsWithValue(m.t, "use", func() {
		_ = m.p.Do(context.Background(), func(context.Context, *fake.Value) error { panic("use") })
	})
	m.idle = m.idle[:len(m.idle)-1]
	m.live--
}

func (m *model) close(t *rapid.T) {
	if !rapid.Bool().Draw(t, "really") || m.closed {
		t.Skip("not now")
	}
	m.closed = true
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.p.Close(ctx); len(m.held) > 0 {
		require.ErrorIs(t, err, context.Canceled)
	}
	for _, c := range m.queue {
		<-c.done
		require.ErrorIs(t, c.err, pool.ErrClosed)
	}
	m.queue = nil
	m.live -= len(m.idle)
	m.idle = nil
	for _, v := range m.held {
		v.stale = true
	}
}
