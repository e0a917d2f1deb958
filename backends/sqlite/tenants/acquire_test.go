package tenants

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/internal/ctxerr"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hold acquires the database of a tenant, which must succeed.
func holdOn(t *testing.T, p *Pool, tenant string) *hold {
	t.Helper()
	h, err := p.acquire(t.Context(), tenant, kindUse)
	require.NoError(t, err)
	return h
}

func shut(t *testing.T, p *Pool) { require.NoError(t, p.Close(context.Background())) }

func TestAcquire_Timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := fake(t, Options{MaxOpen: 1, AcquireTimeout: time.Second})
		defer shut(t, p)
		a := holdOn(t, p, "a")
		defer p.release(a)
		time.Sleep(10 * time.Second)
		began := time.Now()
		_, err := p.acquire(t.Context(), "b", kindUse)
		assert.Equal(t, time.Second, time.Since(began))
		assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotErrorIs(t, err, context.Canceled)
		assert.EqualError(t, err, `headpond/tenants "tenants": "b": acquire: after 1s: acquire timeout `+
			`(1 of 1 open, 1 of them held, 0 opening, 0 closing, 0 calls waiting, longest held: "a" for 11s): end calls sooner or raise MaxOpen`)
		var failed *Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, "b", failed.Tenant)
		assert.Equal(t, time.Second, failed.Waited)
		assert.Equal(t, "a", failed.Longest.Tenant)

		for _, test := range []struct {
			ctx  func(t *testing.T) context.Context
			want error
		}{
			{func(t *testing.T) context.Context { return ending(t, time.Millisecond) }, context.DeadlineExceeded},
			{cancelled, context.Canceled},
			{cancelledLater, errQuit},
		} {
			ctx := test.ctx(t)
			_, err = p.acquire(ctx, "b", kindUse)
			assert.ErrorIs(t, err, test.want)
			assert.ErrorIs(t, err, ctx.Err())
			assert.NotErrorIs(t, err, pool.ErrAcquireTimeout)
		}
		stats := p.Stats()
		assert.EqualValues(t, 2, stats.TimedOut)
		assert.EqualValues(t, 1, stats.Cancelled, "the other one did not wait")
		assert.Equal(t, time.Second+2*time.Millisecond+4*time.Millisecond, stats.WaitTime, "with the opening of a")
		assert.NotContains(t, p.admission.entries, "b")
	})
}

// TestError_AdvisesMorePlacesIfTheyHelp has calls whose time ends while the one place is taken.
func TestError_AdvisesMorePlacesIfTheyHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := fake(t, Options{MaxOpen: 1, AcquireTimeout: time.Second})
		defer shut(t, p)
		const advice = "raise MaxOpen"
		a := holdOn(t, p, "a")
		_, err := p.acquire(t.Context(), "b", kindUse)
		assert.ErrorContains(t, err, advice)
		_, err = p.acquire(t.Context(), "a", kindExclusive)
		assert.ErrorContains(t, err, `"a": exclusive: after 1s: acquire timeout (1 of 1 open, 1 of them held`, "it waits for a call of its own tenant")
		assert.NotContains(t, err.Error(), advice)
		err = p.callWithin(a, "a", nil, func(_ *sqlite.DB, ctx context.Context, _ function) error {
			<-ctx.Done()
			return ctxerr.Ended(ctx)
		}, nil)
		assert.ErrorContains(t, err, "no turn in the database")
		assert.NotContains(t, err.Error(), advice)

		c, err := p.acquire(t.Context(), "c", kindExclusive)
		require.NoError(t, err)
		_, err = p.acquire(t.Context(), "c", kindUse)
		assert.ErrorContains(t, err, "by Exclusive")
		assert.NotContains(t, err.Error(), advice)
		err = p.Close(ending(t, time.Second))
		assert.ErrorContains(t, err, "1 of 1 open, 1 of them held")
		assert.NotContains(t, err.Error(), advice)
		p.release(c)
		p.release(a)
	})
}

var errQuit = errors.New("quit")

func ending(t *testing.T, after time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), after)
	t.Cleanup(cancel)
	return ctx
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func cancelledLater(t *testing.T) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(time.Millisecond, func() { cancel(errQuit) })
	return ctx
}

