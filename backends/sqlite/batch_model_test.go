package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/catch"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// TestRunner_Model runs calls with a session of which every step can end in every way, while other calls come and callers leave.
// It looks at each step whether it may be taken, and in the end what became of each call.
func TestRunner_Model(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		plan := rapid.SliceOfN(rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2, 3, 1, 2, 3, 4, 8}), 400, 400).Draw(r, "plan")
		limits := rapid.SampledFrom([]runner{{most: 1, longest: time.Hour}, {most: 3, longest: time.Hour}, {most: 9, longest: time.Second}}).Draw(r, "limits")
		first := rapid.IntRange(1, 6).Draw(r, "first")
		synctest.Test(t, func(*testing.T) {
			m := &modelSession{t: r, plan: plan}
			m.events.tap = &pool.Tap{
				Enabled: func(context.Context) bool { return true },
				Begin:   func(ctx context.Context, _ pool.Event) context.Context { return ctx },
				End:     m.told,
			}
			m.runner = runner{session: m, queue: &m.queue, events: &m.events, most: limits.most, longest: limits.longest}
			for range 5 {
				m.waits = true
				for range first {
					m.arrive()
				}
				m.waits = false
				go m.runner.run()
				for range 2 { // a call that arrives at the end of a runner starts another one
					for m.running() {
						time.Sleep(time.Second)
					}
					m.callers.Wait()
				}
				m.look()
			}
		})
	})
}

// modelSession is a session whose steps end as a plan says; if that is used up, well.
type modelSession struct {
	t       *rapid.T
	plan    []int
	runner  runner
	queue   callQueue
	events  batchEvents
	callers sync.WaitGroup

	calls  []*modelCall
	waits  bool // the runner does not begin yet
	closed bool

	held, opened, tainted bool
	transactions          int // of the lease
	began                 time.Time
	ran                   []*modelCall // in the open transaction
	part                  []*modelCall // of them, those that are to be committed
	order                 []int        // in which calls ran for the first time
	commits               BatchStats
}

// modelCall is what is known of one call.
type modelCall struct {
	number    int
	cancel    context.CancelFunc
	ctx       context.Context
	runs      int
	acquired  int
	endings   atomic.Int32
	err       error
	returned  bool
	committed int
	unknown   bool
	loses     int // transactions that were lost with it, for no fault of its own
}

var (
	errModelRefused = errors.New("refused")
	errModelCall    = errors.New("the call's own")
	errModelCommit  = errors.New("the commit failed")
)

// choose returns what happens of n things; mostly 0.
func (m *modelSession) choose(n int) int {
	if len(m.plan) == 0 {
		return 0
	}
	choice := m.plan[0]
	m.plan = m.plan[1:]
	if choice >= n {
		return 0
	}
	return choice
}

// meanwhile lets something else happen.
func (m *modelSession) meanwhile() {
	switch m.choose(4) {
	case 1:
		m.arrive()
	case 2:
		if living := slices.DeleteFunc(slices.Clone(m.calls), func(c *modelCall) bool { return c.endings.Load() > 0 || c.ctx.Err() != nil }); len(living) > 0 {
			living[m.choose(len(living))].cancel()
			if m.choose(2) == 0 {
				time.Sleep(time.Nanosecond) // its caller leaves, if it can
			}
		}
	case 3:
		time.Sleep(time.Second)
	}
}

