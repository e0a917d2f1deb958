package pool_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// collected reports whether what p points to becomes garbage: not at once,
// since goroutines that end hold on to it for a moment.
func collected[T any](p weak.Pointer[T]) bool {
	// With more than one, a processor that is idle may keep a timer that was stopped until it would have fired.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for began := time.Now(); p.Value() != nil && time.Since(began) < 20*time.Second; {
		runtime.GC()
		runtime.Gosched()
	}
	return p.Value() == nil
}

// TestThePoolKeepsNoCallersCtx has what a caller's ctx carries be garbage once his lease has ended,
// though hooks listened to that ctx, and the value lives on.
func TestThePoolKeepsNoCallersCtx(t *testing.T) {
	type request [1 << 10]byte
	type key struct{}
	listen := func(ctx context.Context, _ *fake.Value) error {
		assert.NotNil(t, ctx.Done())
		return nil
	}
	p, _ := newPool(t, pool.Options{MaxSize: 1, Policy: resource.Policy{
		CheckAfterIdle: -1, ConstructTimeout: time.Hour, CheckTimeout: time.Hour, ResetTimeout: time.Hour,
	}}, func(h *resource.Hooks[*fake.Value]) {
		construct := h.Construct
		h.Construct = func(ctx context.Context) (*fake.Value, error) {
			_ = listen(ctx, nil)
			return construct(ctx)
		}
		h.Check, h.Prepare, h.Reset = listen, listen, listen
	})
	var kept []weak.Pointer[request]
	for range 3 { // the first one builds
		r := new(request)
		lease, err := p.Acquire(context.WithValue(t.Context(), key{}, r))
		if assert.NoError(t, err) {
			lease.Release()
		}
		kept = append(kept, weak.Make(r))
	}
	for i, r := range kept {
		assert.True(t, collected(r), "the ctx of acquire %d", i)
	}
	assert.Equal(t, 1, p.Stats().Idle)
}

// TestAnIdleValueKeepsNoCtxOfACallerThatGaveUp has a caller that waited for the value, and left while that was checked.
func TestAnIdleValueKeepsNoCtxOfACallerThatGaveUp(t *testing.T) {
	type request struct{ _ [64]byte }
	type key struct{}
	var leave atomic.Pointer[context.CancelFunc]
	p, err := pool.New(resource.Hooks[int]{
		Construct: func(context.Context) (int, error) { return 1, nil },
		Check: func(ctx context.Context, _ int) error {
			if cancel := leave.Swap(nil); cancel != nil {
				(*cancel)()
				<-ctx.Done()
			}
			return ctx.Err()
		},
	}, pool.Options{MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1, CheckTimeout: time.Minute}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, p.Close(context.Background())) })
	first, err := p.Acquire(t.Context())
	require.NoError(t, err)
	kept := func() weak.Pointer[request] {
		r := new(request)
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, r))
		failed := make(chan error)
		go func() {
			_, err := p.Acquire(ctx)
			failed <- err
		}()
		for p.Stats().Waiting == 0 {
			runtime.Gosched()
		}
		leave.Store(&cancel)
		first.Release()
		assert.ErrorIs(t, <-failed, context.Canceled)
		return weak.Make(r)
	}()
	first = pool.Lease[int]{}
	assert.True(t, collected(kept))
	assert.Equal(t, 1, p.Stats().Live())
}
