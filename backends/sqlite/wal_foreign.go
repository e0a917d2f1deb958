package sqlite

import (
	"context"
	"time"

	"github.com/headpond/headpond/resource"
)

// With Options.ForeignCheckpoints the DB makes no checkpoint of its own. It only watches that another program does:
// at each release of the writer it looks at the log, and while that is larger than Options.JournalSizeLimit it looks again now and then.

// watching returns hooks of the writer that look at the log before each release.
func (cp *checkpointer) watching(hooks resource.Hooks[*Conn]) resource.Hooks[*Conn] {
	reset := hooks.Reset
	hooks.Reset = func(ctx context.Context, conn *Conn) error {
		err := reset(ctx, conn)
		if c, ok := connectionOf(conn); ok && err == nil && !c.Closed() {
			cp.look(c)
		}
		return err
	}
	return hooks
}

// look notes how large the log is. The writer is about to be released.
func (cp *checkpointer) look(c *connection) {
	pages, moved := c.LogNow()
	size := int64(pages) * c.pageSize()
	cp.mu.Lock()
	again := cp.tracker.noteForeign(time.Now, pages, moved, size)
	cp.mu.Unlock()
	if again > 0 && !cp.scheduled.Load() {
		cp.schedule(again)
	}
}

// watch is a run: it takes the writer for a moment, so that its release looks at the log, and tells Options.OnPinned if that is due.
func (cp *checkpointer) watch() {
	ended := false
	defer func() {
		if !ended {
			cp.exited(nil) // no checkpoint has failed
		}
	}()
	err := cp.onWriter(newAgent(context.Background(), "look at the log"), cp.database.note("OnPinned"), func(context.Context, *connection) error { return nil })
	ended = true
	size := cp.size()
	cp.mu.Lock()
	cp.running = false
	var pinned *Pinned
	if err == nil {
		pinned = cp.tracker.pinnedForeign(time.Now(), size)
	}
	cp.mu.Unlock()
	if err != nil { // the writer is held; not so if the DB is closed, and nothing is scheduled then
		cp.schedule(checkpointDelay)
		return
	}
	if pinned == nil {
		return
	}
	if holders := cp.readers.Holders(); len(holders) > 0 && holders[0].Held >= pinned.For {
		pinned.Reader = &holders[0]
	}
	cp.mu.Lock()
	cp.tracker.wal.Pinned = pinned.Reader
	cp.mu.Unlock()
	cp.tellPinned(pinned)
}

// noteForeign notes a log that another program moves and empties. It returns after what time to look again; 0: there is no need to.
func (t *tracker) noteForeign(clock func() time.Time, pages, moved int, size int64) (again time.Duration) {
	t.wal.Pages, t.wal.Moved = pages, moved
	if t.limit < 0 || size <= t.limit {
		t.pin, t.wal.Pinned, t.delay = pin{}, nil, checkpointDelay
		return 0
	}
	now := clock()
	if t.pin.began.IsZero() {
		t.pin = pin{began: now}
	}
	t.pin.pages, t.pin.moved = pages, moved
	if t.pin.told {
		return t.delay
	}
	return max(t.pinnedAfter-now.Sub(t.pin.began), 1)
}

// pinnedForeign returns what Options.OnPinned is to be told of such a log, of which size is that of the file; nil: nothing.
func (t *tracker) pinnedForeign(now time.Time, size int64) *Pinned {
	switch since := now.Sub(t.pin.began); {
	case t.pin.began.IsZero():
		return nil
	case t.pin.told:
		t.delay = min(2*t.delay, maxCheckpointDelay)
		return nil
	case since < t.pinnedAfter:
		return nil
	default:
		t.pin.told = true
		return &Pinned{For: since, Pages: t.pin.pages, Moved: t.pin.moved, Size: size, Foreign: true}
	}
}
