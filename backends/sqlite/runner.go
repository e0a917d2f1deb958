package sqlite

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"time"

	"github.com/headpond/headpond/pool"
)

// runner runs works on the writer until none are left. It is a goroutine's own;
// where a work calls runtime.Goexit that ends, and another one goes on with the runner as it stands.
type runner struct {
	*batches
	lease pool.Lease[*Conn]
	marks context.Context // of the lease, for the ctx of works
	s     *state          // of the lease; nil: there is none

	opened bool      // a transaction of ours is open:
	began  time.Time // since then,
	lost   int32     // with this many lost before,
	works  int       // with so many works up to now,
	alone  bool      // for one work that runs again
	crowd  bool      // the last one had several
	last   bool      // the connection is not to be used any further: it was left changed, or broken

	done    []*work // in the open transaction, to be committed
	current *work   // the one that runs, or has run and was not looked at
	turn    *turn   // of the current one: what it leaves behind may look at its ctx for ever
}

func (r *runner) run() {
	over := false
	defer func() {
		if !over {
			go r.run()
		}
	}()
	for r.current != nil || r.next() {
		if r.current.fate == pending {
			r.perform()
		}
		r.judge()
	}
	over = true
}

// next makes the next work the current one, in an open transaction. It reports false when none is left.
func (r *runner) next() bool {
	for {
		if r.db.files.interrupted.Load() { // by Close
			r.failAll(r.refuse(pool.ErrClosed, 0), time.Now())
		}
		if r.opened {
			if r.pick() {
				return true
			}
			r.commit()
		}
		if r.last || !r.owes() {
			r.release() // whose reset mends the connection or ends it; and Write may be waiting
		}
		if r.s == nil && r.stop() {
			return false
		}
		r.yield()
		since := time.Now()
		err := r.acquire()
		if err == nil && r.s != nil {
			since = time.Now()
			err = r.begin()
		}
		if err != nil {
			r.failAll(err, since)
		}
		r.beginning.Store(false) // now: until here who waits is not told of a timeout
	}
}

// pick makes the work that runs next in the open transaction the current one. It reports false where that is complete.
func (r *runner) pick() bool {
	options := r.db.files.options
	for r.works == 0 || !r.last && !r.alone && r.works < options.MaxBatch && time.Since(r.began) < options.MaxBatchTime {
		w, behind := r.take()
		if w == nil {
			r.yield()
			w, behind = r.take()
		}
		if w == nil {
			return false
		}
		if w.ctx.Err() != nil {
			r.fail(w, r.refuse(ended(w.ctx), time.Since(w.call.began)))
			continue
		}
		r.works++
		r.current = w // first: what the observer does may end this goroutine
		if w.again {
			r.alone = true
			r.ranAgain()
			return true
		}
		w.id = r.lease.ID()
		r.acquired(w.call, pool.Event{ID: w.id, Source: pool.Handoff, Batch: min(r.works+behind, options.MaxBatch)})
		return true
	}
	return false
}

// yield lets those run who have just been told of their commit, and call again:
// they double what shares a transaction. It waits for nobody where there is no crowd.
func (r *runner) yield() {
	if r.crowd {
		runtime.Gosched()
	}
}

// acquire waits for the writer. It returns nil without it where it was not to be had in time:
// each in the queue has a limit of its own.
func (r *runner) acquire() error {
	if r.s != nil {
		return nil
	}
	lease, err := r.db.writer.Acquire(r.background)
	switch {
	case errors.Is(err, pool.ErrSaturated): // as many wait for Write as may
		time.Sleep(time.Millisecond)
		return nil
	case errors.Is(err, pool.ErrAcquireTimeout):
		return nil
	case err != nil:
		return err
	}
	r.lease, r.marks, r.last = lease, lease.Context(context.Background()), false
	r.s, _ = stateOf(lease.Value())
	return nil
}

// begin begins a transaction on the writer. It waits while another process writes.
func (r *runner) begin() error {
	r.beginning.Store(true)
	err := r.s.run(beginImmediate)
	if err != nil {
		return r.s.blame(r.background, err)
	}
	r.s.refuseCommits(true)
	r.opened, r.began, r.lost, r.works, r.alone = true, time.Now(), r.s.lost(), 0, false
	return nil
}

