package poollog_test

import (
	"context"
	"errors"
	"log/slog"
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

// clock is a handler that notes when each line came.
type clock struct {
	began time.Time

	mu sync.Mutex // protects the following
	at []time.Duration
}

func (c *clock) Enabled(context.Context, slog.Level) bool { return true }
func (c *clock) Handle(context.Context, slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, time.Since(c.began))
	return nil
}
func (c *clock) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c *clock) WithGroup(string) slog.Handler      { return c }

func TestThrottle_AFlushedOneWaitsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }}, pool.Options{})
		require.NoError(t, err)
		c := &clock{began: time.Now()}
		tap := poollog.Observer(slog.New(c))(p)
		failed := func() { tap.End(t.Context(), pool.Event{Op: pool.Construct, Err: errors.New("refused")}) }
		failed()
		failed()
		<-time.After(200 * time.Millisecond)
		tap.Detach() // flushes
		<-time.After(100 * time.Millisecond)
		failed()
		<-time.After(5 * time.Second)
		c.mu.Lock()
		defer c.mu.Unlock()
		assert.Equal(t, []time.Duration{0, 200 * time.Millisecond, 1200 * time.Millisecond}, c.at)
		require.NoError(t, p.Close(t.Context()))
	})
}

// TestThrottle_ATimerThatIsTooLateWritesNoNewerLine flushes when a line that was kept is due: its timer
// may have gone off and not come to it yet, and must not write the next one, which has a timer of its own.
func TestThrottle_ATimerThatIsTooLateWritesNoNewerLine(t *testing.T) {
	for range 200 { // which of the two comes first is up to the scheduler
		synctest.Test(t, func(t *testing.T) {
			p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }}, pool.Options{})
			require.NoError(t, err)
			c := &clock{began: time.Now()}
			tap := poollog.Observer(slog.New(c))(p)
			failed := func() { tap.End(t.Context(), pool.Event{Op: pool.Construct, Err: errors.New("refused")}) }
			failed()
			failed()
			<-time.After(time.Second)
			tap.Detach() // flushes
			failed()
			<-time.After(5 * time.Second)
			c.mu.Lock()
			defer c.mu.Unlock()
			assert.Equal(t, []time.Duration{0, time.Second, 2 * time.Second}, c.at)
		})
	}
}

// panicking is a handler that panics with every line; it counts them by kind.
type panicking struct {
	mu    sync.Mutex // protects the following
	lines map[string]int
}

func (h *panicking) Enabled(context.Context, slog.Level) bool { return true }
func (h *panicking) Handle(_ context.Context, record slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines[record.Message]++
	panic("handler")
}
func (h *panicking) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *panicking) WithGroup(string) slog.Handler      { return h }

func (h *panicking) take() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	lines := h.lines
	h.lines = map[string]int{}
	return lines
}

func TestThrottle_AHandlerThatPanicsIsSwallowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &panicking{lines: map[string]int{}}
		p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }}, pool.Options{})
		require.NoError(t, err)
		tap := pool.SafeTap(poollog.Observer(slog.New(h))(p))
		failed := func(op pool.Op) { tap.End(t.Context(), pool.Event{Op: op, Err: errors.New("refused")}) }
		failed(pool.Construct)
		failed(pool.Construct)
		assert.Equal(t, map[string]int{"headpond: construct failed": 1}, h.take())
		<-time.After(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, map[string]int{"headpond: construct failed": 1}, h.take(), "the one that was kept, in a timer's goroutine")

		for range 2 {
			failed(pool.Construct)
			failed(pool.Reset)
		}
		h.take()
		tap.Detach()
		assert.Equal(t, map[string]int{"headpond: construct failed": 1, "headpond: reset failed": 1}, h.take(), "those of all kinds")
		require.NoError(t, p.Close(t.Context()))
	})
}