// arrive lets a caller come, as batcher.do does.
func (m *modelSession) arrive() {
	if len(m.calls) == 40 {
		return
	}
	c := &modelCall{number: len(m.calls)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	m.calls = append(m.calls, c)
	use := func(context.Context, *Conn) error { return nil }
	queued, first := m.queue.push(context.WithValue(c.ctx, modelKey{}, c), use, 0, observation{began: time.Now(), ctx: context.WithValue(c.ctx, modelKey{}, c)})
	time.Sleep(time.Nanosecond) // no two come at the same time
	m.callers.Go(func() {
		defer c.cancel()
		over := c.ctx.Done()
		for {
			select {
			case <-queued.done:
				c.endings.Add(1)
				c.err, c.returned = queued.err, queued.ending.Returned
				return
			case <-over:
				over = nil
				if m.queue.remove(queued, true) {
					queued.fail(context.Canceled)
				}
			}
		}
	})
	if first && !m.waits {
		go m.runner.run()
	}
}

// standingSession is the session of a writer that is not to be had, for a runner whose clock stands still.
type standingSession struct {
	modelSession
	closed bool
	asked  int
}

func (s *standingSession) closing() bool { return s.closed }

func (s *standingSession) acquire() (bool, error) {
	if s.asked++; s.asked > 10 {
		panic("the runner goes round")
	}
	return false, errModelRefused
}

// Calls that came at the very moment at which there is no transaction to be had fail, too: the clock may be coarse.
func TestRunner_FailsCallsOfTheSameMoment(t *testing.T) {
	for name, closed := range map[string]bool{"closing": true, "no writer": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &standingSession{closed: closed}
				r := runner{session: s, queue: &s.queue, events: &s.events, most: 1, longest: time.Hour}
				var calls []*call
				for range 3 {
					queued, _ := s.queue.push(t.Context(), nil, 0, observation{began: time.Now()})
					calls = append(calls, queued)
				}
				r.run()
				for _, call := range calls {
					<-call.done
					assert.ErrorIs(t, call.err, errModelRefused)
				}
			})
		})
	}
}

type modelKey struct{}

func modelOf(ctx context.Context) *modelCall { return ctx.Value(modelKey{}).(*modelCall) }

func (m *modelSession) told(ctx context.Context, event pool.Event) {
	if event.Op == pool.Acquire {
		modelOf(ctx).acquired++
	}
	if m.choose(3) == 2 {
		runtime.Goexit()
	}
}

func (m *modelSession) closing() bool {
	if !m.closed && m.choose(9) == 8 && m.choose(9) == 8 {
		m.closed = true
	}
	return m.closed
}

func (m *modelSession) acquire() (bool, error) {
	assert.False(m.t, m.held, "acquire: it has the writer")
	m.meanwhile()
	switch m.choose(3) {
	case 1:
		return false, nil
	case 2:
		return false, errModelRefused
	}
	m.held, m.tainted, m.transactions = true, false, 0
	return true, nil
}

func (m *modelSession) id() uint64 { return 7 }

func (m *modelSession) begin() error {
	assert.True(m.t, m.held, "begin: without the writer")
	assert.False(m.t, m.opened, "begin: a transaction is open")
	assert.False(m.t, m.tainted, "begin: on a connection that is not usable")
	assert.True(m.t, m.queue.beginning.Load())
	if m.transactions > 0 {
		assert.True(m.t, m.queue.hasRetry(), "begin: the writer goes round between two batches")
	}
	m.meanwhile()
	m.transactions++
	if m.choose(2) == 1 {
		return errModelRefused
	}
	m.opened, m.began, m.ran, m.part = true, time.Now(), nil, nil
	return nil
}

func (m *modelSession) run(call *call) {
	c := modelOf(call.ctx)
	c.runs++
	assert.True(m.t, m.opened, "run: in no transaction")
	assert.False(m.t, m.tainted && len(m.ran) > 0, "run: on a connection that is not usable")
	assert.NoError(m.t, call.ctx.Err(), "run: for a caller that has left")
	assert.Less(m.t, len(m.ran), m.runner.most, "run: past MaxBatch")
	if len(m.ran) > 0 {
		assert.Less(m.t, time.Since(m.began), m.runner.longest, "run: past MaxBatchTime")
		assert.Equal(m.t, 1, m.ran[0].runs, "run: with a call that runs again")
		assert.Equal(m.t, 1, c.runs, "run: again, but not alone")
	}
	if c.runs == 1 {
		m.order = append(m.order, c.number)
	} else {
		assert.Equal(m.t, c.runs-1, c.loses, "run: again, for no reason")
	}
	m.ran = append(m.ran, c)
	call.started, call.ending = true, catch.Ending{}
	catch.Run(func() {
		m.meanwhile()
		switch m.choose(4) {
		case 1:
			call.err = errModelCall
		case 2:
			panic("the call's")
		case 3:
			runtime.Goexit()
		}
	}, func(ending catch.Ending) { call.ending = ending })
}