// TestAcquire_EndsAsItIsAdmitted has both at the same moment: whatever the call returns, it holds the database if and only if it succeeds.
func TestAcquire_EndsAsItIsAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := fake(t, Options{})
		defer shut(t, p)
		failed := 0
		for range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			h := &hold{Context: ctx, pool: p, tenant: "a"}
			p.mu.Lock()
			e := p.admission.entry("a", "a")
			e.retired = true // it waits, though the database is open
			w, err := p.admission.wait(e, h, p.now())
			require.NoError(t, err)
			p.applyLocked(p.now())
			p.mu.Unlock()
			time.Sleep(time.Second)
			synctest.Wait()
			cancel()
			if err := p.await(w); err != nil {
				failed++
				assert.ErrorIs(t, err, context.Canceled)
				assert.Zero(t, p.Stats().Calls)
				continue
			}
			assert.Equal(t, 1, p.Stats().Calls)
			p.release(h)
		}
		assert.NotZero(t, failed)
	})
}

// TestAcquire_EndsAsItsOpenHasFailed has ctx end before the call looks: the error is that of the open.
func TestAcquire_EndsAsItsOpenHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := fake(t, Options{})
		defer shut(t, p)
		store.fail = func(string) error { return errBroken }
		for n := range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			h := &hold{Context: ctx, pool: p, tenant: fmt.Sprint(n)}
			p.mu.Lock()
			w, err := p.admission.wait(p.admission.entry(h.tenant, h.tenant), h, p.now())
			require.NoError(t, err)
			p.applyLocked(p.now())
			p.mu.Unlock()
			time.Sleep(time.Second)
			cancel()
			assert.ErrorIs(t, p.await(w), errBroken)
		}
		assert.Zero(t, p.Stats().Cancelled)
	})
}

// TestCall_TurnComesAsTheTimeEnds has both at the same moment: either use runs, and AcquireTimeout does not end its ctx, or it does not run.
func TestCall_TurnComesAsTheTimeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := fake(t, Options{AcquireTimeout: time.Millisecond})
		defer shut(t, p)
		for try := range 20_000 {
			h := &hold{Context: t.Context(), pool: p, tenant: "a"}
			ran := false
			err := p.callWithin(h, "a", nil, func(_ *sqlite.DB, ctx context.Context, use function) error {
				time.Sleep(time.Millisecond) // as long as the call may wait
				for range try % 100 {        // use begins a little later at each try
					if ctx.Err() != nil {
						break
					}
				}
				return use(ctx, nil)
			}, func(ctx context.Context, _ *sqlite.Conn) error {
				ran = true
				for range 1000 {
					if ctx.Err() != nil {
						return ctxerr.Ended(ctx)
					}
				}
				return nil
			})
			if ran {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, pool.ErrAcquireTimeout)
			}
		}
	})
}

// TestAcquire_NoTimeout waits longer than any default.
func TestAcquire_NoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := fake(t, Options{MaxOpen: 1, AcquireTimeout: -1})
		defer shut(t, p)
		a := holdOn(t, p, "a")
		time.AfterFunc(time.Hour, func() { p.release(a) })
		p.release(holdOn(t, p, "b"))
	})
}

// TestAcquire_OneOpenServesAll has callers with a ctx each: one that gives up takes nothing from the others.
func TestAcquire_OneOpenServesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := fake(t, Options{})
		defer shut(t, p)
		store.openFor = time.Second
		type key struct{}
		values := make(chan any, 1)
		store.inside = func(ctx context.Context, _ string) {
			values <- ctx.Value(key{})
			_, limited := ctx.Deadline()
			assert.False(t, limited)
		}
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "first"), time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			_, err := p.acquire(ctx, "a", kindUse)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		})
		synctest.Wait()
		for range 100 {
			all.Go(func() { p.release(holdOn(t, p, "a")) })
		}
		all.Wait()
		assert.Equal(t, 1, store.opened["a"])
		assert.Equal(t, "first", <-values, "it has the values of the one who asked first")

		h := holdOn(t, p, "a")
		assert.Zero(t, h.waited)
		p.release(h)
		assert.EqualValues(t, 1, p.Stats().Hits)
	})
}

// TestAcquire_WhatNobodyWaitsForStays gives up while a database is opened: it is there for the next call.
func TestAcquire_WhatNobodyWaitsForStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := fake(t, Options{})
		defer shut(t, p)
		_, err := p.acquire(ending(t, time.Millisecond), "a", kindUse)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(time.Second)
		p.release(holdOn(t, p, "a"))
		assert.Equal(t, 1, store.opened["a"])
	})
}

