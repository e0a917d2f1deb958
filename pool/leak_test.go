package pool_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// leaks records what Tap.Leak is told.
type leaks struct {
	mu   sync.Mutex // protects the following
	told []pool.Leak
}

func (l *leaks) observer(pool.Inspector) pool.Tap {
	return pool.Tap{Leak: func(leak pool.Leak) {
		l.mu.Lock()
		l.told = append(l.told, leak)
		l.mu.Unlock()
	}}
}

func (l *leaks) all() []pool.Leak {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]pool.Leak(nil), l.told...)
}

func TestALeakIsReportedOnceAndOnceMoreWhenItComesBack(t *testing.T) {
	for name, end := range map[string]func(*fake.Maker, pool.Lease[*fake.Value]){
		"Release": func(_ *fake.Maker, l pool.Lease[*fake.Value]) { l.Release() },
		"Discard": func(_ *fake.Maker, l pool.Lease[*fake.Value]) { l.Discard() },
		"Detach":  func(maker *fake.Maker, l pool.Lease[*fake.Value]) { maker.Destroy(l.Detach()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var leaks leaks
				p, maker := newPool(t, pool.Options{MaxSize: 2, LeakAfter: time.Minute, MaintainEvery: 10 * time.Second, Observer: leaks.observer})
				acquire(t, p).Release()
				<-time.After(time.Second)
				since := time.Now()
				leaked := forget(t, p)
				<-time.After(time.Minute - 1)
				assert.Empty(t, leaks.all())
				<-time.After(10 * time.Second)
				require.Len(t, leaks.all(), 1)
				leak := leaks.all()[0]
				assert.False(t, leak.Returned)
				assert.EqualValues(t, 1, leak.ID)
				assert.GreaterOrEqual(t, leak.Held, time.Minute)
				assert.LessOrEqual(t, leak.Held, time.Minute+10*time.Second, "the next time that somebody looks")
				assert.Equal(t, since, leak.Since)
				assert.Regexp(t, `leak_test\.go:\d+ .*forget$`, leak.Stack.Caller())
				assert.EqualValues(t, 1, p.Stats().Leaked)

				<-time.After(time.Hour)
				assert.Len(t, leaks.all(), 1, "once")
				assert.Equal(t, 1, p.Stats().Held, "the pool does not take it back")
				assert.NotPanics(t, func() { leaked.Value() })

				held := p.Holders()[0].Held
				end(maker, leaked)
				require.Len(t, leaks.all(), 2)
				back := leaks.all()[1]
				assert.True(t, back.Returned)
				assert.Equal(t, held, back.Held)
				assert.Equal(t, leak.ID, back.ID)
				assert.Equal(t, leak.Since, back.Since)
				assert.Equal(t, leak.Stack.String(), back.Stack.String())
				assert.EqualValues(t, 1, p.Stats().Leaked)
				end(maker, briefly(t, p))
				assert.Len(t, leaks.all(), 2, "the next lease is another one")
			})
		})
	}
}

// TestAReturnedLeakLosesNoSlotToGoexit has an observer that ends its goroutine when the lease has ended already.
func TestAReturnedLeakLosesNoSlotToGoexit(t *testing.T) {
	for name, end := range map[string]func(*fake.Maker, pool.Lease[*fake.Value]){
		"Release": func(_ *fake.Maker, l pool.Lease[*fake.Value]) { l.Release() },
		"Discard": func(_ *fake.Maker, l pool.Lease[*fake.Value]) { l.Discard() },
		"Detach":  func(maker *fake.Maker, l pool.Lease[*fake.Value]) { maker.Destroy(l.Detach()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, maker := newPool(t, pool.Options{MaxSize: 1, LeakAfter: time.Minute, Observer: func(pool.Inspector) pool.Tap {
					return pool.Tap{
						Enabled: func(context.Context) bool { return false },
						Leak: func(leak pool.Leak) {
							if leak.Returned {
								runtime.Goexit()
							}
						},
					}
				}})
				lease := acquire(t, p)
				<-time.After(2 * time.Minute)
				returned := false
				var holder sync.WaitGroup
				holder.Go(func() {
					end(maker, lease)
					returned = true
				})
				holder.Wait()
				synctest.Wait()
				assert.True(t, returned, "the holder goes on")
				assert.Zero(t, p.Stats().Held)
				assert.EqualValues(t, 1, p.Stats().Released)
				next, err := p.Acquire(t.Context())
				if assert.NoError(t, err) {
					next.Release()
				}
			})
		})
	}
}

