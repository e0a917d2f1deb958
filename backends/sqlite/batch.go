package sqlite

import (
	"context"
	"runtime"
	"sync"
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
// and takes turns with Write in the order of arrival.
//
// Where ctx ends, or AcquireTimeout has passed, while the work waits for its turn, it does not run.
// Once it runs, the end of ctx interrupts it, as it does for Write.
// The errors before it runs are those of pool.Pool.Acquire, as a *pool.Error.
// Inside Read, Write or Batch, with the ctx that these hand out, it fails with pool.ErrNested.
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

// work is one call of Batch.
type work struct {
	ctx   context.Context
	use   func(ctx context.Context, conn *Conn) error
	done  chan struct{} // receives once, when nobody but the caller uses the work any more
	timer *time.Timer   // of AcquireTimeout, stopped while the work is not queued

	observed bool // the events of its lease are wanted
	queued   time.Time
	ran      time.Time // for the last time
	again    bool      // it runs for the second time

	fate   fate
	thrown any // what it panicked with
	err    error
	id     uint64 // of the connection
	size   int    // works of its batch

	prev, next *work // in the queue; belong to batches.mu
	waiting    bool  // in the queue; belongs to batches.mu
}

// fate is how the function of a work ended.
type fate uint8

const (
	exited   fate = iota // it called runtime.Goexit, or is still running
	panicked             // with thrown
	returned             // with err
)

// batches queues the works of a DB, and has a goroutine while there are any.
type batches struct {
	db         *DB
	tap        *pool.Tap       // of the writer, for the leases of works; nil: nobody observes
	background context.Context // of the runner's own leases, of which nobody is told
	runner     runner          // belongs to its goroutine

	mu          sync.Mutex // protects the following
	first, last *work
	length      int
	running     bool // there is a runner
	free        *work
	spare       int
	stats       BatchStats
}

type backgroundKey struct{}

func (b *batches) init(db *DB) {
	b.db, b.runner.batches = db, b
	b.background = context.WithValue(context.Background(), backgroundKey{}, b)
}

// observe returns the observer of the writer's pool: it is told of everything but the runner's own leases,
// since every work has events of its own.
func (b *batches) observe(observer pool.Observer) pool.Observer {
	if observer == nil {
		return nil
	}
	return func(inspector pool.Inspector) pool.Tap {
		tap := observer(inspector)
		b.tap = &tap
		others := tap
		others.Enabled = func(ctx context.Context) bool { return ctx != b.background && b.observes(ctx) }
		return others
	}
}

func (b *batches) observes(ctx context.Context) bool {
	return b.tap != nil && (b.tap.Enabled == nil || b.tap.Enabled(ctx))
}

func (b *batches) begin(ctx context.Context, event pool.Event) context.Context {
	if b.tap.Begin == nil {
		return ctx
	}
	return b.tap.Begin(ctx, event)
}

func (b *batches) end(ctx context.Context, event pool.Event) {
	if b.tap.End != nil {
		b.tap.End(ctx, event)
	}
}

// do queues a work and waits for it.
func (b *batches) do(ctx context.Context, use func(ctx context.Context, conn *Conn) error) error {
	if err := b.db.mayWrite(ctx, "Batch"); err != nil {
		return err
	}
	began := time.Now()
	observed := b.observes(ctx)
	if observed {
		ctx = b.begin(ctx, pool.Event{Op: pool.Acquire})
	}
	t := &turn{Context: ctx, db: b.db, what: "Batch"}
	defer t.over.Store(true)
	w, err := b.wait(t, use, began, observed)
	if err != nil {
		if observed {
			b.end(ctx, pool.Event{Op: pool.Acquire, Took: time.Since(began), Err: err})
		}
		return err
	}
	if w.observed {
		event := pool.Event{Op: pool.Release, ID: w.id}
		ctx = b.begin(ctx, event)
		event.Held, event.Outcome, event.Batch, event.Err = time.Since(w.ran), pool.Returned, w.size, w.err
		b.end(ctx, event)
	}
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

// wait queues a work and returns it when it is done. The error is that of one that never ran.
func (b *batches) wait(ctx context.Context, use func(ctx context.Context, conn *Conn) error, began time.Time, observed bool) (*work, error) {
	if ctx.Err() != nil {
		return nil, b.refuse(ended(ctx), 0)
	}
	w, err := b.queue(ctx, use, began, observed)
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
	select {
	case <-w.done:
		return w, nil
	case <-ctx.Done():
		err = ended(ctx)
	case <-expired:
		err = pool.ErrAcquireTimeout
	}
	if b.leave(w) {
		return nil, b.refuse(err, time.Since(began))
	}
	<-w.done
	return w, nil
}

// refuse is the error of a work that never ran.
func (b *batches) refuse(err error, waited time.Duration) error {
	writer := b.db.writer
	refused := &pool.Error{Pool: writer.Name(), Op: pool.Acquire, Stats: writer.Stats(), Waited: waited, Err: err}
	if waited > 0 {
		refused.Holders = writer.Holders()
	}
	return refused
}

func (b *batches) queue(ctx context.Context, use func(ctx context.Context, conn *Conn) error, began time.Time, observed bool) (*work, error) {
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
	w.ctx, w.use, w.queued, w.observed, w.waiting = ctx, use, began, observed, true
	w.prev = b.last
	if b.last == nil {
		b.first = w
	} else {
		b.last.next = w
	}
	b.last = w
	b.length++
	if !b.running {
		b.running = true
		go b.runner.run()
	}
	return w, nil
}

// leave takes a work off the queue, and reports whether it was there.
func (b *batches) leave(w *work) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !w.waiting {
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

// stop ends the runner where nobody waits, and reports whether it did.
func (b *batches) stop() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running = b.first != nil
	return !b.running
}

// unlink needs the lock.
func (b *batches) unlink(w *work) {
	if w.prev == nil {
		b.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		b.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.waiting = nil, nil, false
	b.length--
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