func TestAcquire_OpenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := fake(t, Options{MaxOpen: 1})
		defer shut(t, p)
		fails := true
		store.fail = func(tenant string) error {
			if fails && tenant == "a" {
				return errBroken
			}
			return nil
		}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				_, err := p.acquire(t.Context(), "a", kindUse)
				assert.ErrorIs(t, err, errBroken)
				assert.EqualError(t, err, `headpond/tenants "tenants": "a": open: broken`)
			})
		}
		all.Wait()
		_, err := p.acquire(t.Context(), "a", kindUse)
		assert.EqualError(t, err, `headpond/tenants "tenants": "a": open: broken (failed 1 times in a row; the next try is in 100ms)`)
		assert.EqualValues(t, 1, p.Stats().OpenFailed, "nothing was tried meanwhile")
		assert.Equal(t, 1, p.Stats().Failing)
		p.release(holdOn(t, p, "b"))
		fails = false
		time.Sleep(100 * time.Millisecond)
		p.release(holdOn(t, p, "a"))
		assert.Zero(t, p.Stats().Failing)
	})
}

// TestStats_FailingEndsByItself has opens that fail until the pause is longest, and then no further call.
func TestStats_FailingEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := fake(t, Options{})
		defer shut(t, p)
		store.fail = func(string) error { return errBroken }
		for range 10 {
			_, err := p.acquire(t.Context(), "a", kindUse)
			assert.ErrorIs(t, err, errBroken)
			time.Sleep(longestPause)
		}
		assert.Equal(t, 1, p.Stats().Failing)
		time.Sleep(longestPause)
		assert.Zero(t, p.Stats().Failing)
		assert.Empty(t, p.admission.entries)
	})
}

// TestAcquire_OpenPanics opens databases with a Setup that panics, or ends its goroutine.
func TestAcquire_OpenPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := fake(t, Options{MaxOpen: 1})
		defer shut(t, p)
		store.inside = func(_ context.Context, tenant string) {
			store.set(tenant, "opening", "")
			if tenant == "panics" {
				panic("at the disco")
			}
			runtime.Goexit()
		}
		for tenant, text := range map[string]string{"panics": "at the disco", "exits": "runtime.Goexit"} {
			_, err := p.acquire(t.Context(), tenant, kindUse)
			var thrown *pool.PanicError
			assert.ErrorAs(t, err, &thrown)
			assert.ErrorContains(t, err, text)
		}
		assert.Zero(t, p.Stats().Opening)
	})
}

func TestAcquire_BadName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := fake(t, Options{MaxOpen: 1})
		defer shut(t, p)
		a := holdOn(t, p, "a")
		defer p.release(a)
		_, err := p.acquire(t.Context(), "", kindUse)
		assert.EqualError(t, err, `headpond/tenants "tenants": path: the name is empty`, "it does not wait")
		assert.Len(t, p.admission.entries, 1)
	})
}

func TestAcquire_Callbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type told struct {
			what, tenant string
			took         time.Duration
			err          error
		}
		var all []told
		p, store := fake(t, Options{
			MaxOpen: 1,
			OnOpen: func(tenant string, took time.Duration, err error) {
				all = append(all, told{"open", tenant, took, err})
				panic("it is swallowed")
			},
			OnClose: func(tenant string, took time.Duration, err error) {
				all = append(all, told{"close", tenant, took, err})
				panic("it is swallowed")
			},
		})
		defer shut(t, p)
		store.fail = func(tenant string) error {
			if tenant == "b" {
				return errBroken
			}
			return nil
		}
		store.onClosing = func(string) error { return errBroken }
		p.release(holdOn(t, p, "a"))
		_, err := p.acquire(t.Context(), "b", kindUse)
		assert.ErrorIs(t, err, errBroken)
		assert.Equal(t, []told{{"open", "a", store.openFor, nil}, {"close", "a", store.closeFor, errBroken}, {"open", "b", store.openFor, errBroken}}, all)
		stats := p.Stats()
		assert.EqualValues(t, 1, stats.CloseFailed)
		assert.Equal(t, 2*store.openFor, stats.OpenTime)
		assert.Equal(t, store.closeFor, stats.CloseTime)
	})
}