func briefly(t *testing.T, p *pool.Pool[*fake.Value]) pool.Lease[*fake.Value] {
	lease := acquire(t, p)
	<-time.After(time.Second)
	return lease
}

func TestEachLeaseLeaksForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var leaks leaks
		p, _ := newPool(t, pool.Options{MaxSize: 3, LeakAfter: time.Minute, MaintainEvery: time.Second, Observer: leaks.observer})
		first := acquire(t, p)
		<-time.After(30 * time.Second)
		second := acquire(t, p)
		<-time.After(31 * time.Second)
		require.Len(t, leaks.all(), 1, "the second is not out for long enough")
		<-time.After(30 * time.Second)
		require.Len(t, leaks.all(), 2)
		first.Release()
		second.Release()
		again := acquire(t, p) // of a value that leaked before
		<-time.After(2 * time.Minute)
		assert.Len(t, leaks.all(), 5)
		assert.EqualValues(t, 3, p.Stats().Leaked)
		again.Release()
	})
}

func TestLeaksAreCountedWithoutAnObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1, LeakAfter: time.Minute})
		lease := acquire(t, p)
		<-time.After(2 * time.Minute)
		assert.EqualValues(t, 1, p.Stats().Leaked)
		lease.Release()
	})
}

func TestHoldersComeTheLongestHeldFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 4})
		var leases []pool.Lease[*fake.Value]
		for range 4 {
			leases = append(leases, acquire(t, p))
			<-time.After(time.Second)
		}
		leases[1].Release()
		var held []time.Duration
		for _, holder := range p.Holders() {
			held = append(held, holder.Held)
			assert.Equal(t, holder.Held, time.Since(holder.Since))
			assert.Empty(t, holder.Stack.Frames(), "without LeakAfter nobody takes it")
			assert.Empty(t, holder.Stack.Caller())
			assert.Empty(t, holder.Stack.String())
		}
		assert.Equal(t, []time.Duration{4 * time.Second, 2 * time.Second, time.Second}, held)
		assert.Equal(t, "#1 for 4s", p.Holders()[0].String())
		for _, lease := range leases {
			lease.Release()
		}
		assert.Empty(t, p.Holders())
	})
}

func TestAStackShowsTheCallersAndNotThePool(t *testing.T) {
	p, _ := newPool(t, pool.Options{MaxSize: 1, LeakAfter: time.Hour})
	lease := forget(t, p)
	holder := p.Holders()[0]
	lease.Release()
	frames := holder.Stack.Frames()
	require.GreaterOrEqual(t, len(frames), 2)
	assert.Equal(t, "github.com/headpond/headpond/pool_test.forget", frames[0].Function)
	assert.Equal(t, "github.com/headpond/headpond/pool_test.TestAStackShowsTheCallersAndNotThePool", frames[1].Function)
	assert.Regexp(t, `^github\.com/headpond/headpond/pool_test\.forget\n\t.*leak_test\.go:\d+\n`, holder.Stack.String())
	assert.Regexp(t, `^#1 for \S+ by .*leak_test\.go:\d+ .*forget$`, holder.String())
}

// Answers jackc/pgx#1974, brettwooldridge/HikariCP#808, npgsql/npgsql#5276.
func TestLeak_AForgottenLeaseIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPool(t, pool.Options{MaxSize: 1, LeakAfter: time.Minute})
		forgotten := forget(t, p)
		<-time.After(7 * time.Second)
		holders := p.Holders()
		require.Len(t, holders, 1)
		assert.EqualValues(t, 1, holders[0].ID)
		assert.Equal(t, 7*time.Second, holders[0].Held)
		assert.Regexp(t, `leak_test\.go:\d+ .*\.forget$`, holders[0].Stack.Caller())

		_, err := p.Acquire(t.Context())
		require.ErrorIs(t, err, pool.ErrAcquireTimeout)
		assert.Regexp(t, `1 of 1 held, .* longest held: #1 for 12s by .*leak_test\.go:\d+ .*\.forget\): release sooner`, err.Error())
		forgotten.Release()
		assert.Empty(t, p.Holders())
	})
}

//go:noinline
func forget(t *testing.T, p *pool.Pool[*fake.Value]) pool.Lease[*fake.Value] {
	lease, err := p.Acquire(t.Context())
	require.NoError(t, err)
	return lease
}
