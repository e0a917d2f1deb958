package pooltest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/pooltest"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var hooks = []pool.Op{pool.Construct, pool.Check, pool.Prepare, pool.Reset, pool.Destroy}

// everyUse makes Check run on every acquire.
var everyUse = pool.Options{MaxSize: 2, Policy: resource.Policy{CheckAfterIdle: -1}}

func TestCount(t *testing.T) {
	var maker fake.Maker
	p := pooltest.New(t, maker.Hooks(), everyUse)
	for range 3 {
		lease, err := p.Acquire(t.Context())
		require.NoError(t, err)
		lease.Release()
	}
	want := map[pool.Op]int{pool.Construct: 1, pool.Check: 3, pool.Prepare: 3, pool.Reset: 3, pool.Destroy: 0}
	for _, op := range hooks {
		assert.Equal(t, want[op], p.Count(op), "%v", op)
	}
	require.NoError(t, p.Close(t.Context()))
	assert.Equal(t, 1, p.Count(pool.Destroy))
	maker.Finished(t)
}

// Every hook fails when it is told to, whether the pool has one or not, and then works again.
func TestFail(t *testing.T) {
	refused := errors.New("refused")
	for name, hooks := range map[string]func(*fake.Maker) resource.Hooks[*fake.Value]{
		"with hooks": (*fake.Maker).Hooks,
		"without": func(maker *fake.Maker) resource.Hooks[*fake.Value] {
			return resource.Hooks[*fake.Value]{Construct: maker.Hooks().Construct, Destroy: maker.Hooks().Destroy}
		},
	} {
		for op, reason := range map[pool.Op]resource.Reason{
			pool.Construct: resource.None, pool.Check: resource.CheckFailed, pool.Prepare: resource.PrepareFailed,
			pool.Reset: resource.ResetFailed, pool.Destroy: resource.Discarded,
		} {
			t.Run(name+" "+op.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var maker fake.Maker
					p := pooltest.New(t, hooks(&maker), everyUse)
					once := func() error {
						lease, err := p.Acquire(t.Context())
						if op == pool.Destroy {
							lease.Discard()
						} else {
							lease.Release()
						}
						synctest.Wait()
						return err
					}
					p.Fail(op, refused)
					err := once()
					times := 1
					if op == pool.Check {
						times = 3 // every value that Acquire tries
					}
					if op == pool.Construct || op == pool.Check || op == pool.Prepare {
						assert.ErrorIs(t, err, refused)
					} else {
						assert.NoError(t, err)
					}
					stats := p.Stats()
					if op == pool.Construct {
						assert.EqualValues(t, 1, stats.CreateFailed)
					} else {
						assert.EqualValues(t, times, stats.Destroyed[reason])
					}
					if op == pool.Destroy {
						assert.EqualValues(t, 1, stats.DestroyFailed)
					}
					assert.Equal(t, times, p.Count(op))

					p.Fail(op, nil)
					<-time.After(time.Second) // after the backoff
					require.NoError(t, once())
					p.FailNext(op, 1, refused)
					_ = once()
					<-time.After(time.Second)
					require.NoError(t, once())
					require.NoError(t, p.Close(t.Context()))
					maker.Finished(t)
				})
			})
		}
	}
}

func TestFailNext(t *testing.T) {
	var maker fake.Maker
	p := pooltest.New(t, maker.Hooks(), pool.Options{})
	p.FailNext(pool.Prepare, 2, pool.ErrAcquireTimeout)
	for range 2 {
		_, err := p.Acquire(t.Context())
		assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	}
	require.NoError(t, p.Do(t.Context(), func(context.Context, *fake.Value) error { return nil }))
}

func TestOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var maker fake.Maker
		p := pooltest.New(t, maker.Hooks(), pool.Options{AcquireTimeout: time.Second})
		p.On(pool.Construct, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		began := time.Now()
		_, err := p.Acquire(t.Context())
		assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
		assert.Equal(t, time.Second, time.Since(began))
	})
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	var r recorder
	r.run(func() { pooltest.New(&r, resource.Hooks[int]{}, pool.Options{}) })
	assert.True(t, r.fatal)
	require.Len(t, r.errors, 1)
	assert.Contains(t, r.errors[0], "Hooks.Construct is nil")

	for name, call := range map[string]func(p *pooltest.Pool[*fake.Value]){
		"Fail":  func(p *pooltest.Pool[*fake.Value]) { p.Fail(pool.Acquire, errors.New("no")) },
		"Count": func(p *pooltest.Pool[*fake.Value]) { p.Count(pool.Release) },
	} {
		var r recorder
		var maker fake.Maker
		r.run(func() { call(pooltest.New(&r, maker.Hooks(), pool.Options{})) })
		assert.True(t, r.fatal, name)
		require.Len(t, r.errors, 1)
		assert.Contains(t, r.errors[0], "is not a hook")
	}
}

// The pool ends with the test, and a Close that fails is an error of the test.
func TestTheEndOfATest(t *testing.T) {
	var r recorder
	var maker fake.Maker
	r.run(func() {
		p := pooltest.New(&r, maker.Hooks(), pool.Options{})
		assert.NoError(t, p.Warm(t.Context(), 2))
	})
	assert.Empty(t, r.errors)
	maker.Finished(t)

	synctest.Test(t, func(t *testing.T) {
		var r recorder
		hung := make(chan struct{})
		r.run(func() {
			var maker fake.Maker
			p := pooltest.New(&r, maker.Hooks(), pool.Options{Policy: resource.Policy{DestroyTimeout: time.Minute}})
			p.On(pool.Destroy, func(context.Context) error { <-hung; return nil })
			assert.NoError(t, p.Warm(t.Context(), 1))
		})
		require.Len(t, r.errors, 1)
		assert.Contains(t, r.errors[0], "1 being destroyed")
		close(hung)
		synctest.Wait()
	})
}
