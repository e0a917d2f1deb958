package sqlite

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/internal/catch"
	"github.com/headpond/headpond/internal/queue"
	"github.com/headpond/headpond/pool"
)

// call is one call of Batch that the runner runs.
type call struct {
	observation
	ctx      context.Context // for use
	caller   catch.Shield    // ctx, for the runner
	label    string          // of ctx
	use      func(ctx context.Context, conn *Conn) error
	function uintptr       // use, or what it was made of
	done     chan struct{} // receives once, when only the caller uses the call any more
	timer    *time.Timer   // of AcquireTimeout, stopped while the call is not queued

	stack    []uintptr       // of the caller; empty if it was not recorded
	started  bool            // use is running, or has ended
	attempts int             // how often use was called
	commit   context.Context // of the events of the commit; nil: there was none, or nobody wants to know
	ending   catch.Ending    // of use; that of a call that does not run is that it returned
	err      error           // that use returned, or why its changes were not committed
	id       uint64          // of the connection; 0: its turn never came
	ran      time.Time       // when use was last called
	size     int             // calls of its batch, if that was committed

	run pool.Run // what the observer is told

	node  queue.Node[*call] // in the queue; belongs to callQueue.mu
	retry bool              // it has run, and runs for the second time; belongs to callQueue.mu while the call is in the queue
}

// finish hands a call back to its caller, with err if it would otherwise have succeeded.
func (c *call) finish(err error) {
	if c.ending.Returned && c.err == nil {
		c.err = err
	}
	c.done <- struct{}{}
}

// fail hands a call that does not run, or not again, back to its caller.
func (c *call) fail(err error) {
	c.ending = catch.Ending{Returned: true}
	c.finish(err)
}

// callQueue is where calls of Batch wait for the runner: first come, first served, but retries before all others.
type callQueue struct {
	mu      sync.Mutex // protects the following
	queue   queue.Queue[*call]
	free    queue.Free[*call]
	running bool // there is a runner
	shared  bool // the last transaction had several calls
	retries int  // in the queue
	stats   BatchStats
	counts  callCounts

	beginning   atomic.Bool  // the runner has the writer, and waits while another process writes
	limit       int          // of the calls in the queue; 0: none
	recordAll   bool         // every call records its caller
	recordUntil atomic.Int64 // in Unix nanoseconds: until then as well
}

// callCounts are what the calls add to the writer's figures: as if each had a lease of its own.
type callCounts struct {
	acquired, released, waited, timedOut, cancelled, saturated uint64
	waitTime                                                   time.Duration
}

// push queues a call, unless as many as may wait already. If first is true, there is no runner: the caller must start one.
func (q *callQueue) push(ctx context.Context, use func(ctx context.Context, conn *Conn) error, function uintptr, seen observation) (queued *call, first bool) {
	records := q.records()
	caller, label := catch.NewShield(ctx), pool.LabelOf(ctx) // before anything changes: its methods are the caller's, and may panic
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.limit > 0 && q.queue.Len() >= q.limit {
		return nil, false
	}
	q.counts.waited++
	c := q.free.Get()
	if c == nil {
		c = &call{done: make(chan struct{}, 1)}
		c.node.Element = c
	}
	c.ctx, c.caller, c.label, c.use, c.function, c.observation = ctx, caller, label, use, function, seen
	if records {
		c.stack = callers(c.stack)
	}
	q.queue.PushBack(&c.node)
	first, q.running = !q.running, true
	return c, first
}

// pushRetries puts calls that are to run again before all others.
// It returns those whose callers have left.
func (q *callQueue) pushRetries(calls []*call) (left []*call) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range slices.Backward(calls) {
		c.retry = true
		if c.caller.Err() != nil { // from now on its caller would not look
			left = append(left, c)
			continue
		}
		c.started = false
		q.retries++
		q.queue.PushFront(&c.node)
	}
	return left
}

// remove takes a call off the queue, and reports whether it was there.
// A retry stays, unless its ctx has ended.
func (q *callQueue) remove(c *call, ended bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !c.node.Queued() || c.retry && !ended {
		return false
	}
	q.takeOff(c)
	return true
}

