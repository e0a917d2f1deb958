package poollog

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// interval is the shortest time between two lines of one kind.
const interval = time.Second

// throttle writes lines of one kind, one an interval at most.
type throttle struct {
	logger  *slog.Logger // nil: the default
	level   slog.Level
	message string
	pool    slog.Attr

	mu      sync.Mutex // protects the following
	next    time.Time  // nothing is written before
	held    int        // lines that came since the last one that was written
	last    func(leftOut int)
	pending *time.Timer // writes the last of them at next
}

func (t *throttle) write(ctx context.Context, attrs ...slog.Attr) {
	logger := t.logger
	if logger == nil {
		logger = slog.Default()
	}
	if !logger.Enabled(ctx, t.level) {
		return
	}
	line := func(leftOut int) {
		all := append([]slog.Attr{t.pool}, attrs...)
		if leftOut > 0 {
			all = append(all, slog.Int("left_out", leftOut))
		}
		logger.LogAttrs(ctx, t.level, t.message, all...)
	}
	if t.admit(line) {
		line(0)
	}
}

// admit reports whether a line may be written now; otherwise it is kept, for a later time.
func (t *throttle) admit(line func(leftOut int)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.held == 0 && !now.Before(t.next) {
		t.next = now.Add(interval)
		return true
	}
	t.held++
	t.last = line
	if t.held == 1 {
		t.pending = time.AfterFunc(t.next.Sub(now), func() { t.writeLast(false) })
	}
	return false
}

// flush writes the last line that was kept, if any, before its time.
func (t *throttle) flush() { t.writeLast(true) }

// writeLast writes the last line that was kept, if any: early, or if its time has come. A timer that had gone off
// when flush stopped it may find a newer line, which is not due.
func (t *throttle) writeLast(early bool) {
	t.mu.Lock()
	held, line, now := t.held, t.last, time.Now()
	if !early && now.Before(t.next) {
		held = 0
	}
	if held > 0 {
		t.pending.Stop()
		t.held, t.last, t.next = 0, nil, now.Add(interval)
	}
	t.mu.Unlock()
	if held > 0 {
		// Of a handler that panics: no pool.SafeTap stands between it and the end of the process in a timer's goroutine,
		// and in Detach the lines of the other kinds are still to be written.
		defer func() { _ = recover() }()
		line(held - 1)
	}
}
