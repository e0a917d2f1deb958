package pool_test

import (
	"context"
	"errors"
	"slices"
	"sync"
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
	build  *modelBuild // what is being built for it; nil: it waits in the queue, or not at all
}

// callerKeyOfModel is the key of the caller in the ctx of its Acquire, and so in that of the Construct for it.
type callerKeyOfModel struct{}

// modelBuild is a Construct that takes until the model lets it go on.
type modelBuild struct {
	caller *caller // that it began for
	stale  bool    // Evict came meanwhile
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
	maxIdle           int  // 0: no bound
	maxBuilds         int  // 0: no bound
	slow              bool // Constructs that begin now take until the model lets them go on
	builds            []*modelBuild
	suspended, closed bool
	made, live        int
	idle              []*modelValue
	queue             []*caller
	held              map[*caller]*modelValue
	ended             []pool.Lease[*fake.Value]

	failConstruct, failCheck, failReset bool // the next one fails; the hooks and the model take it back
	probing                             bool // a Construct has failed, and none has succeeded since
	hooks                               struct{ construct, check, reset, slow, hang atomic.Bool }

	mu      sync.Mutex
	waiting map[*caller][]chan struct{} // for which its builds wait, in the order in which they began
}

var errHook = errors.New("hook failed")

func runModel(t *rapid.T, observer pool.Observer) {
	m := &model{t: t, maker: &fake.Maker{}, size: rapid.IntRange(1, 4).Draw(t, "size"), held: map[*caller]*modelValue{}, waiting: map[*caller][]chan struct{}{}}
	hooks := m.maker.Hooks()
	fail := func(once *atomic.Bool, next func() error) error {
		if once.CompareAndSwap(true, false) {
			return errHook
		}
		return next()
	}
	construct, check, reset := hooks.Construct, hooks.Check, hooks.Reset
	hooks.Construct = func(ctx context.Context) (value *fake.Value, err error) {
		if c, ok := ctx.Value(callerKeyOfModel{}).(*caller); ok && m.hooks.slow.Load() {
			goOn := make(chan struct{})
			m.mu.Lock()
			m.waiting[c] = append(m.waiting[c], goOn)
			m.mu.Unlock()
			select {
			case <-goOn:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return construct(ctx)
		}
		err = fail(&m.hooks.construct, func() error { value, err = construct(ctx); return err })
		return value, err
	}
	hooks.Check = func(ctx context.Context, v *fake.Value) error {
		if m.hooks.hang.CompareAndSwap(true, false) {
			<-ctx.Done()
			return ctx.Err()
		}
		return fail(&m.hooks.check, func() error { return check(ctx, v) })
	}
	hooks.Reset = func(ctx context.Context, v *fake.Value) error {
		return fail(&m.hooks.reset, func() error { return reset(ctx, v) })
	}
	var err error
	if m.maxIdle = rapid.IntRange(0, 2).Draw(t, "maxIdle"); m.maxIdle > m.size {
		m.maxIdle = 0
	}
	m.maxBuilds = rapid.IntRange(0, 2).Draw(t, "maxBuilds")
	m.p, err = pool.New(hooks, pool.Options{
		MaxSize: m.size, MaxIdle: m.maxIdle, MaxConstructing: m.maxBuilds, AcquireTimeout: -1, Observer: observer,
		Policy: resource.Policy{CheckAfterIdle: -1, MaxUses: modelMaxUses, ConstructTimeout: -1},
	})
	require.NoError(t, err)
	defer func() { // if it failed, nothing may be left waiting
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = m.p.Close(ctx)
	}()
	t.Repeat(map[string]func(*rapid.T){
		"Acquire":     func(*rapid.T) { m.acquire() },
		"AcquireMore": func(*rapid.T) { m.acquire(); m.acquire(); m.acquire() },
		"TryAcquire":  func(*rapid.T) { m.tryAcquire() },
		"Cancel":      m.cancel,
		"Release":     func(t *rapid.T) { m.end(t, pool.Lease[*fake.Value].Release, false) },
		"Discard":     func(t *rapid.T) { m.end(t, pool.Lease[*fake.Value].Discard, true) },
		"Detach":      m.detach,
		"Stale":       m.stale,
		"Evict":       func(*rapid.T) { m.evict() },
		"Resize":      m.resize,
		"Suspend":     func(*rapid.T) { m.p.Suspend(); m.suspended = true },
		"Resume":      m.resume,
		"Warm":        m.warm,
		"Panic":       func(*rapid.T) { m.panics() },
		"Slow":        m.slowDown,
		"FinishBuild": m.finishBuild,
		"CutShort":    m.cutShort,
		"FailConstruct": func(t *rapid.T) {
			if m.slow || len(m.builds) > 0 {
				t.Skip("who fails is not determined")
			}
			m.failConstruct = true
			m.hooks.construct.Store(true)
		},
		"FailCheck": func(*rapid.T) { m.failCheck = true; m.hooks.check.Store(true) },
		"FailReset": func(*rapid.T) { m.failReset = true; m.hooks.reset.Store(true) },
		"Close":     m.close,
		"":          func(*rapid.T) { m.compare() },
	})
	m.failCheck, m.failConstruct = false, false
	m.hooks.check.Store(false)
	m.hooks.construct.Store(false)
	m.resume(t)
	m.compare()
	for len(m.builds) > 0 {
		m.finish(m.builds[0])
		m.compare()
	}
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
	require.Equal(m.t, len(m.queue), stats.Waiting+stats.WaitingForBuild, "waiting")
	require.Equal(m.t, m.building(), stats.WaitingForBuild, "waiting for a build")
	require.Zero(m.t, stats.Checking)
	require.Equal(m.t, len(m.idle), stats.Idle, "idle")
	require.Equal(m.t, len(m.held), stats.Held, "held")
	require.Equal(m.t, len(m.builds), stats.Constructing, "constructing")
	require.Zero(m.t, stats.Destroying)
	require.Equal(m.t, m.live, stats.Live())
	require.EqualValues(m.t, m.made, stats.Created)
	require.EqualValues(m.t, len(m.held), stats.Acquired-stats.Released)
	var destroyed uint64
	for _, n := range stats.Destroyed {
		destroyed += n
	}
	require.EqualValues(m.t, m.live-len(m.builds), stats.Created-destroyed-stats.Detached)
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
	ctx = context.WithValue(ctx, callerKeyOfModel{}, c)
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

// building returns for how many callers a value is being built.
func (m *model) building() (n int) {
	for _, c := range m.queue {
		if c.build != nil {
			n++
		}
	}
	return n
}

// leave takes a caller out of the queue. What is being built for it goes on.
func (m *model) leave(c *caller) {
	c.build = nil
	m.queue = slices.DeleteFunc(m.queue, func(other *caller) bool { return other == c })
}

// next is the caller that gets the next slot, nil if there is none.
func (m *model) next() *caller {
	if m.live >= m.size || m.maxBuilds > 0 && len(m.builds) >= m.maxBuilds {
		return nil
	}
	for _, c := range m.queue {
		if c.build == nil {
			return c
		}
	}
	return nil
}

// settle gives the model's values and slots to the model's waiters.
func (m *model) settle() {
	for len(m.queue) > 0 && !m.suspended {
		if n := len(m.idle); n > 0 {
			v := m.idle[n-1]
			m.idle = m.idle[:n-1]
			if m.failCheck {
				m.failCheck = false
				m.live--
				m.queue[0].build = nil // its build is the next one's
				continue
			}
			v.uses++
			m.held[m.queue[0]] = v
			m.leave(m.queue[0])
			continue
		}
		c := m.next()
		if c == nil {
			return
		}
		if m.slow {
			m.live++
			c.build = &modelBuild{caller: c}
			m.builds = append(m.builds, c.build)
			continue
		}
		if m.failConstruct {
			m.failConstruct, m.probing = false, true
			m.leave(c)
			m.rest()
			<-c.done
			require.ErrorIs(m.t, c.err, errHook)
			continue
		}
		m.made++
		m.probing = false
		if m.failCheck { // CheckAfterIdle is negative: fresh ones are checked as well
			m.failCheck = false
			continue
		}
		m.live++
		m.held[c] = &modelValue{uses: 1}
		m.leave(c)
	}
}

// slowDown has the Constructs for callers that begin from now on take their time, or not any more.
func (m *model) slowDown(t *rapid.T) {
	if m.failConstruct || m.failCheck {
		t.Skip("who fails is not determined")
	}
	if m.probing {
		t.Skip("when a second build begins beside one that is slow depends on how long earlier ones took")
	}
	m.rest()
	m.slow = !m.slow
	m.hooks.slow.Store(m.slow)
}

func (m *model) finishBuild(t *rapid.T) {
	if len(m.builds) == 0 || m.failCheck || m.failConstruct {
		t.Skip("nothing is being built")
	}
	m.finish(rapid.SampledFrom(m.builds).Draw(t, "build"))
}

// finish has a build succeed: what is built goes to its caller, if that still waits, else to the first waiter, else it is idle.
func (m *model) finish(b *modelBuild) {
	m.rest()
	i := 0 // of the builds that began for the same caller
	for _, other := range m.builds {
		if other == b {
			break
		} else if other.caller == b.caller {
			i++
		}
	}
	m.mu.Lock()
	waiting := m.waiting[b.caller]
	close(waiting[i])
	m.waiting[b.caller] = slices.Delete(waiting, i, i+1)
	m.mu.Unlock()
	m.builds = slices.DeleteFunc(m.builds, func(other *modelBuild) bool { return other == b })
	m.made++
	if b.stale {
		m.live--
		if b.caller.build == b {
			b.caller.build = nil
		}
		m.settle()
		return
	}
	if b.caller.build == b {
		m.held[b.caller] = &modelValue{uses: 1}
		m.leave(b.caller)
	} else if m.live > m.size {
		m.live--
	} else {
		m.idle = append(m.idle, &modelValue{})
	}
	m.settle()
}

// cutShort has an acquire end while a Check runs that would pass: that costs no value.
func (m *model) cutShort(t *rapid.T) {
	if m.closed || m.suspended || len(m.queue) > 0 || len(m.idle) == 0 || m.failCheck {
		t.Skip("nothing is checked")
	}
	m.rest()
	m.hooks.hang.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	acquire := m.p.Acquire
	if rapid.Bool().Draw(t, "try") {
		acquire = m.p.TryAcquire
	}
	_, err := acquire(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func (m *model) tryAcquire() {
	m.rest()
	lease, err := m.p.TryAcquire(context.Background())
	if m.closed {
		require.ErrorIs(m.t, err, pool.ErrClosed)
		return
	}
	for !m.suspended && len(m.idle) > 0 && len(m.queue) == 0 {
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
	m.leave(c)
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
	if retired || m.live > m.size || m.maxIdle > 0 && len(m.idle) >= m.maxIdle && (m.suspended || len(m.queue) == 0) {
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
	for _, b := range m.builds {
		b.stale = true
	}
	m.settle()
}

// single skips what lets several in at once if one of them will fail: which is not determined.
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
	if len(m.builds) > 0 {
		t.Skip("it would wait for them")
	}
	if m.failConstruct && m.maxBuilds > 0 {
		t.Skip("how many begin before one fails is not determined")
	}
	m.rest()
	err := m.p.Warm(context.Background(), n)
	if m.closed {
		require.ErrorIs(t, err, pool.ErrClosed)
		return
	}
	if missing := n - m.live; missing > 0 && m.failConstruct {
		m.failConstruct, m.probing = false, true
		require.ErrorIs(t, err, errHook)
		n--
	} else {
		require.NoError(t, err)
	}
	for m.live < n {
		m.live++
		m.made++
		m.probing = false
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
	if err := m.p.Close(ctx); len(m.held) > 0 { // builds may end before it looks at ctx
		require.ErrorIs(t, err, context.Canceled)
	}
	for _, c := range m.queue {
		<-c.done
		require.ErrorIs(t, c.err, pool.ErrClosed)
	}
	m.queue = nil
	m.live -= len(m.builds)
	m.builds = nil
	m.live -= len(m.idle)
	m.idle = nil
	for _, v := range m.held {
		v.stale = true
	}
}