// pop returns the first call of the queue, or nil if it is empty, and how many wait behind it.
func (q *callQueue) pop() (c *call, behind int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c = q.queue.First(); c != nil {
		q.takeOff(c)
	}
	return c, q.queue.Len()
}

// takeOff takes a call off the queue. The caller holds the lock.
func (q *callQueue) takeOff(c *call) {
	q.queue.Remove(&c.node)
	if c.retry {
		q.retries--
	} else {
		q.counts.waitTime += time.Since(c.began)
	}
}

// popAll returns the calls that had begun by then.
func (q *callQueue) popAll(then time.Time) (all []*call) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for c := q.queue.First(); c != nil && !c.began.After(then); c = q.queue.First() {
		all = append(all, c)
		q.takeOff(c)
	}
	return all
}

// hasRetry reports whether the first call of the queue is a retry.
func (q *callQueue) hasRetry() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := q.queue.First()
	return first != nil && first.retry
}

// empty reports whether no call waits.
func (q *callQueue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.queue.Len() == 0
}

// uncontended reports whether there is no other call to share a transaction with.
func (q *callQueue) uncontended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.running && !q.shared
}

// contended reports whether the last transaction had several calls.
func (q *callQueue) contended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.shared
}

// stop reports whether no call waits. Then the runner must end: the next call starts another one.
func (q *callQueue) stop() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running = q.queue.Len() > 0
	return !q.running
}

// recycle keeps a call that its caller is done with, for another one.
func (q *callQueue) recycle(c *call) {
	q.mu.Lock()
	defer q.mu.Unlock()
	*c = call{done: c.done, timer: c.timer, stack: c.stack[:0], node: queue.Node[*call]{Element: c}}
	q.free.Put(&c.node)
}

// countCommitted counts a transaction of so many calls.
func (q *callQueue) countCommitted(calls int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shared = calls > 1
	q.stats.Batches++
	q.stats.Calls += uint64(calls)
	q.stats.Largest = max(q.stats.Largest, calls)
}

// retried counts a call that runs again.
func (q *callQueue) retried() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.Retries++
}

// records reports whether a call that begins now records its caller.
func (q *callQueue) records() bool {
	return q.recordAll || q.recordUntil.Load() > 0 && time.Now().UnixNano() < q.recordUntil.Load()
}

// recordFor is for how long calls record their callers after one that waited in vain, as those of a pool do.
const recordFor = time.Minute

// countAcquired counts a call whose turn has come.
func (q *callQueue) countAcquired() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.counts.acquired++
}

// countReleased counts a call that has had its turn.
func (q *callQueue) countReleased() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.counts.released++
}

// countRefused counts a call whose turn never came.
func (q *callQueue) countRefused(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case errors.Is(err, pool.ErrSaturated):
		q.counts.saturated++
	case errors.Is(err, context.Canceled):
		q.counts.cancelled++
	case errors.Is(err, context.DeadlineExceeded): // AcquireTimeout, too
		q.counts.timedOut++
		q.recordUntil.Store(time.Now().Add(recordFor).UnixNano())
	}
}

// currentStats returns the figures of now.
func (q *callQueue) currentStats() BatchStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	stats := q.stats
	stats.Waiting, stats.MaxWaiting = q.queue.Len()-q.retries, q.limit
	return stats
}

// addTo adds the calls to the writer's figures.
func (q *callQueue) addTo(stats *pool.Stats) {
	q.mu.Lock()
	defer q.mu.Unlock()
	stats.Waiting += q.queue.Len() - q.retries
	for c := range q.queue.All {
		if !c.retry {
			stats.OldestWait = max(stats.OldestWait, time.Since(c.began))
			break
		}
	}
	stats.Acquired += q.counts.acquired
	stats.Released += q.counts.released
	stats.Waited += q.counts.waited
	stats.WaitTime += q.counts.waitTime
	stats.TimedOut += q.counts.timedOut
	stats.Cancelled += q.counts.cancelled
	stats.Saturated += q.counts.saturated
}