// perform runs the current work. It does not return where that calls runtime.Goexit.
func (r *runner) perform() {
	w := r.current
	w.fate, w.ran = exited, time.Now()
	r.turn = &turn{Context: w.ctx, db: r.db, what: "Batch", marks: r.marks}
	if err := r.s.run(savepoint); err != nil {
		w.fate, w.err = returned, err
		return
	}
	r.inside.Store(reflect.ValueOf(w.use).Pointer())
	r.s.arm(w.ctx)
	defer func() {
		if w.fate == exited {
			if thrown := recover(); thrown != nil {
				w.fate, w.thrown = panicked, thrown
			}
		}
	}()
	w.err = w.use(r.turn, r.s.conn)
	w.fate = returned
}

// judge looks at what the current work left of the transaction.
func (r *runner) judge() {
	w, s := r.current, r.s
	r.current = nil
	r.inside.Store(0)
	r.turn.over.Store(true)
	if s.closed() {
		r.lose(w, errClosed)
		return
	}
	s.disarm()
	w.err = refused(s.blame(w.ctx, w.err))
	err := s.intact(w.ctx, r.lost)
	if s.interrupted() && w.ctx.Err() != nil {
		s.rearm()
	}
	r.last = s.changed() || s.suspect(w.err)
	if s.autocommit() || s.lost() != r.lost {
		r.lose(w, err)
		return
	}
	if left := s.leftover(); err == nil {
		err = left
	}
	if w.fate == returned && w.err == nil && err == nil {
		if err := s.run(release); err != nil {
			r.lose(w, fmt.Errorf("headpond/sqlite: batch: its savepoint is gone: %w", err))
			return
		}
		r.done = append(r.done, w)
		return
	}
	if err := errors.Join(s.run(rollbackTo), s.run(release)); err != nil {
		r.lose(w, fmt.Errorf("headpond/sqlite: batch: its savepoint can't be rolled back: %w", err))
		return
	}
	r.finish(w, err)
}

// lose gives up the transaction, which w lost: the others run again, each alone.
func (r *runner) lose(w *work, err error) {
	r.finish(w, err)
	r.rollback()
	r.runAgain()
}

// rollback ends a transaction that can't go on.
func (r *runner) rollback() {
	r.opened = false
	r.s.rollBack()
	r.last = r.last || r.s.closed() || !r.s.autocommit()
}

// runAgain puts the works of a transaction that was lost back into the queue.
func (r *runner) runAgain() {
	for _, w := range r.requeue(r.done) {
		r.fail(w, r.refuse(ended(w.ctx), time.Since(w.call.began)))
	}
	r.done = r.done[:0]
}

func (r *runner) commit() {
	r.opened = false
	if len(r.done) == 0 {
		r.rollback()
		return
	}
	r.s.refuseCommits(false)
	if err := r.s.run(commit); err != nil {
		r.last = r.s.suspect(err) || r.last
		err = r.s.blame(r.background, err)
		r.rollback()
		if len(r.done) > 1 {
			r.runAgain()
			return
		}
		r.finish(r.done[0], err)
		r.done = r.done[:0]
		return
	}
	r.crowd = len(r.done) > 1
	r.committed(len(r.done))
	for _, w := range r.done {
		w.size = len(r.done)
		r.finish(w, nil)
	}
	r.done = r.done[:0]
}

// finish hands a work back to its caller, with err where it would otherwise have succeeded.
func (r *runner) finish(w *work, err error) {
	if w.fate == returned && w.err == nil {
		w.err = err
	}
	w.done <- struct{}{}
}

// fail hands a work that does not run, or not again, back to its caller.
func (r *runner) fail(w *work, err error) {
	w.fate = returned
	r.finish(w, err)
}

// failAll fails those who have waited since then: there is no transaction to be had.
func (r *runner) failAll(err error, then time.Time) {
	for _, w := range r.takeAll(then) {
		r.fail(w, err)
	}
}

func (r *runner) release() {
	if r.s != nil {
		r.s = nil // first: what Options.OnFinding does may end this goroutine
		r.lease.Release()
	}
}
