package sqlite

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/headpond/headpond/internal/ctxerr"
	"github.com/headpond/headpond/pool"
)

// session is the writer as a runner needs it: how each step is done. Which step is next, with which call,
// who runs again and who is told what, is for the runner to say.
type session interface {
	// closing reports whether nothing is to begin any more.
	closing() bool

	// acquire waits for the writer. It returns false without an error if it was not to be had in time: each call in the queue has a limit of its own.
	acquire() (ok bool, err error)

	// id is that of the connection.
	id() uint64

	// begin begins a transaction. It waits while another process writes.
	begin() error

	// run runs a call in a savepoint, and sets its ending and its err. It does not return if the call ends the goroutine.
	run(c *call)

	// verify looks at what a call that has run left of the transaction. The error is that of a call which did not say so itself.
	verify(c *call) (remains, error)

	// commit commits the transaction, or rolls it back and returns why.
	commit() error

	// rollBack ends a transaction that does not go on.
	rollBack()

	// usable reports whether the connection can go on as it is: nothing has left it changed, or broken.
	usable() bool

	// release gives the writer back. It may end the goroutine.
	release()

	// refuse returns the error of a call that does not run, after it has waited for so long.
	refuse(err error, waited time.Duration) error
}

// remains says what a call left of a transaction that it shares.
type remains uint8

const (
	kept   remains = iota // its changes are part of the transaction
	undone                // its changes were rolled back, those of the others stay
	lost                  // the transaction is over, or can't go on
)

// runner decides in which order calls of Batch run, and with which others. It goes on until none are left, and belongs to a goroutine;
// if a call ends that with runtime.Goexit, another goroutine goes on with the runner as it stands.
type runner struct {
	session session
	queue   *callQueue
	events  *batchEvents
	most    int           // calls of a transaction
	longest time.Duration // after that no more are added to it

	held     bool      // the session has the writer
	opened   bool      // a transaction of ours is open:
	began    time.Time // since then,
	calls    int       // with so many calls up to now,
	retrying bool      // for one call that runs again
	done     []*call   // in the open transaction, to be committed
	current  *call     // the one that runs, or has run and was not looked at

	told      bool // the observer, of the commit of the open transaction, with commitCtx for its events
	commitCtx context.Context
}

func (r *runner) run() {
	over := false
	defer func() {
		if !over {
			go r.run()
		}
	}()
	for r.current != nil || r.next() {
		if !r.current.started {
			r.session.run(r.current)
		}
		r.settle()
	}
	over = true
}

// next makes the next call the current one, in an open transaction. It reports false when none is left.
func (r *runner) next() bool {
	for {
		if r.session.closing() {
			r.failAll(r.session.refuse(pool.ErrClosed, 0), time.Now())
		}
		if r.opened {
			if r.pick() {
				return true
			}
			r.commit()
		}
		if r.held && (!r.session.usable() || !r.queue.hasRetry()) {
			r.held = false      // first: it may end this goroutine
			r.session.release() // its reset mends the connection or ends it; and Write may be waiting
		}
		if !r.held && r.queue.stop() {
			return false
		}
		r.yield()
		r.begin()
	}
}

// begin begins a transaction, or fails the calls that have waited for one that is not to be had.
func (r *runner) begin() {
	since, err := time.Now(), error(nil)
	if !r.held {
		r.held, err = r.session.acquire()
	}
	if err == nil && r.held {
		since = time.Now()
		r.queue.beginning.Store(true)
		if err = r.session.begin(); err == nil {
			r.opened, r.began, r.calls, r.retrying = true, time.Now(), 0, false
		}
	}
	if err != nil {
		r.failAll(err, since)
	}
	r.queue.beginning.Store(false) // now: until here the calls that wait are not told of a timeout
}

// pick makes the call that runs next in the open transaction the current one. It reports false if the transaction is complete.
func (r *runner) pick() bool {
	for r.calls == 0 || r.session.usable() && !r.retrying && r.calls < r.most && time.Since(r.began) < r.longest {
		call, behind := r.queue.pop()
		if call == nil {
			r.yield()
			call, behind = r.queue.pop()
		}
		if call == nil {
			return false
		}
		if call.caller.Err() != nil {
			call.fail(r.session.refuse(ctxerr.Ended(&call.caller), time.Since(call.began)))
			continue
		}
		r.calls++
		r.current = call // first: what the observer does may end this goroutine
		if call.retry {
			r.retrying = true
			r.queue.retried()
			return true
		}
		call.id = r.session.id()
		r.queue.countAcquired()
		r.events.acquired(call.observation, pool.Event{ID: call.id, Source: pool.Handoff, Shared: min(r.calls+behind, r.most)})
		return true
	}
	return false
}

// yield lets those callers run that have just been told of their commit, and call again:
// they double what shares a transaction. It does nothing if the last transaction had one call.
func (r *runner) yield() {
	if r.queue.contended() {
		runtime.Gosched()
	}
}

// settle decides what becomes of the current call, which has run, and of those that ran before it.
func (r *runner) settle() {
	call := r.current
	r.current = nil
	switch left, err := r.session.verify(call); left {
	case kept:
		r.done = append(r.done, call)
	case undone:
		call.finish(err)
	case lost:
		call.finish(err)
		r.opened = false
		r.session.rollBack()
		r.runAgain()
	}
}

// runAgain puts the calls of a transaction that was lost back into the queue: each runs again, in a transaction of its own.
func (r *runner) runAgain() {
	for _, call := range r.queue.pushRetries(r.done) {
		call.fail(r.session.refuse(ctxerr.Ended(&call.caller), time.Since(call.began)))
	}
	r.done = r.done[:0]
}

// commit ends the open transaction.
func (r *runner) commit() {
	if len(r.done) == 0 {
		r.opened = false
		r.session.rollBack()
		return
	}
	if !r.told {
		r.told, r.commitCtx = true, nil // first: what the observer does may end this goroutine
		if slices.ContainsFunc(r.done, func(c *call) bool { return c.observation.ctx != nil }) {
			r.commitCtx = r.events.committing(len(r.done))
		}
	}
	r.opened, r.told = false, false
	calls, began := len(r.done), time.Now()
	err := r.session.commit()
	defer r.finish(err) // also if the observer ends this goroutine
	for _, call := range r.done {
		call.commit = r.commitCtx
	}
	switch {
	case err == nil:
		r.queue.countCommitted(calls)
		for _, call := range r.done {
			call.size = calls
		}
	case len(r.done) > 1 && !errors.Is(err, ErrOutcomeUnknown): // each of them may be what the others suffer from
		r.runAgain()
	}
	r.events.committed(r.commitCtx, pool.Event{Shared: calls, Took: time.Since(began), Err: err})
}

// finish hands the calls of a transaction back to their callers.
func (r *runner) finish(err error) {
	for _, call := range r.done {
		call.finish(err)
	}
	r.done = r.done[:0]
}

// failAll fails the calls that have waited since then: there is no transaction to be had.
func (r *runner) failAll(err error, then time.Time) {
	for _, call := range r.queue.popAll(then) {
		call.fail(err)
	}
}
