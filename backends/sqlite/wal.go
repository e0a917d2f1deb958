package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/internal/agent"
	"github.com/headpond/headpond/internal/catch"
	"github.com/headpond/headpond/resource"
)

// checkpointer keeps the write-ahead log of a DB small. It makes these checkpoints:
//
//   - One with each commit that leaves 1000 pages or more in the log: it moves what it can, as SQLite does by itself.
//     These cost writers a tenth of their throughput, or a fifth if readers overlap, and keep the others short:
//     the longest Write of 3 s took 16 ms with them and 100 ms without, 53 and 122 if readers overlap (BenchmarkWriteUnderReaders).
//   - One on the writer's turn, within checkpointDelay of the first use of the writer: it moves what the former left.
//   - One on the writer's turn that truncates the log, as soon as a commit finds it larger than Options.JournalSizeLimit.
//     Overlapping readers, and writers of other processes, would keep the log from starting over for ever.
//     If several processes are at it, each stops writing until one of them has truncated the log.
//
// With Options.ForeignCheckpoints it makes none: see watching.
//
// There is a timer only if the writer was used since the last complete checkpoint, and a goroutine only during a run.
type checkpointer struct {
	writeAheadLog
	onWriter func(ctx context.Context, note *agent.Note, use func(ctx context.Context, c *connection) error) error // that of the DB

	scheduled atomic.Bool    // the timer runs
	backups   atomic.Int32   // in progress, each of which pins the log
	pages     atomic.Int64   // in the log, when maybeTruncate last looked, and above the 32nd bit those of an attached database
	runs      sync.WaitGroup // in progress, OnPinned included

	mu      sync.Mutex // protects the following
	timer   *time.Timer
	running bool // a run is in progress
	closed  bool
	tracker tracker
}

// init does no I/O. The readers are still to be set.
func (cp *checkpointer) init(database *database, onWriter func(ctx context.Context, note *agent.Note, use func(ctx context.Context, c *connection) error) error) {
	cp.database, cp.onWriter, cp.tracker = database, onWriter, newTracker(database.options)
}

type runKey struct{}

// newRunAgent returns the ctx of a run: instrument knows the run's own use of the writer by it.
func newRunAgent() *agentContext {
	return newAgent(context.WithValue(context.Background(), runKey{}, true), "checkpoint")
}

// instrument returns hooks of the writer that notice each use of it.
func (cp *checkpointer) instrument(hooks resource.Hooks[*Conn]) resource.Hooks[*Conn] {
	if cp.database.memory {
		return hooks
	}
	if cp.database.options.ForeignCheckpoints {
		return cp.watching(hooks)
	}
	prepare, reset := hooks.Prepare, hooks.Reset
	hooks.Prepare = func(ctx context.Context, conn *Conn) error {
		if !cp.scheduled.Load() && ctx.Value(runKey{}) == nil {
			cp.schedule(checkpointDelay)
		}
		return prepare(ctx, conn)
	}
	hooks.Reset = func(ctx context.Context, conn *Conn) error {
		err := reset(ctx, conn)
		if c, ok := connectionOf(conn); ok && err == nil {
			cp.maybeTruncate(c)
		}
		return err
	}
	return hooks
}

// schedule makes a run start after delay, unless one is due sooner.
func (cp *checkpointer) schedule(delay time.Duration) {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	if cp.closed || cp.scheduled.Swap(true) {
		return
	}
	if cp.timer != nil {
		cp.timer.Reset(delay)
		return
	}
	cp.timer = time.AfterFunc(delay, func() {
		cp.scheduled.Store(false) // first: the run may miss what the writer is used for from now on
		cp.start()
	})
}

// maybeTruncate starts a run if the log has outgrown its limit. The writer is about to be released.
// If nothing was committed, it costs a comparison.
func (cp *checkpointer) maybeTruncate(c *connection) {
	if c.Closed() {
		return
	}
	pages, attached := c.LogPages(), c.AttachedLogPages()
	if both := int64(attached)<<32 | int64(pages); cp.pages.Swap(both) == both {
		return
	}
	size := int64(pages) * c.pageSize()
	if attached > 0 {
		size = max(size, cp.size())
	}
	cp.mu.Lock()
	cp.tracker.wal.Pages = pages
	over := cp.overLimit(size)
	cp.mu.Unlock()
	if over {
		cp.start()
		runtime.Gosched() // so that the run queues before the writer is released; otherwise, on a busy machine, many commits come first
	}
}

// overLimit reports whether a log of size bytes is to be truncated now. The caller holds the lock.
// A backup pins the log until it ends, and each attempt costs readers and writers up to readerHoldLimit.
func (cp *checkpointer) overLimit(size int64) bool {
	return cp.backups.Load() == 0 && cp.tracker.overLimit(time.Now(), size)
}

