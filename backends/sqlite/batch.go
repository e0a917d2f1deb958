package sqlite

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/pool"
)

// Batch runs use in a transaction that concurrent calls may share: a commit that waits for the disk
// then serves all of them. Each has a savepoint of its own. Batch returns nil only after
// the COMMIT that contains the work has succeeded.
//
// Works run one after the other, first come first served, and see what the earlier ones of their batch did.
// One that returns an error, or panics, loses its own changes and nobody else's; Batch returns that error,
// or panics with the same value. A work that leaves a statement open or violates a deferred foreign key
// is rolled back alone as well, with an error that says so.
//
// use may run a second time, alone, and only then: when the shared transaction was lost
// with another work (which ended it itself, or was interrupted by the end of its ctx while it wrote),
// or could not be committed. It should have no effect outside of the database,
// and must not commit or roll back: that is found, undone, and an error that says ErrRolledBack.
//
// Nothing delays a lone call: a batch is what arrived while the one before it ran.
// It ends when nobody waits, with Options.MaxBatch works, or after Options.MaxBatchTime,
// and takes turns with Write in the order of arrival: Write waits for one batch at most.
// A lone call runs on its caller's goroutine, as Write does; a batch on one of the DB's own, which ends with the work.
//
// Where ctx ends, or AcquireTimeout has passed, while the work waits for its turn, it does not run.
// Once it runs, the end of ctx interrupts it, as it does for Write; where it has returned before, it counts.
// The errors before it runs are those of pool.Pool.Acquire, as a *pool.Error, and SQLite's BUSY for all who waited
// while another process wrote for longer than Options.BusyTimeout; Options.MaxWaiters bounds
// those who wait for a batch by themselves. Inside Read, Write or Batch, with the ctx that these hand out,
// it fails with pool.ErrNested; with Options.ReadOnly, with ErrReadOnly.
func (db *DB) Batch(ctx context.Context, use func(ctx context.Context, conn *Conn) error) error {
	return db.batches.do(ctx, use)
}

// BatchStats are the figures of Batch. They only grow.
type BatchStats struct {
	Batches uint64 // transactions that were committed
	Works   uint64 // works that these contained
	Again   uint64 // works that ran a second time
	Largest int    // the most works of one batch
}

// work is one call of Batch that the runner runs.
type work struct {
	call
	ctx   context.Context
	use   func(ctx context.Context, conn *Conn) error
	done  chan struct{} // receives once, when nobody but the caller uses the work any more
	timer *time.Timer   // of AcquireTimeout, stopped while the work is not queued

	fate   fate
	thrown any // what it panicked with
	err    error
	id     uint64    // of the connection; 0: its turn never came
	ran    time.Time // for the last time
	size   int       // works of its batch, where that was committed

	prev, next *work // in the queue; belong to batches.mu
	waiting    bool  // in the queue; belongs to batches.mu
	again      bool  // it has run, and runs for the second time; belongs to batches.mu while the work is in the queue
}

// fate is how the function of a work ended.
type fate uint8

const (
	pending  fate = iota // it did not run
	exited               // it called runtime.Goexit, or is still running
	panicked             // with thrown
	returned             // with err
)

// batches queues the works of a DB, and has a goroutine while there are any.
type batches struct {
	db         *DB
	tap        *pool.Tap      // of the writer, for the leases of works; nil: nobody observes
	background *turn          // of the runner's own leases, of which nobody is told
	runner     runner         // belongs to its goroutine
	beginning  atomic.Bool    // the runner has the writer, and waits while another process writes
	inside     atomic.Uintptr // the function of the work that the runner runs; 0: none

	mu          sync.Mutex // protects the following
	first, last *work      // those that run again are the first
	length      int
	running     bool // there is a runner
	shared      bool // the last transaction had several works
	free        *work
	spare       int
	stats       BatchStats
}

func (b *batches) init(db *DB) {
	b.db, b.runner.batches = db, b
	b.background = &turn{Context: context.Background(), db: db, what: "Batch"}
}

func (b *batches) do(ctx context.Context, use func(ctx context.Context, conn *Conn) error) error {
	if err := b.db.mayWrite(ctx, "Batch"); err != nil {
		return err
	}
	c := b.called(ctx)
	if b.calm() {
		if ran, err := b.alone(ctx, use, c); ran {
			return err
		}
	}
	w, err := b.wait(ctx, use, c)
	if err != nil {
		b.acquired(c, pool.Event{Err: err})
		return err
	}
	b.released(c, pool.Event{ID: w.id, Held: time.Since(w.ran), Batch: w.size, Err: w.err})
	fate, thrown, err := w.fate, w.thrown, w.err
	b.recycle(w)
	switch fate {
	case panicked:
		panic(thrown)
	case exited:
		runtime.Goexit()
	}
	return err
}

