package poollog

import (
	"context"
	"errors"
	"log/slog"

	"github.com/headpond/headpond/pool"
)

// Observer returns an observer that writes to logger; to slog.Default(), as it is then, if logger is nil.
// It may be given to any number of pools. A handler that blocks holds up the pool that logs.
func Observer(logger *slog.Logger) pool.Observer {
	return func(p pool.Inspector) pool.Tap {
		l := newLog(logger, p.Name())
		return pool.Tap{End: l.end, Leak: l.leak, Detach: l.flush}
	}
}

// log is what one pool writes: a throttle for each kind of line.
type log struct {
	timeout, create, failing, leaked, returned, destroy *throttle
	saturated, unchecked                                *throttle
	slow                                                *throttle
	retired, check, prepare, reset                      *throttle

	all []*throttle
}

func newLog(logger *slog.Logger, name string) *log {
	l := &log{}
	kind := func(level slog.Level, message string) *throttle {
		t := &throttle{logger: logger, level: level, message: "headpond: " + message, pool: slog.String("pool", name)}
		l.all = append(l.all, t)
		return t
	}
	l.timeout = kind(slog.LevelWarn, "acquire timed out")
	l.create = kind(slog.LevelWarn, "construct failed")
	l.failing = kind(slog.LevelWarn, "construct keeps failing")
	l.saturated = kind(slog.LevelInfo, "acquire refused: the queue is full")
	l.unchecked = kind(slog.LevelInfo, "acquire failed: no value passed its check")
	l.slow = kind(slog.LevelWarn, "slow statement")
	l.leaked = kind(slog.LevelWarn, "a lease is held for too long")
	l.returned = kind(slog.LevelWarn, "a lease that was held for too long came back")
	l.destroy = kind(slog.LevelWarn, "destroy failed")
	l.retired = kind(slog.LevelDebug, "value retired")
	l.check = kind(slog.LevelDebug, "check failed")
	l.prepare = kind(slog.LevelDebug, "prepare failed")
	l.reset = kind(slog.LevelDebug, "reset failed")
	return l
}

func (l *log) end(ctx context.Context, event pool.Event) {
	switch {
	case event.Op == pool.Destroy:
		l.destroyed(ctx, event)
		return
	case event.Op == pool.Statement:
		l.statement(ctx, event.Statement)
		return
	case event.Err == nil:
		return
	}
	switch event.Op {
	case pool.Acquire:
		if kind := l.ofAcquire(event.Err); kind != nil {
			kind.write(ctx, slog.Duration("took", event.Took), slog.Any("error", event.Err))
		}
	case pool.Failing:
		l.failing.write(ctx, slog.Duration("for", event.Took), slog.Any("error", event.Err))
	case pool.Construct:
		if !errors.Is(event.Err, pool.ErrClosed) { // which ended it
			l.failed(l.create, ctx, event)
		}
	case pool.Check:
		l.failed(l.check, ctx, event)
	case pool.Prepare:
		l.failed(l.prepare, ctx, event)
	case pool.Reset:
		l.failed(l.reset, ctx, event)
	}
}

// ofAcquire is the line for the error of an acquire; nil: none. The failure of a hook has a line already,
// except that of Check, which is at Debug as long as another value passes.
func (l *log) ofAcquire(err error) *throttle {
	var failed *pool.Error
	switch {
	case !errors.As(err, &failed):
		return nil
	case failed.Op == pool.Check:
		return l.unchecked
	case failed.Op == pool.Acquire && errors.Is(err, context.DeadlineExceeded):
		return l.timeout
	case failed.Op == pool.Acquire && errors.Is(err, pool.ErrSaturated):
		return l.saturated
	}
	return nil
}

// failed writes that a hook failed.
func (l *log) failed(kind *throttle, ctx context.Context, event pool.Event) {
	kind.write(ctx, slog.Uint64("id", event.ID), slog.Duration("took", event.Took), slog.Any("error", event.Err))
}

func (l *log) destroyed(ctx context.Context, event pool.Event) {
	id, reason := slog.Uint64("id", event.ID), slog.String("reason", event.Reason.String())
	if event.Err != nil {
		l.destroy.write(ctx, id, reason, slog.Duration("took", event.Took), slog.Any("error", event.Err))
	}
	l.retired.write(ctx, id, reason)
}

// statement writes of a statement that was slow, with what made it so. Values that are no part of its text are not in it.
func (l *log) statement(ctx context.Context, run *pool.StatementRun) {
	if !run.Slow {
		return
	}
	attributes := []slog.Attr{slog.String("statement", run.Text), slog.String("mode", run.Mode), slog.Duration("took", run.Took), slog.Int64("rows", run.Rows)}
	for _, count := range []struct {
		name  string
		value int64
	}{{"fullscan_steps", run.FullScanSteps}, {"sorts", run.Sorts}, {"auto_indexes", run.AutoIndexes}} {
		if count.value > 0 {
			attributes = append(attributes, slog.Int64(count.name, count.value))
		}
	}
	if run.Err != nil {
		attributes = append(attributes, slog.Any("error", run.Err))
	}
	l.slow.write(ctx, attributes...)
}

func (l *log) leak(leak pool.Leak) {
	kind := l.leaked
	if leak.Returned {
		kind = l.returned
	}
	attributes := []slog.Attr{slog.Uint64("id", leak.ID), slog.Duration("held", leak.Held),
		slog.Time("since", leak.Since), slog.String("holder", leak.Stack.Caller())}
	if leak.Label != "" {
		attributes = append(attributes, slog.String("label", leak.Label))
	}
	kind.write(context.Background(), attributes...)
}

func (l *log) flush() {
	for _, kind := range l.all {
		kind.flush()
	}
}
