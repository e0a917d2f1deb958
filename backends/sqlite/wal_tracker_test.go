package sqlite

import (
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
)

// What checkpoints come to.
var (
	movedAll   = Checkpoint{Complete: true, Pages: 10, Moved: 10, Size: 100}
	emptiedAll = Checkpoint{Complete: true}
	unknown    = Checkpoint{Locked: true, Size: 2000}                         // another process makes a checkpoint
	locked     = Checkpoint{Locked: true, Pages: 10, Moved: 10, Size: 2000}   // another process writes
	inUse      = Checkpoint{Pages: 10, Moved: 10, Size: 2000}                 // by a snapshot that has seen all of it
	pinnedAt3  = Checkpoint{Pages: 10, Moved: 3, Size: 2000, HeldBack: 100e6} // by one that has seen less
)

// with returns a copy of done that change has changed.
func changed(done Checkpoint, change func(done *Checkpoint)) Checkpoint {
	change(&done)
	return done
}

// A step of a tracker's life: a checkpoint after some time, and what is to follow.
type trackerStep struct {
	after  time.Duration // since the step before
	done   Checkpoint
	mode   checkpointMode
	next   time.Duration
	truncs time.Duration // from now on until a log over the limit may be truncated
	pinned time.Duration // what OnPinned is told; 0: nothing
}

func TestTracker(t *testing.T) {
	const second, ms = time.Second, time.Millisecond
	options := Options{JournalSizeLimit: 1000, PinnedAfter: 5 * second}
	for name, steps := range map[string][]trackerStep{
		"nothing is left to do": {
			{0, movedAll, passive, 0, 0, 0},
			{0, emptiedAll, truncating, 0, 0, 0},
		},
		"all is moved, and the file is still too large": {
			{0, changed(movedAll, func(d *Checkpoint) { d.Size = 2000 }), passive, second, 0, 0},
		},
		"all is moved, but readers made the last attempts to truncate fail": {
			{0, inUse, truncating, second, 100 * ms, 0},
			{second, inUse, truncating, second, 200 * ms, 0},
			{second, inUse, truncating, second, 400 * ms, 0},
			{second, inUse, truncating, second, 800 * ms, 0},
			{second, inUse, truncating, second, 1600 * ms, 0},
			{0, changed(movedAll, func(d *Checkpoint) { d.Size = 2000 }), passive, 1600 * ms, 1600 * ms, 0},
		},
		"a snapshot: less and less often, for at most 30 s, until an attempt succeeds": {
			{0, pinnedAt3, truncating, second, 100 * ms, 0},
			{second, pinnedAt3, truncating, 2 * second, 200 * ms, 0},
			{second, pinnedAt3, truncating, 3 * second, 400 * ms, 0}, // that is when OnPinned is to be told
			{3 * second, pinnedAt3, truncating, 8 * second, 800 * ms, 5 * second},
			{8 * second, pinnedAt3, truncating, 16 * second, 1600 * ms, 0},
			{16 * second, pinnedAt3, truncating, 30 * second, 3200 * ms, 0},
			{30 * second, pinnedAt3, truncating, 30 * second, 6400 * ms, 0},
			{30 * second, pinnedAt3, truncating, 30 * second, 12800 * ms, 0},
			{30 * second, pinnedAt3, truncating, 30 * second, 25600 * ms, 0},
			{30 * second, pinnedAt3, truncating, 30 * second, 30 * second, 0},
			{30 * second, pinnedAt3, truncating, 30 * second, 30 * second, 0},
			{30 * second, emptiedAll, truncating, 0, 0, 0},
			{0, pinnedAt3, truncating, second, 100 * ms, 0},
			{0, emptiedAll, truncating, 0, 0, 0}, // a call of Checkpoint need not wait for the backoff
		},
		"a snapshot under which the log grows is looked at each second": {
			{0, pinnedAt3, passive, second, 0, 0},
			{second, changed(pinnedAt3, func(d *Checkpoint) { d.Pages = 11 }), passive, second, 0, 0},
			{second, changed(pinnedAt3, func(d *Checkpoint) { d.Pages = 12 }), passive, second, 0, 0},
		},
		"a snapshot is told once, a passive checkpoint is enough to see it": {
			{0, pinnedAt3, passive, second, 0, 0},
			{6 * second, pinnedAt3, passive, 2 * second, 0, 6 * second},
			{6 * second, pinnedAt3, passive, 4 * second, 0, 0},
		},
		"a snapshot that has ended, and another one": {
			{0, pinnedAt3, passive, second, 0, 0},
			{4 * second, changed(pinnedAt3, func(d *Checkpoint) { d.Moved = 4 }), passive, second, 0, 0},
			{4 * second, changed(pinnedAt3, func(d *Checkpoint) { d.Moved = 4 }), passive, second, 0, 0},
			{second, changed(pinnedAt3, func(d *Checkpoint) { d.Moved = 4 }), passive, 4 * second, 0, 5 * second},
			{5 * second, movedAll, passive, 0, 0, 0},
			{0, changed(pinnedAt3, func(d *Checkpoint) { d.Moved = 4 }), passive, second, 0, 0},
		},
		"a snapshot of a log that has started over is another one": {
			{0, pinnedAt3, passive, second, 0, 0},
			{6 * second, changed(pinnedAt3, func(d *Checkpoint) { d.Pages = 9 }), passive, second, 0, 0},
		},
		"a log that is in use, but has moved, is not pinned": {
			{0, inUse, passive, second, 0, 0},
			{time.Hour, inUse, truncating, second, 100 * ms, 0},
		},
		"locks of other processes: soon again, and no snapshot": {
			{0, locked, truncating, 100 * ms, 100 * ms, 0},
			{time.Hour, unknown, truncating, 100 * ms, 100 * ms, 0},
			{time.Hour, unknown, passive, second, 0, 0},
			{time.Hour, locked, truncating, 100 * ms, 100 * ms, 0},
		},
		"a lock changes no backoff": {
			{0, pinnedAt3, truncating, second, 100 * ms, 0},
			{second, locked, truncating, 100 * ms, 100 * ms, 0},
			{second, pinnedAt3, truncating, second, 200 * ms, 0},
		},
		"a snapshot is told only if it is seen again": {
			{0, pinnedAt3, passive, second, 0, 0},
			{6 * second, unknown, truncating, 100 * ms, 100 * ms, 0},
			{second, changed(pinnedAt3, func(d *Checkpoint) { d.Locked = true }), truncating, 100 * ms, 100 * ms, 7 * second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tracker, now := newTracker(options), time.Now()
			for i, step := range steps {
				now = now.Add(step.after)
				next, pinned := tracker.note(now, step.done, step.mode)
				assert.Equal(t, step.next, next, "step %d: the next one", i)
				assert.True(t, tracker.overLimit(now.Add(step.truncs), 1001), "step %d: after %v", i, step.truncs)
				if step.truncs > 0 {
					assert.False(t, tracker.overLimit(now.Add(step.truncs-1), 1001), "step %d: before %v", i, step.truncs)
				}
				if step.pinned == 0 {
					assert.Nil(t, pinned, "step %d", i)
				} else if assert.NotNil(t, pinned, "step %d", i) {
					assert.Equal(t, Pinned{For: step.pinned, Pages: step.done.Pages, Moved: step.done.Moved, Size: step.done.Size}, *pinned, "step %d", i)
				}
			}
		})
	}
}

