package pool_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pair returns an observer of two recorders, and what both of them wrote since the last call.
func pair() (both pool.Observer, take func() []string) {
	var list recorder
	one, two := &recorder{name: "one "}, &recorder{name: "two "}
	both = pool.Observers(list.beside(one), nil, list.beside(two))
	return both, func() []string {
		lines, _ := list.take()
		return lines
	}
}

// beside is r's observer of what other would write, with other's trail.
func (r *recorder) beside(other *recorder) pool.Observer {
	return func(p pool.Inspector) pool.Tap {
		tap := other.observer(p)
		begin, end, detach := tap.Begin, tap.End, tap.Detach
		written := func() {
			other.mu.Lock()
			r.mu.Lock()
			r.lines = append(r.lines, other.lines...)
			other.lines = nil
			r.mu.Unlock()
			other.mu.Unlock()
		}
		tap.Begin = func(ctx context.Context, event pool.Event) context.Context {
			defer written()
			return begin(ctx, event)
		}
		tap.End = func(ctx context.Context, event pool.Event) {
			end(ctx, event)
			written()
		}
		tap.Detach = func() {
			detach()
			written()
		}
		tap.Leak = func(pool.Leak) { r.line(other.name + "leak") }
		tap.Enabled = func(ctx context.Context) bool { return ctx.Value(quietKey{other.name}) == nil }
		return tap
	}
}

type quietKey struct{ name string }

func TestObserversAreCalledInOrderAndEachHasItsCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both, take := pair()
		p, _ := newPool(t, pool.Options{MaxSize: 1, Observer: both})
		acquire(t, p).Release()
		take()
		acquire(t, p).Release()
		assert.Equal(t, []string{
			"one begin /acquire #0", "two begin /acquire #0",
			"one begin /acquire/prepare #1", "two begin /acquire/prepare #1",
			"two end /acquire/prepare #1", "one end /acquire/prepare #1",
			"two end /acquire #1", "one end /acquire #1",
			"one begin /acquire/release #1", "two begin /acquire/release #1",
			"one begin /acquire/release/reset #1", "two begin /acquire/release/reset #1",
			"two end /acquire/release/reset #1", "one end /acquire/release/reset #1",
			"two end /acquire/release #1", "one end /acquire/release #1",
		}, take())
		require.NoError(t, p.Close(t.Context()))
		assert.Equal(t, []string{
			"one begin /destroy #1", "two begin /destroy #1", "two end /destroy #1", "one end /destroy #1",
			"one detach", "two detach",
		}, take(), "what belongs to no lease is for all")
	})
}

func TestEachOfObserversDecidesForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both, take := pair()
		p, _ := newPool(t, pool.Options{MaxSize: 1, Observer: both})
		acquire(t, p).Release()
		take()
		lease, err := p.Acquire(context.WithValue(t.Context(), quietKey{"one "}, true))
		require.NoError(t, err)
		lease.Release()
		assert.Equal(t, []string{
			"two begin /acquire #0", "two begin /acquire/prepare #1", "two end /acquire/prepare #1", "two end /acquire #1",
			"two begin /acquire/release #1", "two begin /acquire/release/reset #1", "two end /acquire/release/reset #1", "two end /acquire/release #1",
		}, take())
		neither := context.WithValue(context.WithValue(t.Context(), quietKey{"one "}, true), quietKey{"two "}, true)
		lease, err = p.Acquire(neither)
		require.NoError(t, err)
		lease.Release()
		assert.Empty(t, take())
	})
}

func TestObserversAllHearOfALeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both, take := pair()
		p, _ := newPool(t, pool.Options{MaxSize: 1, LeakAfter: time.Second, MaintainEvery: time.Second, Observer: both})
		lease := acquire(t, p)
		take()
		<-time.After(3 * time.Second)
		assert.Equal(t, []string{"one leak", "two leak"}, take())
		lease.Release()
	})
}

