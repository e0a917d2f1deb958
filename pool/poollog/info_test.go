package poollog_test

import (
	"bytes"
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

// lines keeps what a handler writes, from whatever goroutine.
type lines struct {
	mu   sync.Mutex // protects the following
	text bytes.Buffer
}

func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestInfo_SaturationFailedChecksAndFailingBuilds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		refuse := false
		p, err := pool.New(resource.Hooks[int]{
			Construct: func(context.Context) (int, error) {
				if refuse {
					return 0, errors.New("refused")
				}
				return 1, nil
			},
			Check: func(context.Context, int) error { return errors.New("dead") },
		}, pool.Options{Name: "orders", MaxSize: 1, MaxWaiters: 1, FailingAfter: time.Second, Policy: resource.Policy{CheckAfterIdle: -1}, Observer: poollog.Observer(slog.New(slog.NewTextHandler(&log, nil)))})
		require.NoError(t, err)
		_, err = p.Acquire(t.Context())
		require.Error(t, err)
		synctest.Wait()
		assert.Contains(t, log.String(), `level=INFO msg="headpond: acquire failed: no value passed its check" pool=orders`)
		refuse = true
		for range 10 {
			_, err = p.Acquire(t.Context())
			require.Error(t, err)
			<-time.After(time.Second)
		}
		assert.Contains(t, log.String(), `level=WARN msg="headpond: construct keeps failing" pool=orders for=`)
		require.NoError(t, p.Close(t.Context()))
	})
	synctest.Test(t, func(t *testing.T) {
		var log lines
		p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }},
			pool.Options{Name: "orders", MaxSize: 1, MaxWaiters: 1, LeakAfter: time.Minute, Observer: poollog.Observer(slog.New(slog.NewTextHandler(&log, nil)))})
		require.NoError(t, err)
		lease, err := p.Acquire(pool.WithLabel(t.Context(), "checkout"))
		require.NoError(t, err)
		go func() { _, _ = p.Acquire(t.Context()) }()
		synctest.Wait()
		_, err = p.Acquire(t.Context())
		require.ErrorIs(t, err, pool.ErrSaturated)
		assert.Contains(t, log.String(), `level=INFO msg="headpond: acquire refused: the queue is full" pool=orders`)
		<-time.After(2 * time.Minute)
		assert.Contains(t, log.String(), `label=checkout`)
		lease.Release()
		require.NoError(t, p.Close(t.Context()))
	})
}