func TestTracker_LimitIsExceededByOneByte(t *testing.T) {
	now := time.Now()
	tracker := newTracker(Options{JournalSizeLimit: 1000})
	assert.False(t, tracker.overLimit(now, 1000))
	assert.True(t, tracker.overLimit(now, 1001))
	tracker = newTracker(Options{JournalSizeLimit: -1})
	assert.False(t, tracker.overLimit(now, 1<<60), "there is none")
	next, _ := tracker.note(now, changed(movedAll, func(d *Checkpoint) { d.Size = 1 << 60 }), passive)
	assert.Zero(t, next)
}

// A reader that began later than the snapshot does not pin it.
func TestTracker_NamesTheReaderThatIsOldEnough(t *testing.T) {
	now := time.Now()
	tracker := newTracker(Options{JournalSizeLimit: 1000, PinnedAfter: 5 * time.Second})
	see := func(after, held time.Duration) *Pinned {
		now = now.Add(after)
		_, pinned := tracker.note(now, changed(pinnedAt3, func(d *Checkpoint) { d.Pinned = &pool.Holder{ID: 7, Held: held} }), passive)
		return pinned
	}
	see(0, time.Second)
	assert.EqualValues(t, 7, tracker.wal.Pinned.ID)
	see(4*time.Second, 4*time.Second-1)
	assert.Nil(t, tracker.wal.Pinned)
	pinned := see(time.Second, 5*time.Second)
	assert.EqualValues(t, 7, pinned.Reader.ID)
	assert.EqualValues(t, 7, tracker.wal.Pinned.ID)
	tracker.note(now, movedAll, passive)
	assert.Nil(t, tracker.wal.Pinned)
}

func TestTracker_Counts(t *testing.T) {
	now := time.Now()
	tracker := newTracker(Options{JournalSizeLimit: 1000, PinnedAfter: time.Hour})
	for _, step := range []trackerStep{
		{done: emptiedAll, mode: truncating},
		{done: pinnedAt3, mode: truncating},
		{done: locked, mode: truncating},
		{done: unknown, mode: truncating},
		{done: pinnedAt3, mode: truncating},
		{done: pinnedAt3, mode: passive},
		{done: unknown, mode: passive},
		{done: movedAll, mode: passive},
	} {
		if step.mode == passive {
			step.done.HeldBack = 0 // as it is: a passive checkpoint waits for nothing
		}
		tracker.note(now, step.done, step.mode)
	}
	assert.Equal(t, WAL{Pages: 10, Moved: 10, Truncated: 1, Incomplete: 4, Locked: 3, HeldBack: 200 * time.Millisecond}, tracker.wal)
	tracker.note(now, emptiedAll, truncating)
	assert.Zero(t, tracker.wal.Pages, "the log is empty")
	tracker.note(now, pinnedAt3, passive)
	tracker.note(now, unknown, passive)
	assert.Equal(t, 10, tracker.wal.Pages, "nothing new is known")
	assert.Equal(t, 3, tracker.wal.Moved)
}
