package poollog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poollog"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type traceKey struct{}

// tracing is a handler that adds what the ctx carries, as one does that adds trace ids.
type tracing struct{ slog.Handler }

func (h tracing) Handle(ctx context.Context, record slog.Record) error {
	if id, ok := ctx.Value(traceKey{}).(string); ok {
		record.AddAttrs(slog.String("trace", id))
	}
	return h.Handler.Handle(ctx, record)
}

// logged is a logger that keeps its lines, without their times.
type logged struct {
	*slog.Logger

	mu   sync.Mutex // protects the following
	text []byte
}

func (l *logged) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, text...)
	return len(text), nil
}

func newLogged(level slog.Level) *logged {
	l := &logged{}
	l.Logger = slog.New(tracing{slog.NewTextHandler(l, &slog.HandlerOptions{Level: level,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "since" {
				return slog.Attr{}
			}
			return a
		}})})
	return l
}

// take returns the lines since the last time.
func (l *logged) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.TrimSuffix(string(l.text), "\n")
	l.text = nil
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// fails are the errors of hooks, each for once.
type fails struct{ sync.Map }

func (f *fails) of(op pool.Op) error {
	err, _ := f.LoadAndDelete(op)
	failure, _ := err.(error)
	return failure
}

func (f *fails) hooks() resource.Hooks[int] {
	fail := func(op pool.Op) func(context.Context, int) error {
		return func(context.Context, int) error { return f.of(op) }
	}
	return resource.Hooks[int]{
		Construct: func(context.Context) (int, error) { return 1, f.of(pool.Construct) },
		Check:     fail(pool.Check), Prepare: fail(pool.Prepare), Reset: fail(pool.Reset), Destroy: fail(pool.Destroy),
	}
}

func TestOneLineForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(slog.LevelDebug)
		var fails fails
		p, err := pool.New(fails.hooks(), pool.Options{
			Name: "orders", MaxSize: 1, AcquireTimeout: 2 * time.Second, LeakAfter: time.Minute, MaintainEvery: time.Minute,
			Policy: resource.Policy{CheckAfterIdle: -1}, Observer: poollog.Observer(l.Logger),
		})
		require.NoError(t, err)
		ctx := context.WithValue(t.Context(), traceKey{}, "4711")
		acquire := func() (pool.Lease[int], error) {
			defer synctest.Wait()
			return p.Acquire(ctx)
		}
		// later waits until any line may be written again, and the pool's rest after a failure is over.
		later := func() { <-time.After(5 * time.Second) }

		lease, err := acquire()
		require.NoError(t, err)
		assert.Empty(t, l.take(), "nothing to say")

		_, err = acquire()
		require.Error(t, err)
		lines := l.take()
		require.Len(t, lines, 1)
		assert.Regexp(t, `^level=WARN msg="headpond: acquire timed out" pool=orders took=2s error="headpond/pool .* trace=4711$`, lines[0])

		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		later()
		_, err = p.Acquire(short)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, l.take(), 1, "the caller's deadline too")

		<-time.After(2 * time.Minute)
		synctest.Wait()
		lines = l.take()
		require.Len(t, lines, 1)
		assert.Regexp(t, `^level=WARN msg="headpond: a lease is held for too long" pool=orders id=1 held=\S+ holder=".*observer_test.go:\d+ \S+"$`, lines[0])
		lease.Release()
		lines = l.take()
		require.Len(t, lines, 1)
		assert.Regexp(t, `^level=WARN msg="headpond: a lease that was held for too long came back" pool=orders id=1 held=\S+ holder=".*observer_test.go:\d+ \S+"$`, lines[0])

		fails.Store(pool.Check, errors.New("line\nbreak"))
		fails.Store(pool.Destroy, errors.New("stuck"))
		lease, err = acquire()
		require.NoError(t, err)
		assert.ElementsMatch(t, []string{
			`level=DEBUG msg="headpond: check failed" pool=orders id=1 took=0s error="line\nbreak" trace=4711`,
			`level=WARN msg="headpond: destroy failed" pool=orders id=1 reason=check_failed took=0s error=stuck`,
			`level=DEBUG msg="headpond: value retired" pool=orders id=1 reason=check_failed`,
		}, l.take())

		later()
		fails.Store(pool.Reset, errors.New("no"))
		lease.Release()
		synctest.Wait()
		assert.ElementsMatch(t, []string{
			`level=DEBUG msg="headpond: reset failed" pool=orders id=2 took=0s error=no trace=4711`,
			`level=DEBUG msg="headpond: value retired" pool=orders id=2 reason=reset_failed`,
		}, l.take())

		later()
		fails.Store(pool.Construct, fmt.Errorf("dial: %w", context.DeadlineExceeded))
		_, err = acquire()
		require.Error(t, err)
		assert.Equal(t, []string{
			`level=WARN msg="headpond: construct failed" pool=orders id=3 took=0s error="dial: context deadline exceeded" trace=4711`,
		}, l.take(), "and no timeout of the acquire's")

		later()
		fails.Store(pool.Prepare, errors.New("no"))
		_, err = acquire()
		require.Error(t, err)
		assert.ElementsMatch(t, []string{
			`level=DEBUG msg="headpond: prepare failed" pool=orders id=4 took=0s error=no trace=4711`,
			`level=DEBUG msg="headpond: value retired" pool=orders id=4 reason=prepare_failed`,
		}, l.take())

		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		_, err = p.Acquire(cancelled)
		require.ErrorIs(t, err, context.Canceled)
		_, err = p.TryAcquire(ctx)
		require.ErrorIs(t, err, pool.ErrUnavailable)
		require.NoError(t, p.Close(t.Context()))
		_, err = p.Acquire(ctx)
		require.ErrorIs(t, err, pool.ErrClosed)
		assert.Empty(t, l.take(), "nothing that a caller does not expect")
	})
}

func TestAnOutageDoesNotFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(slog.LevelWarn)
		var taps []pool.Tap
		for _, name := range []string{"a", "b"} {
			p, err := pool.New(new(fails).hooks(), pool.Options{Name: name})
			require.NoError(t, err)
			taps = append(taps, poollog.Observer(l.Logger)(p))
		}
		fail := func(tap pool.Tap, n int) {
			tap.End(t.Context(), pool.Event{Op: pool.Construct, ID: uint64(n), Err: errors.New("down")})
		}
		const line = `level=WARN msg="headpond: construct failed" pool=%s id=%d took=0s error=down%s`
		// For 10 seconds and a half, 100 a second.
		for n := range 1050 {
			fail(taps[0], n)
			pause := 10 * time.Millisecond
			if n == 0 {
				pause /= 2 // no two things at the same moment
			}
			<-time.After(pause)
			synctest.Wait()
		}
		lines := l.take()
		require.Len(t, lines, 11)
		assert.Equal(t, fmt.Sprintf(line, "a", 0, ""), lines[0])
		assert.Equal(t, fmt.Sprintf(line, "a", 100, " left_out=99"), lines[1])
		assert.Equal(t, fmt.Sprintf(line, "a", 200, " left_out=99"), lines[2])

		fail(taps[1], 1)
		assert.Equal(t, []string{fmt.Sprintf(line, "b", 1, "")}, l.take(), "another pool")
		taps[0].End(t.Context(), pool.Event{Op: pool.Destroy, ID: 1, Reason: resource.Evicted, Err: errors.New("down")})
		assert.Len(t, l.take(), 1, "another kind")

		<-time.After(time.Hour)
		synctest.Wait()
		assert.Equal(t, []string{fmt.Sprintf(line, "a", 1049, " left_out=48")}, l.take(), "none is lost when it ends")

		fail(taps[0], 1)
		fail(taps[0], 2)
		fail(taps[0], 3)
		taps[0].Detach()
		assert.Equal(t, []string{fmt.Sprintf(line, "a", 1, ""), fmt.Sprintf(line, "a", 3, " left_out=1")}, l.take(), "nor when the pool is closed")
		taps[0].Detach()
		<-time.After(time.Hour)
		assert.Empty(t, l.take())
	})
}

// TestALineAtTheMomentOfAnother writes when a line that was kept is due, which comes first as it may.
func TestALineAtTheMomentOfAnother(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			l := newLogged(slog.LevelWarn)
			p, err := pool.New(new(fails).hooks(), pool.Options{})
			require.NoError(t, err)
			tap := poollog.Observer(l.Logger)(p)
			fail := func() { tap.End(t.Context(), pool.Event{Op: pool.Construct, Err: errors.New("down")}) }
			fail()
			fail()
			<-time.After(time.Second)
			fail()
			synctest.Wait()
			assert.Len(t, l.take(), 2)
		})
	}
}

func TestAConstructThatCloseEndsIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(slog.LevelDebug)
		p, err := pool.New(resource.Hooks[int]{Construct: func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}}, pool.Options{Observer: poollog.Observer(l.Logger)})
		require.NoError(t, err)
		go func() { _, _ = p.Acquire(context.Background()) }()
		synctest.Wait()
		require.NoError(t, p.Close(t.Context()))
		synctest.Wait()
		assert.Empty(t, l.take())
	})
}

func TestTheDefaultLogger(t *testing.T) {
	l := newLogged(slog.LevelWarn)
	p, err := pool.New(new(fails).hooks(), pool.Options{})
	require.NoError(t, err)
	tap := poollog.Observer(nil)(p)
	before := slog.Default()
	slog.SetDefault(l.Logger)
	defer slog.SetDefault(before)
	tap.End(t.Context(), pool.Event{Op: pool.Construct, Err: errors.New("down")})
	assert.Len(t, l.take(), 1, "the one that is in force when there is something to say")
}

// Measured with Go 1.26.
func TestAnAcquireThatGoesWellAllocatesNothing(t *testing.T) {
	p, err := pool.New(new(fails).hooks(), pool.Options{})
	require.NoError(t, err)
	tap := poollog.Observer(newLogged(slog.LevelDebug).Logger)(p)
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		tap.End(ctx, pool.Event{Op: pool.Check, ID: 1})
		tap.End(ctx, pool.Event{Op: pool.Acquire, ID: 1})
		tap.End(ctx, pool.Event{Op: pool.Release, ID: 1})
	}))
}
