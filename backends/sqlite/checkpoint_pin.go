package sqlite

import (
	"fmt"
	"time"

	"github.com/headpond/headpond/pool"
)

// WAL is how the write-ahead log stands. It is zero in memory.
type WAL struct {
	Size      int64         // of the file now, in bytes
	Pages     int           // in the log, as the last commit or checkpoint left it
	Moved     int           // of them, those that were in the database file after the last checkpoint
	Truncated uint64        // checkpoints that emptied the log
	Kept      uint64        // checkpoints that readers, or another process, kept from emptying it
	Failed    uint64        // checkpoints of the DB's own accord that failed: the writer was held for too long, the disk is full
	HeldBack  time.Duration // for how long readers were kept waiting for a checkpoint, all together

	PinnedFor time.Duration // for how long the same snapshot has kept the rest of the log out of the database file; 0: none does
	Pinned    *pool.Holder  // whose it most likely is, as of the last checkpoint: see the type Pinned
}

// Pinned says that a snapshot keeps the write-ahead log from starting over, so that it grows.
type Pinned struct {
	For   time.Duration // the same snapshot has, as far as is known
	Pages int           // in the log
	Moved int           // of them, those that are in the database file
	Size  int64         // of the log's file, in bytes

	// Reader is the reader of this DB that has been held for the longest time, where that is longer than For:
	// most likely it is its snapshot. With Options.LeakAfter it has the stack.
	// nil: it is one of another process, or of a connection that left its pool.
	Reader *pool.Holder
}

// String says so in one line.
func (p Pinned) String() string {
	who := "another process, or a connection that left its pool"
	if p.Reader != nil {
		who = "most likely reader " + p.Reader.String()
	}
	return fmt.Sprintf("a snapshot has kept the write-ahead log from starting over for %v (%d of %d pages are in the database file, the log has %d bytes): %s",
		p.For.Round(time.Millisecond), p.Moved, p.Pages, p.Size, who)
}

// pin is a snapshot that needs the log.
type pin struct {
	began time.Time // when it was first seen; zero: there is none
	moved int       // no more than so many pages could be
	told  bool
}

// note notes a checkpoint, and whether it tried to empty the log. It returns after what time another one is needed, 0 for none,
// and what there is to tell.
func (l *log) note(done Checkpoint, tried bool) (delay time.Duration, pinned *Pinned) {
	l.mu.Lock()
	defer l.mu.Unlock()
	same := l.wal.Pages == done.Pages && l.wal.Moved == done.Moved
	l.wal.Pages, l.wal.Moved = done.Pages, done.Moved
	l.wal.HeldBack += done.HeldBack
	if done.Complete {
		if tried {
			l.wal.Truncated++
			l.again, l.wait = time.Time{}, patience
		}
		l.wal.Pinned, l.pin, l.delay = nil, pin{}, tick
		return 0, nil
	}
	now := time.Now()
	if tried {
		l.wal.Kept++
		l.again, l.wait = now.Add(l.wait), min(2*l.wait, longestTick) // or nobody would read or write for half of the time
	}
	if same {
		l.delay = min(2*l.delay, longestTick)
	} else {
		l.delay = tick
	}
	if l.pin.began.IsZero() || l.pin.moved != done.Moved {
		l.pin = pin{began: now, moved: done.Moved}
	}
	since := now.Sub(l.pin.began)
	l.wal.Pinned = done.Pinned
	if done.Pinned != nil && done.Pinned.Held < since {
		l.wal.Pinned = nil
	}
	if l.pin.told {
		return l.delay, nil
	}
	left := l.db.files.options.PinnedAfter - since
	if left <= 0 {
		l.pin.told = true
		pinned = &Pinned{For: since, Pages: done.Pages, Moved: done.Moved, Size: done.Size, Reader: l.wal.Pinned}
		return l.delay, pinned
	}
	return min(l.delay, left), nil
}

// goOn notes a checkpoint, as note does, and sees to what follows from it.
func (l *log) goOn(done Checkpoint, tried bool) {
	delay, pinned := l.note(done, tried)
	if delay > 0 {
		l.arm(delay)
	}
	if tell := l.db.files.options.OnPinned; tell != nil && pinned != nil {
		tell(*pinned)
	}
}

// snapshot is for Stats.
func (l *log) snapshot() WAL {
	size := l.size()
	l.mu.Lock()
	defer l.mu.Unlock()
	wal := l.wal
	wal.Size = size
	if !l.pin.began.IsZero() {
		wal.PinnedFor = time.Since(l.pin.began)
	}
	return wal
}

// figures are those of the log.
func (l *log) figures() []pool.Figure {
	wal := l.snapshot()
	return []pool.Figure{
		{Name: "headpond.sqlite.wal.size", Unit: "By", Value: float64(wal.Size)},
		{Name: "headpond.sqlite.wal.pages", Unit: "{page}", Value: float64(wal.Pages)},
		{Name: "headpond.sqlite.wal.moved", Unit: "{page}", Value: float64(wal.Moved)},
		{Name: "headpond.sqlite.wal.truncated", Unit: "{checkpoint}", Value: float64(wal.Truncated)},
		{Name: "headpond.sqlite.wal.kept", Unit: "{checkpoint}", Value: float64(wal.Kept)},
		{Name: "headpond.sqlite.wal.failed", Unit: "{checkpoint}", Value: float64(wal.Failed)},
		{Name: "headpond.sqlite.wal.held_back", Unit: "s", Value: wal.HeldBack.Seconds()},
		{Name: "headpond.sqlite.wal.pinned", Unit: "s", Value: wal.PinnedFor.Seconds()},
	}
}
