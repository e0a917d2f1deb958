package sqlite

import "time"

// tracker knows what the checkpoints of a DB came to, and decides what follows: when the next one runs,
// whether it may truncate the log, and whether a snapshot pins the log. It does no I/O, reads no clock and takes no lock.
type tracker struct {
	limit       int64         // Options.JournalSizeLimit
	pinnedAfter time.Duration // Options.PinnedAfter

	wal       WAL
	pin       pin
	delay     time.Duration // until the next run, if a snapshot made the last checkpoint incomplete
	notBefore time.Time     // no attempt to truncate until then
	backoff   time.Duration // until the attempt after the next one that readers make fail
}

// pin is a snapshot that keeps pages from being moved.
type pin struct {
	began        time.Time // when it was first seen; zero: there is none
	pages, moved int       // in the log, and in the database file, when it was last seen
	told         bool      // Options.OnPinned was called
}

const (
	// checkpointDelay is how long after the first use of the writer a checkpoint runs.
	checkpointDelay = time.Second
	// maxCheckpointDelay bounds the time between two attempts that a snapshot makes fail.
	maxCheckpointDelay = 30 * time.Second
	// lockedDelay is the time between two attempts that the lock of another process makes fail: as long as each waits for it,
	// so that the writer spends at most half of its time on such waits.
	lockedDelay = lockWaitLimit
)

func newTracker(options Options) tracker {
	return tracker{limit: options.JournalSizeLimit, pinnedAfter: options.PinnedAfter, delay: checkpointDelay, backoff: readerHoldLimit}
}

// overLimit reports whether a log of size bytes is to be truncated now.
func (t *tracker) overLimit(now time.Time, size int64) bool {
	return t.limit >= 0 && size > t.limit && !now.Before(t.notBefore)
}

// note notes what a checkpoint came to. It returns after what time the next one is to run, 0 if none is needed,
// and the snapshot that Options.OnPinned is to be told of, if there is one.
func (t *tracker) note(now time.Time, done Checkpoint, mode checkpointMode) (next time.Duration, pinned *Pinned) {
	t.count(done, mode)
	next = t.next(now, done, mode)
	if done.Locked && done.Pages == 0 { // nothing was seen of the log
		return next, nil
	}
	t.wal.Pages, t.wal.Moved = done.Pages, done.Moved
	if done.Moved >= done.Pages {
		t.pin, t.wal.Pinned = pin{}, nil
		return next, nil
	}
	// With fewer pages the log has started over, with more that were moved the snapshot has ended: this is another one.
	if t.pin.began.IsZero() || t.pin.moved != done.Moved || t.pin.pages > done.Pages {
		t.pin = pin{began: now}
	}
	t.pin.pages, t.pin.moved = done.Pages, done.Moved
	since := now.Sub(t.pin.began)
	t.wal.Pinned = done.Pinned
	if done.Pinned != nil && done.Pinned.Held < since {
		t.wal.Pinned = nil // it began later than the snapshot
	}
	switch left := t.pinnedAfter - since; {
	case t.pin.told:
		return next, nil
	case left > 0:
		return min(next, left), nil
	}
	t.pin.told = true
	return next, &Pinned{For: since, Pages: done.Pages, Moved: done.Moved, Size: done.Size, Reader: t.wal.Pinned}
}

func (t *tracker) count(done Checkpoint, mode checkpointMode) {
	t.wal.HeldBack += done.HeldBack
	switch {
	case mode != truncating:
	case done.Complete:
		t.wal.Truncated++
	default:
		t.wal.Incomplete++
	}
	if done.Locked {
		t.wal.Locked++
	}
}

// next returns after what time the next checkpoint is to run, 0 if none is needed.
func (t *tracker) next(now time.Time, done Checkpoint, mode checkpointMode) time.Duration {
	truncated := mode == truncating
	switch {
	case done.Complete && truncated:
		t.delay, t.notBefore, t.backoff = checkpointDelay, time.Time{}, readerHoldLimit
		return 0
	case done.Complete && t.limit >= 0 && done.Size > t.limit: // the file is still to be truncated
		t.delay = checkpointDelay
		return max(checkpointDelay, t.notBefore.Sub(now))
	case done.Complete:
		t.delay = checkpointDelay
		return 0
	case done.Locked && truncated:
		t.notBefore = now.Add(lockedDelay)
		return lockedDelay
	case done.Locked:
		return checkpointDelay
	}
	if truncated { // without a backoff all would wait for half of the time
		t.notBefore, t.backoff = now.Add(t.backoff), min(2*t.backoff, maxCheckpointDelay)
	}
	if t.pin.pages == done.Pages && t.pin.moved == done.Moved {
		t.delay = min(2*t.delay, maxCheckpointDelay)
	} else {
		t.delay = checkpointDelay
	}
	return t.delay
}
