package sqlite

import (
	"errors"
	"fmt"
	"time"

	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite"
)

// runner runs works on the writer until none are left. It is a goroutine's own;
// where a work calls runtime.Goexit that ends, and another one goes on with the runner as it stands.
type runner struct {
	*batches
	lease pool.Lease[*Conn]
	s     *state // of the lease; nil: there is none

	opened bool      // a transaction of ours is open:
	began  time.Time // since then,
	lost   int32     // with this many lost before,
	alone  bool      // for one work that runs again
	last   bool      // no other work may share it: the last one left the connection changed

	done    []*work // in the open transaction, to be committed
	again   []*work // to run again, each alone
	current *work   // the one that runs, or has run and was not looked at
}

func (r *runner) run() {
	over := false
	defer func() {
		if !over {
			go r.run()
		}
	}()
	for r.current != nil || r.next() {
		if r.current.fate == exited && r.current.ran.IsZero() {
			r.perform()
		}
		r.judge()
	}
	over = true
}

// next makes the next work the current one, in an open transaction. It reports false when none is left.
func (r *runner) next() bool {
	for {
		if r.opened {
			if r.current = r.pick(); r.current != nil {
				return true
			}
			r.commit()
		}
		if len(r.again) == 0 || r.last {
			r.release() // whose reset mends the connection or ends it; and Write may be waiting
		}
		if len(r.again) == 0 && r.stop() {
			return false
		}
		if err := r.open(); err != nil {
			r.failAll(err)
		}
	}
}

// pick returns the work that runs next in the open transaction, nil where that is complete.
func (r *runner) pick() (w *work) {
	if r.last {
		return nil
	}
	if r.alone {
		if len(r.done) > 0 || len(r.again) == 0 {
			return nil
		}
		w, r.again = r.again[0], r.again[1:]
		w.again, w.fate, w.ran = true, exited, time.Time{}
		r.ranAgain()
		return w
	}
	options := r.db.files.options
	if len(r.done) >= options.MaxBatch || time.Since(r.began) >= options.MaxBatchTime {
		return nil
	}
	w, behind := r.take()
	if w != nil && w.observed {
		r.end(w.ctx, pool.Event{
			Op: pool.Acquire, ID: r.lease.ID(), Source: pool.Handoff, Took: time.Since(w.queued),
			Batch: min(len(r.done)+1+behind, options.MaxBatch),
		})
	}
	return w
}

// open begins a transaction on the writer, for one of again or for those in the queue.
// It returns nil without one where the writer was not to be had in time.
func (r *runner) open() error {
	if r.s == nil {
		lease, err := r.db.writer.Acquire(r.background)
		if errors.Is(err, pool.ErrAcquireTimeout) {
			return nil // each in the queue has a limit of its own
		}
		if err != nil {
			return err
		}
		r.lease = lease
		r.s, _ = stateOf(lease.Value())
	}
	if err := r.s.run(beginImmediate); err != nil {
		return err
	}
	r.s.refuseCommits(true)
	r.opened, r.began, r.lost, r.alone, r.last = true, time.Now(), r.s.lost(), len(r.again) > 0, false
	return nil
}

// perform runs the current work. It does not return where that calls runtime.Goexit.
func (r *runner) perform() {
	w := r.current
	w.ran, w.id = time.Now(), r.lease.ID()
	if err := r.s.run(savepoint); err != nil {
		w.fate, w.err = returned, err
		return
	}
	r.s.arm(w.ctx)
	defer func() {
		if w.fate == exited {
			if thrown := recover(); thrown != nil {
				w.fate, w.thrown = panicked, thrown
			}
		}
	}()
	w.err = w.use(w.ctx, r.s.conn)
	w.fate = returned
}

// judge looks at what the current work left of the transaction.
func (r *runner) judge() {
	w := r.current
	r.current = nil
	if r.s.closed() {
		r.lose(w, errClosed)
		return
	}
	r.s.disarm()
	if r.s.interrupted() {
		r.s.rearm()
	}
	if r.s.autocommit() || r.s.lost() != r.lost {
		r.lose(w, ErrRolledBack)
		return
	}
	r.last = r.s.changed()
	good := w.fate == returned && w.err == nil
	var err error
	if r.s.active() > 0 {
		err = fmt.Errorf("headpond/sqlite: batch: a statement was left open: %s", r.s.busyStatement())
		r.s.resetBusy()
	} else if good && r.s.deferredViolations() {
		err = fmt.Errorf("headpond/sqlite: batch: a deferred foreign key is violated: %w", sqlite.ResultConstraintForeignKey.ToError())
	}
	if good && err == nil {
		if err := r.s.run(release); err != nil {
			r.lose(w, fmt.Errorf("headpond/sqlite: batch: its savepoint is gone: %w", err))
			return
		}
		r.done = append(r.done, w)
		return
	}
	if err := errors.Join(r.s.run(rollbackTo), r.s.run(release)); err != nil {
		r.lose(w, fmt.Errorf("headpond/sqlite: batch: its savepoint can't be rolled back: %w", err))
		return
	}
	r.finish(w, err)
}

// lose gives up the transaction, which w lost: the others run again, each alone.
func (r *runner) lose(w *work, err error) {
	r.finish(w, err)
	r.rollback()
	r.again = append(r.again, r.done...)
	r.done = r.done[:0]
}

// rollback ends a transaction that can't go on.
func (r *runner) rollback() {
	r.opened = false
	r.s.rollBack()
	if r.s.closed() || !r.s.autocommit() {
		r.release() // whose reset ends the connection
	}
}

func (r *runner) commit() {
	r.opened = false
	if len(r.done) == 0 {
		r.rollback()
		return
	}
	r.s.refuseCommits(false)
	if err := r.s.run(commit); err != nil {
		r.rollback()
		if len(r.done) > 1 {
			r.again = append(r.again, r.done...)
		} else {
			r.finish(r.done[0], err)
		}
		r.done = r.done[:0]
		return
	}
	r.committed(len(r.done))
	for _, w := range r.done {
		w.size = len(r.done)
		r.finish(w, nil)
	}
	r.done = r.done[:0]
}

// finish hands a work back to its caller, with err where it would otherwise have succeeded.
func (r *runner) finish(w *work, err error) {
	if w.fate == returned {
		if w.err == nil {
			w.err = err
		}
		w.err = withContext(w.ctx, w.err)
	}
	w.done <- struct{}{}
}

// failAll hands all works that wait back to their callers with err: there is no transaction to be had.
func (r *runner) failAll(err error) {
	for _, w := range r.again {
		w.fate = returned
		r.finish(w, err)
	}
	r.again = nil
	for {
		w, _ := r.take()
		if w == nil {
			return
		}
		if w.observed {
			r.end(w.ctx, pool.Event{Op: pool.Acquire, Took: time.Since(w.queued), Err: err})
			w.observed = false
		}
		w.fate = returned
		r.finish(w, err)
	}
}

func (r *runner) release() {
	if r.s != nil {
		r.db.log.trim(r.db, r.s)
		r.lease.Release()
		r.s = nil
	}
}