// TestAcquire_CallbacksExit has each callback call runtime.Goexit once, as require.FailNow does: no place and no hold is lost for it.
func TestAcquire_CallbacksExit(t *testing.T) {
	for _, where := range []string{
		"OnOpen", "OnClose", "begin acquire", "end acquire", "begin release", "end release",
		"begin construct", "end construct", "begin destroy", "end destroy",
	} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var exited atomic.Bool
				exit := func(here string) {
					if here == where && exited.CompareAndSwap(false, true) {
						runtime.Goexit()
					}
				}
				p, store := fake(t, Options{
					MaxOpen: 1,
					OnOpen:  func(string, time.Duration, error) { exit("OnOpen") },
					OnClose: func(string, time.Duration, error) { exit("OnClose") },
					Observer: func(pool.Inspector) pool.Tap {
						return pool.Tap{
							Begin: func(ctx context.Context, event pool.Event) context.Context {
								exit("begin " + event.Op.String())
								return ctx
							},
							End: func(_ context.Context, event pool.Event) { exit("end " + event.Op.String()) },
						}
					},
				})
				for _, tenant := range []string{"a", "b", "a"} {
					var all sync.WaitGroup
					all.Go(func() { p.release(holdOn(t, p, tenant)) })
					all.Wait()
				}
				assert.NoError(t, p.Close(ending(t, time.Minute)))
				assert.True(t, exited.Load())
				assert.Empty(t, store.now())
				assert.Zero(t, p.Stats().Calls)
			})
		})
	}
}

// TestAcquire_PathIsAskedAgain moves a tenant to another path while it is closed.
func TestAcquire_PathIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := fake(t, Options{MaxOpen: 1})
		defer shut(t, p)
		asked := 0
		path := p.options.Path
		p.options.Path = func(tenant string) (string, error) { asked++; return path(tenant) }
		for range 3 {
			p.release(holdOn(t, p, "a"))
		}
		assert.Equal(t, 1, asked, "not by each call")
		exclusive, err := p.acquire(t.Context(), "a", kindExclusive)
		require.NoError(t, err)
		go func() { p.release(holdOn(t, p, "a")) }()
		synctest.Wait()
		p.release(exclusive)
		synctest.Wait()
		time.Sleep(time.Second)
		assert.Equal(t, 2, asked)
	})
}

func TestIdleAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, store := fake(t, Options{MaxOpen: 10, MaxOpening: 1, IdleAfter: time.Minute})
		defer shut(t, p)
		assert.Nil(t, p.timer)
		for _, tenant := range []string{"a", "b", "c"} {
			p.release(holdOn(t, p, tenant))
		}
		time.Sleep(30 * time.Second)
		p.release(holdOn(t, p, "a"))
		held := holdOn(t, p, "b")
		time.Sleep(31 * time.Second)
		assert.Equal(t, map[string]string{"a": "open", "b": "open"}, store.now())
		time.Sleep(30 * time.Second)
		assert.Equal(t, map[string]string{"b": "open"}, store.now())
		time.Sleep(time.Hour)
		assert.Equal(t, map[string]string{"b": "open"}, store.now())
		assert.False(t, p.armed, "a timer has nothing to do")
		p.release(held)
		time.Sleep(61 * time.Second)
		assert.Empty(t, store.now())
		assert.False(t, p.armed)
		assert.EqualValues(t, 3, p.Stats().Expired)
		assert.Zero(t, p.Stats().Evicted)
	})
}

func TestTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := fake(t, Options{})
		defer shut(t, p)
		began := time.Now()
		for _, tenant := range []string{"a", "b", "c"} {
			time.Sleep(time.Second)
			p.release(holdOn(t, p, tenant))
		}
		time.Sleep(time.Second)
		a, again := holdOn(t, p, "a"), holdOn(t, p, "a")
		var names []string
		for _, tenant := range p.Tenants() {
			names = append(names, tenant.Name)
		}
		assert.Equal(t, []string{"a", "c", "b"}, names)
		first := p.Tenants()[0]
		assert.Equal(t, Tenant{Name: "a", Path: "a", ID: 1, Opened: began.Add(1004 * time.Millisecond), Used: time.Now(), Calls: 2, Uses: 3}, first)
		time.Sleep(time.Minute)
		exclusive, err := p.acquire(t.Context(), "z", kindExclusive)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		holders := p.Holders()
		require.Len(t, holders, 3)
		assert.Equal(t, Holding{Tenant: "z", Exclusive: true, Since: time.Now().Add(-time.Minute), Held: time.Minute}, holders[2])
		assert.Equal(t, Holding{Tenant: "a", ID: 1, Since: time.Now().Add(-2 * time.Minute), Held: 2 * time.Minute}, holders[0])
		assert.Equal(t, `"z" for 1m0s by Exclusive`, holders[2].String())
		p.release(again)
		p.release(exclusive)
		assert.Len(t, p.Holders(), 1)
		p.release(a)
	})
}
