package poollog

import (
	"context"
	"errors"
	"log/slog"

	"github.com/headpond/headpond/pool"
)

// Observer returns an observer that writes to logger; to slog.Default(), as it is then, where logger is nil.
// It may be given to any number of pools. A handler that blocks holds up the pool that logs.
func Observer(logger *slog.Logger) pool.Observer {
	return func(p pool.Inspector) pool.Tap {
		l := newLog(logger, p.Name())
		return pool.Tap{End: l.end, Leak: l.leak, Detach: l.flush}
	}
}

// log is what one pool writes: a throttle for each kind of line.
type log struct {
	timeout, create, leaked, returned, destroy *throttle
	retired, check, prepare, reset             *throttle

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
	if event.Op == pool.Destroy {
		l.destroyed(ctx, event)
		return
	}
	if event.Err == nil {
		return
	}
	switch event.Op {
	case pool.Acquire:
		if timedOut(event.Err) {
			l.timeout.write(ctx, slog.Duration("took", event.Took), slog.Any("error", event.Err))
		}
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

// timedOut reports whether an acquire ended with a deadline of its own,
// not with that of a hook, which has a line already.
func timedOut(err error) bool {
	var failed *pool.Error
	return errors.As(err, &failed) && failed.Op == pool.Acquire && errors.Is(err, context.DeadlineExceeded)
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

func (l *log) leak(leak pool.Leak) {
	kind := l.leaked
	if leak.Returned {
		kind = l.returned
	}
	kind.write(context.Background(), slog.Uint64("id", leak.ID), slog.Duration("held", leak.Held),
		slog.Time("since", leak.Since), slog.String("holder", leak.Stack.Caller()))
}

func (l *log) flush() {
	for _, kind := range l.all {
		kind.flush()
	}
}