// start starts a run, unless one is in progress.
func (cp *checkpointer) start() {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	if !cp.closed && !cp.running {
		cp.running = true
		run := cp.run
		if cp.database.options.ForeignCheckpoints {
			run = cp.watch
		}
		cp.runs.Go(run)
	}
}

// putOffDelay is how long after a run that Options.LimitCheckpoints put off the next one starts, on average.
const putOffDelay = 100 * time.Millisecond

// limit asks Options.LimitCheckpoints. A panic in it would end the process, since no caller is there to recover: it is an error of the run.
func (cp *checkpointer) limit() (done func(), ok bool, err error) {
	if cp.database.options.LimitCheckpoints == nil {
		return func() {}, true, nil
	}
	err = errOfPanic("Options.LimitCheckpoints", func() { done, ok = cp.database.options.LimitCheckpoints() })
	return done, ok, err
}

// errOfPanic calls a function of Options, and returns an error that names it if it panics.
func errOfPanic(name string, call func()) (err error) {
	catch.Run(call, func(ending catch.Ending) {
		if ending.Value != nil {
			err = fmt.Errorf("%s panicked: %v", name, ending.Value)
		}
	})
	return err
}

// run makes one checkpoint. It waits for the writer as Write does; its failure shows in the figures.
func (cp *checkpointer) run() {
	var done Checkpoint
	mode, putOff, came, began := passive, false, false, time.Now()
	ended := false
	defer func() {
		if !ended {
			cp.exited(errRunExited)
		}
	}()
	err := cp.onWriter(newRunAgent(), cp.database.note("Checkpoint"), func(ctx context.Context, c *connection) (err error) {
		size := cp.size()
		cp.mu.Lock()
		over := cp.overLimit(size)
		cp.mu.Unlock()
		if over {
			came = true
			done, err = cp.events().observe(context.Background(), c, func() (done Checkpoint, err error) {
				done, mode, err = cp.truncate(ctx, c, cp.tracker.limit)
				return done, err
			})
			return err
		}
		release, ok, err := cp.limit()
		if err != nil || !ok {
			putOff = err == nil
			return err
		}
		defer func() {
			if panicked := errOfPanic("the done of Options.LimitCheckpoints", release); panicked != nil {
				err, came = errors.Join(err, panicked), false // nobody was told of that
			}
		}()
		came = true
		done, err = cp.events().observe(context.Background(), c, func() (Checkpoint, error) { return cp.checkpoint(ctx, c, passive, nil) })
		return err
	})
	ended = true
	failed := cp.endRun(err)
	if failed && !came { // the writer is held, or LimitCheckpoints has panicked
		cp.events().failed(began, err)
	}
	switch {
	case err != nil: // the writer is held, the disk is full ...
		cp.schedule(checkpointDelay)
	case putOff:
		cp.schedule(putOffDelay/2 + rand.N(putOffDelay)) // not all at the same time again
	default:
		cp.scheduleNext(done, mode)
	}
}

// endRun lets the next run start, and counts this one if it has failed.
func (cp *checkpointer) endRun(err error) (failed bool) {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	cp.running = false
	failed = err != nil && !cp.closed
	if failed {
		cp.tracker.wal.Failed++
	}
	return failed
}

// exited ends a run whose goroutine ends: a function of Options that it called, such as LimitCheckpoints or one of the Observer's,
// has called runtime.Goexit. Without it no run would ever start again, and the log would outgrow its limit.
func (cp *checkpointer) exited(err error) {
	cp.endRun(err)
	cp.schedule(checkpointDelay)
}

var errRunExited = errors.New("a function of Options called runtime.Goexit")

func (cp *checkpointer) events() checkpointEvents { return checkpointEvents{cp.database} }

// scheduleNext notes what a checkpoint came to, schedules what follows from it, and reports a snapshot that pins the log.
func (cp *checkpointer) scheduleNext(done Checkpoint, mode checkpointMode) {
	cp.mu.Lock()
	delay, pinned := cp.tracker.note(time.Now(), done, mode)
	cp.mu.Unlock()
	if delay > 0 {
		cp.schedule(delay)
	}
	cp.tellPinned(pinned)
}

// tellPinned calls Options.OnPinned, if there is something to tell. A panic in it would end the process.
func (cp *checkpointer) tellPinned(pinned *Pinned) {
	if tell := cp.database.options.OnPinned; tell != nil && pinned != nil {
		defer catch.Swallow()
		tell(*pinned)
	}
}

// stop lets no run start any more.
func (cp *checkpointer) stop() {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	cp.closed = true
	if cp.timer != nil {
		cp.timer.Stop()
	}
}

// currentStats returns the WAL of now.
func (cp *checkpointer) currentStats() WAL {
	size := cp.size()
	cp.mu.Lock()
	defer cp.mu.Unlock()
	wal := cp.tracker.wal
	wal.Size = size
	if pin := cp.tracker.pin; !pin.began.IsZero() {
		wal.PinnedFor = time.Since(pin.began)
	}
	return wal
}
