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
