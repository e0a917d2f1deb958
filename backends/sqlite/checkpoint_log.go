package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/resource"
)

// log keeps the write-ahead log of a DB small. Of the checkpoints, there are:
//
//   - Those of walHook: from 1000 pages on each commit moves what it can, as SQLite does by itself.
//     They cost writers a tenth of their throughput, or a fifth where readers overlap, and keep the others short:
//     the longest Write of 3 s took 16 ms with them and 100 ms without, 53 and 122 where readers overlap (BenchmarkWriteUnderReaders).
//   - A pass, on the writer's turn, within a second of the first use of the writer: it moves what these left.
//   - A pass that empties the log once that is larger than Options.JournalSizeLimit,
//     since readers that overlap keep it from starting over for ever.
//
// There is a timer only where the writer was used since the last complete checkpoint, and a goroutine only for a pass.
type log struct {
	db   *DB
	path func() string // of its file

	held    atomic.Pointer[chan struct{}] // closed when readers may begin; nil: they may
	armed   atomic.Bool                   // the timer runs
	backups atomic.Int32                  // that run now, and pin the log
	logged  atomic.Int64                  // pages, when it was last looked at
	passes  sync.WaitGroup                // that run, or tell what they found

	mu      sync.Mutex // protects the following
	timer   *time.Timer
	running bool // there is a pass
	closed  bool
	wal     WAL
	pin     pin
	delay   time.Duration // until the next pass, where the last one was not complete
	again   time.Time     // no earlier try of what readers kept from being complete
	wait    time.Duration // from the next such try to the one after it
}

const (
	// tick is how long after the first use of the writer there is a pass.
	tick = time.Second
	// longestTick is after what time a pass that could do nothing is tried again, in the end.
	longestTick = 30 * time.Second
)

// init does no I/O.
func (l *log) init(db *DB) {
	l.db, l.delay, l.wait = db, tick, patience
	l.path = sync.OnceValue(func() string {
		path := db.files.path
		if target, err := filepath.EvalSymlinks(path); err == nil { // as SQLite does
			path = target
		}
		return path + "-wal"
	})
}

type passKey struct{}

// passing is the ctx of a pass, by which its own use of the writer is known.
var passing = context.WithValue(context.Background(), passKey{}, true)

// watch returns hooks of the writer that notice whatever it is used for.
func (l *log) watch(hooks resource.Hooks[*Conn]) resource.Hooks[*Conn] {
	if l.db.files.memory {
		return hooks
	}
	prepare, reset := hooks.Prepare, hooks.Reset
	hooks.Prepare = func(ctx context.Context, conn *Conn) error {
		if !l.armed.Load() && ctx.Value(passKey{}) == nil {
			l.arm(tick)
		}
		return prepare(ctx, conn)
	}
	hooks.Reset = func(ctx context.Context, conn *Conn) error {
		err := reset(ctx, conn)
		if s, ok := stateOf(conn); ok && err == nil {
			l.trim(s)
		}
		return err
	}
	return hooks
}

// arm sees to it that there is a pass within delay.
func (l *log) arm(delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.armed.Swap(true) {
		return
	}
	if l.timer != nil {
		l.timer.Reset(delay)
		return
	}
	l.timer = time.AfterFunc(delay, func() {
		l.armed.Store(false) // first: what the writer is used for from now on, the pass may not see
		l.start()
	})
}

// trim sees to it that the log is emptied where it has outgrown its limit. The writer is about to be released.
// It costs a comparison where nothing was committed.
func (l *log) trim(s *state) {
	if l.db.files.memory || s.closed() || l.logged.Swap(int64(s.logged())) == int64(s.logged()) {
		return
	}
	pages, size := s.logged(), s.pageSize()
	l.mu.Lock()
	l.wal.Pages = pages
	past := l.past(int64(pages) * size)
	l.mu.Unlock()
	if past {
		l.start()
		runtime.Gosched() // so that the pass queues before the writer is released; else, on a busy machine, many commits come first
	}
}

// past says whether a log of that size is to be emptied now. It needs the lock.
// A backup pins the log until it ends, and every try costs readers and writers up to patience.
func (l *log) past(size int64) bool {
	limit := l.db.files.options.JournalSizeLimit
	return limit >= 0 && size > limit && l.backups.Load() == 0 && !time.Now().Before(l.again)
}

// start starts a pass, unless one runs.
func (l *log) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && !l.running {
		l.running = true
		l.passes.Go(l.pass)
	}
}

// pass makes one checkpoint. It waits for the writer as Write does; its failure shows in the figures.
func (l *log) pass() {
	var done Checkpoint
	var past bool
	err := l.db.onWriter(passing, "Checkpoint", func(ctx context.Context, s *state) (err error) {
		size := l.size()
		l.mu.Lock()
		past = l.past(size)
		l.mu.Unlock()
		if past {
			done, err = l.empty(ctx, s)
		} else {
			done, err = l.checkpoint(ctx, s, "PASSIVE")
		}
		return err
	})
	l.mu.Lock()
	l.running = false
	if err != nil && !l.closed {
		l.wal.Failed++
	}
	l.mu.Unlock()
	if err != nil { // the writer is held, the disk is full ...
		l.arm(tick)
		return
	}
	l.goOn(done, past)
}

// stop lets no pass begin any more.
func (l *log) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

// size is that of the log's file, in bytes; 0 where there is none.
func (l *log) size() int64 {
	if l.db.files.memory {
		return 0
	}
	file, err := os.Stat(l.path())
	if err != nil {
		return 0
	}
	return file.Size()
}

// pageSize is that of the database, with the header that a page has in the log.
func (s *state) pageSize() int64 {
	if s.page == 0 {
		s.page = 4096
		if value, _, err := s.query(context.Background(), "PRAGMA page_size"); err == nil {
			s.page, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	return s.page + 24
}