func (m *modelSession) verify(call *call) (remains, error) {
	c := modelOf(call.ctx)
	m.tainted = m.choose(4) == 3
	well := call.err == nil && call.ending.Returned
	switch m.choose(4) {
	case 1:
		return undone, errModelCall
	case 2:
		for _, other := range m.part {
			other.loses++
		}
		return lost, errModelCall
	}
	if !well {
		return undone, nil
	}
	m.part = append(m.part, c)
	return kept, nil
}

func (m *modelSession) commit() error {
	assert.True(m.t, m.opened, "commit: no transaction")
	assert.NotEmpty(m.t, m.part, "commit: nothing")
	m.opened = false
	m.meanwhile()
	choice := m.choose(3)
	for _, c := range m.part {
		switch choice {
		case 0:
			c.committed++
		case 1:
			c.loses++
		case 2:
			c.unknown = true
		}
	}
	switch choice {
	case 1:
		m.tainted = m.choose(2) == 1
		return errModelCommit
	case 2:
		m.tainted = true
		return ErrOutcomeUnknown
	}
	m.commits.Batches++
	m.commits.Calls += uint64(len(m.part))
	m.commits.Largest = max(m.commits.Largest, len(m.part))
	return nil
}

func (m *modelSession) rollBack() {
	assert.True(m.t, m.opened, "rollBack: no transaction")
	m.opened = false
	if m.choose(3) == 2 {
		m.tainted = true
	}
}

func (m *modelSession) usable() bool { return !m.tainted }

func (m *modelSession) release() {
	assert.True(m.t, m.held, "release: without the writer")
	assert.False(m.t, m.opened, "release: in a transaction")
	m.held = false
	m.meanwhile()
	if m.choose(4) == 3 {
		runtime.Goexit()
	}
}

func (m *modelSession) refuse(err error, _ time.Duration) error {
	return fmt.Errorf("%w: %w", errModelRefused, err)
}

func (m *modelSession) running() bool {
	m.queue.mu.Lock()
	defer m.queue.mu.Unlock()
	return m.queue.running
}

// look looks at how it ended.
func (m *modelSession) look() {
	assert.False(m.t, m.held, "the writer was not given back")
	assert.False(m.t, m.opened)
	assert.False(m.t, m.running())
	assert.False(m.t, m.queue.beginning.Load())
	assert.True(m.t, slices.IsSorted(m.order), "first come, first served: %v", m.order)
	again := 0
	var stats pool.Stats
	m.queue.addTo(&stats)
	for _, c := range m.calls {
		assert.EqualValues(m.t, 1, c.endings.Load(), "call %d", c.number)
		assert.LessOrEqual(m.t, c.runs, 2, "call %d", c.number)
		assert.Equal(m.t, min(c.runs, 1), min(c.acquired, 1), "call %d: its turn is told of", c.number)
		assert.LessOrEqual(m.t, c.acquired, 1, "call %d: once", c.number)
		switch {
		case c.returned && c.err == nil:
			assert.Equal(m.t, 1, c.committed, "call %d: it succeeded", c.number)
		case c.unknown:
			assert.ErrorIs(m.t, c.err, ErrOutcomeUnknown, "call %d", c.number)
			assert.Zero(m.t, c.committed, "call %d", c.number)
		default:
			assert.Zero(m.t, c.committed, "call %d: it failed with %v", c.number, c.err)
		}
		again += max(0, c.runs-1)
		stats.Acquired -= uint64(c.acquired)
	}
	assert.Zero(m.t, stats.Acquired)
	assert.Zero(m.t, stats.Waiting)
	assert.EqualValues(m.t, len(m.calls), stats.Waited)
	m.commits.Retries = uint64(again)
	assert.Equal(m.t, m.commits, m.queue.currentStats())
}