func TestObserversOfNoneAndOfOne(t *testing.T) {
	tap := pool.Observers(nil, nil)(nil)
	assert.False(t, tap.Enabled(t.Context()), "it costs nothing")

	asked := 0
	tap = pool.Observers(nil, func(pool.Inspector) pool.Tap {
		return pool.Tap{Enabled: func(context.Context) bool { asked++; return true }}
	})(nil)
	assert.True(t, tap.Enabled(t.Context()))
	assert.Equal(t, 1, asked, "it is that one itself")
}

func TestObserversOfTapsWithNothingInThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		empty := func(pool.Inspector) pool.Tap { return pool.Tap{} }
		p, _ := newPool(t, pool.Options{MaxSize: 1, LeakAfter: time.Second, MaintainEvery: time.Second, Observer: pool.Observers(empty, empty)})
		lease := acquire(t, p)
		<-time.After(3 * time.Second)
		lease.Release()
	})
}

// TestObservers_GoexitInBeginEndsWhatHasBegun has the second of three observers call runtime.Goexit, once, when an operation begins.
func TestObservers_GoexitInBeginEndsWhatHasBegun(t *testing.T) {
	nop := func(context.Context, int) error { return nil }
	hooks := resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }, Check: nop, Prepare: nop, Reset: nop, Destroy: nop}
	for _, op := range []pool.Op{pool.Acquire, pool.Release, pool.Construct, pool.Destroy, pool.Check, pool.Prepare, pool.Reset} {
		t.Run(op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var exited atomic.Bool
				exits := func(pool.Inspector) pool.Tap {
					return pool.Tap{Begin: func(ctx context.Context, event pool.Event) context.Context {
						if event.Op == op && exited.CompareAndSwap(false, true) {
							runtime.Goexit()
						}
						return ctx
					}}
				}
				before, after := &spans{open: map[*pool.Op]bool{}}, &spans{open: map[*pool.Op]bool{}}
				p, err := pool.New(hooks, pool.Options{MaxSize: 1, Policy: resource.Policy{CheckAfterIdle: -1},
					Observer: pool.Observers(before.observer, exits, after.observer)})
				require.NoError(t, err)
				for range 3 {
					go func() {
						lease, err := p.Acquire(context.Background())
						if assert.NoError(t, err) {
							lease.Release()
						}
					}()
					synctest.Wait()
				}
				require.NoError(t, p.Close(t.Context()))
				require.True(t, exited.Load())
				for _, s := range []*spans{before, after} {
					assert.Empty(t, s.open, "what has begun has ended")
					assert.Zero(t, s.strays, "once, with the ctx that its Begin returned")
				}
				assert.Empty(t, after.failures(op), "it was not told of what goes no further")
				if op == pool.Construct || op == pool.Destroy {
					assert.Empty(t, before.failures(op), "it goes on")
					return
				}
				require.Len(t, before.failures(op), 1)
				failed := before.failures(op)[0]
				assert.EqualError(t, failed.Err, "an observer called runtime.Goexit")
				if op == pool.Release {
					assert.Equal(t, pool.Destroyed, failed.Outcome)
					assert.Equal(t, resource.Panicked, failed.Reason)
				}
			})
		})
	}
}

// spans is an observer that keeps a span for each operation, as tracing does.
type spans struct {
	mu     sync.Mutex // protects the following
	open   map[*pool.Op]bool
	strays int          // Ends whose ctx has no span that is open, or that of another operation
	failed []pool.Event // Ends with an error
}

func (s *spans) failures(op pool.Op) (failed []pool.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, event := range s.failed {
		if event.Op == op {
			failed = append(failed, event)
		}
	}
	return failed
}

func (s *spans) observer(pool.Inspector) pool.Tap {
	return pool.Tap{
		Begin: func(ctx context.Context, event pool.Event) context.Context {
			s.mu.Lock()
			defer s.mu.Unlock()
			span := &event.Op
			s.open[span] = true
			return context.WithValue(ctx, s, span)
		},
		End: func(ctx context.Context, event pool.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			span, _ := ctx.Value(s).(*pool.Op)
			if !s.open[span] || *span != event.Op {
				s.strays++
			}
			delete(s.open, span)
			if event.Err != nil {
				s.failed = append(s.failed, event)
			}
		},
	}
}