// wait queues a work and returns it when it is done. The error is that of one whose turn never came.
func (b *batches) wait(ctx context.Context, use func(ctx context.Context, conn *Conn) error, c call) (*work, error) {
	if ctx.Err() != nil {
		return nil, b.refuse(ended(ctx), 0)
	}
	w, err := b.queue(ctx, use, c)
	if err != nil {
		return nil, err
	}
	var expired <-chan time.Time
	if limit := b.db.writer.Options().AcquireTimeout; limit > 0 {
		if w.timer == nil {
			w.timer = time.NewTimer(limit)
		} else {
			w.timer.Reset(limit)
		}
		expired = w.timer.C
		defer w.timer.Stop()
	}
	for over := ctx.Done(); ; {
		select {
		case <-w.done:
			if w.id == 0 {
				return nil, w.err
			}
			return w, nil
		case <-over:
			over, err = nil, ended(ctx)
		case <-expired:
			if b.beginning.Load() { // its turn is about to come, or fails: BusyTimeout bounds that
				w.timer.Reset(delays[len(delays)-1])
				continue
			}
			expired, err = nil, pool.ErrAcquireTimeout
		}
		if b.leave(w, over == nil) {
			w.fate, w.err = returned, b.refuse(err, time.Since(c.began))
			w.done <- struct{}{}
		}
	}
}

// drain waits until everybody in the queue has had a turn. Nobody new comes.
func (b *batches) drain(ctx context.Context) {
	for b.waiting() {
		if err := b.db.writer.Do(ctx, func(context.Context, *Conn) error { return nil }); err != nil {
			return
		}
	}
}

// refuse is the error of a work that does not run.
func (b *batches) refuse(err error, waited time.Duration) error {
	writer := b.db.writer
	refused := &pool.Error{Pool: writer.Name(), Op: pool.Acquire, Stats: writer.Stats(), Waited: waited, Err: err}
	if waited > 0 {
		refused.Holders = writer.Holders()
	}
	return b.blame(refused)
}

// blame adds to the error of a vain wait for the writer what the runner runs there:
// the holder is the runner then, which tells nobody whose work it is.
func (b *batches) blame(err error) error {
	vain, ok := err.(*pool.Error)
	inside := runtime.FuncForPC(b.inside.Load())
	if !ok || vain.Op != pool.Acquire || vain.Waited == 0 || inside == nil {
		return err
	}
	file, line := inside.FileLine(inside.Entry())
	told := *vain
	told.Err = fmt.Errorf("%w, while Batch ran %s:%d %s", vain.Err, file, line, inside.Name())
	return &told
}

func (b *batches) queue(ctx context.Context, use func(ctx context.Context, conn *Conn) error, c call) (*work, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if most := b.db.files.options.MaxWaiters; most > 0 && b.length >= most {
		return nil, b.refuse(pool.ErrSaturated, 0)
	}
	w := b.free
	if w == nil {
		w = &work{done: make(chan struct{}, 1)}
	} else {
		b.free, w.next = w.next, nil
		b.spare--
	}
	w.ctx, w.use, w.call = ctx, use, c
	b.link(w, b.last, nil)
	if !b.running {
		b.running = true
		go b.runner.run()
	}
	return w, nil
}

// requeue puts works that are to run again before all others.
// It returns those whose callers have left.
func (b *batches) requeue(works []*work) (left []*work) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range slices.Backward(works) {
		w.again = true
		if w.ctx.Err() != nil { // from now on its caller would not look
			left = append(left, w)
			continue
		}
		w.fate = pending
		b.link(w, nil, b.first)
	}
	return left
}

// leave takes a work off the queue, and reports whether it was there.
// One that is to run again stays, unless its ctx has ended.
func (b *batches) leave(w *work, over bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !w.waiting || w.again && !over {
		return false
	}
	b.unlink(w)
	return true
}

// take returns the first work of the queue and how many wait behind it, nil where there is none.
func (b *batches) take() (w *work, behind int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w = b.first; w != nil {
		b.unlink(w)
	}
	return w, b.length
}

// takeAll returns those that were called before then.
func (b *batches) takeAll(then time.Time) (all []*work) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.first != nil && b.first.began.Before(then) {
		all = append(all, b.first)
		b.unlink(b.first)
	}
	return all
}

// owes reports whether the first work of the queue is one that runs again.
func (b *batches) owes() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first != nil && b.first.again
}

// waiting reports whether anybody waits.
func (b *batches) waiting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first != nil
}

// stop ends the runner where nobody waits, and reports whether it did.
func (b *batches) stop() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = b.first != nil
	return !b.running
}

// link and unlink need the lock.
func (b *batches) link(w, prev, next *work) {
	w.prev, w.next, w.waiting = prev, next, true
	*b.after(prev), *b.before(next) = w, w
	b.length++
}

func (b *batches) unlink(w *work) {
	*b.after(w.prev), *b.before(w.next) = w.next, w.prev
	w.prev, w.next, w.waiting = nil, nil, false
	b.length--
}

// after is where the work behind w stands, or the first where w is nil.
func (b *batches) after(w *work) **work {
	if w == nil {
		return &b.first
	}
	return &w.next
}

// before is where the work before w stands, or the last where w is nil.
func (b *batches) before(w *work) **work {
	if w == nil {
		return &b.last
	}
	return &w.prev
}

// maxSpareWorks bounds what a burst of calls leaves behind.
const maxSpareWorks = 1024

func (b *batches) recycle(w *work) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spare < maxSpareWorks {
		*w = work{done: w.done, timer: w.timer, next: b.free}
		b.free = w
		b.spare++
	}
}

func (b *batches) committed(works int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shared = works > 1
	b.stats.Batches++
	b.stats.Works += uint64(works)
	b.stats.Largest = max(b.stats.Largest, works)
}

func (b *batches) ranAgain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Again++
}

func (b *batches) snapshot() BatchStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}
