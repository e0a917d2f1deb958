package pool_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errOutage = errors.New("connection refused")

// outage has Construct fail for a time.
type outage struct {
	over       atomic.Bool
	constructs atomic.Int64
}

func (o *outage) hooks(hooks *resource.Hooks[*fake.Value]) {
	construct := hooks.Construct
	hooks.Construct = func(ctx context.Context) (*fake.Value, error) {
		o.constructs.Add(1)
		<-time.After(5 * time.Millisecond)
		if !o.over.Load() {
			return nil, errOutage
		}
		return construct(ctx)
	}
}

// TestOutage_FullCapacitySoonAfter has 50 callers wait during an outage of 10 s.
// Answers brettwooldridge/HikariCP#1819, djc/bb8#122, apache/commons-pool#346.
func TestOutage_FullCapacitySoonAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 5
		var down outage
		p, _ := newPool(t, pool.Options{MaxSize: size, AcquireTimeout: -1}, down.hooks)
		var callers sync.WaitGroup
		var failed, got atomic.Int64
		release := make(chan struct{})
		for range 50 {
			callers.Go(func() {
				lease, err := p.Acquire(t.Context())
				if err != nil {
					failed.Add(1)
					assert.ErrorIs(t, err, errOutage)
					return
				}
				got.Add(1)
				<-release
				lease.Release()
			})
		}
		<-time.After(10 * time.Second)
		constructs := down.constructs.Load()
		assert.GreaterOrEqual(t, constructs, int64(size+4+8), "it keeps trying, at least once a second")
		assert.LessOrEqual(t, constructs, int64(size+2*4+2*10), "nobody hammers it")
		assert.Equal(t, constructs, failed.Load()+int64(p.Stats().Constructing), "each failure is told to one, the others wait")
		assert.Zero(t, got.Load())
		assert.LessOrEqual(t, p.Stats().Constructing, 1, "one tries for all")

		down.over.Store(true)
		<-time.After(time.Second + 20*time.Millisecond)
		assert.EqualValues(t, size, got.Load(), "full capacity")
		assert.Equal(t, size, p.Stats().Held)
		close(release)
		callers.Wait()
		assert.EqualValues(t, 50, failed.Load()+got.Load(), "nobody is stranded")
		assert.Zero(t, p.Stats().Waiting)
		assert.LessOrEqual(t, down.constructs.Load()-constructs, int64(size+1))
	})
}

func TestOutage_TheErrorCarriesTheLastCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down outage
		p, _ := newPool(t, pool.Options{Name: "orders", MaxSize: 1, AcquireTimeout: 20 * time.Millisecond}, down.hooks)
		_, err := p.Acquire(t.Context())
		require.ErrorIs(t, err, errOutage)
		assert.EqualError(t, err, `headpond/pool "orders": construct: connection refused`)

		_, err = p.Acquire(t.Context()) // in the rest of 50 ms
		require.ErrorIs(t, err, pool.ErrAcquireTimeout)
		require.ErrorIs(t, err, errOutage)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.EqualError(t, err, `headpond/pool "orders": acquire: no resource within 20ms; the last Construct failed: connection refused (0 of 1 held, 0 waiting, 0 being built): Construct has never succeeded; look at what it connects to`)
		assert.EqualValues(t, 1, down.constructs.Load())
		assert.EqualValues(t, 1, p.Stats().CreateFailed)
	})
}

// TestOutage_TheRestDoublesUpToASecondAndASuccessEndsIt counts what one caller after another brings about.
func TestOutage_TheRestDoublesUpToASecondAndASuccessEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down outage
		p, _ := newPool(t, pool.Options{MaxSize: 2, AcquireTimeout: -1}, down.hooks)
		rest := func() time.Duration {
			began := time.Now()
			_, err := p.Acquire(t.Context())
			require.ErrorIs(t, err, errOutage)
			return time.Since(began) - 5*time.Millisecond // which Construct takes
		}
		assert.Zero(t, rest())
		for _, most := range []time.Duration{50, 100, 200, 400, 800, 1000, 1000, 1000} {
			most *= time.Millisecond
			rested := rest()
			assert.LessOrEqual(t, rested, most)
			assert.GreaterOrEqual(t, rested, most/2, "the jitter takes away half of it at most")
		}
		down.over.Store(true)
		acquire(t, p).Discard()
		down.over.Store(false)
		synctest.Wait()
		assert.Zero(t, rest(), "there was a success in between")
		assert.LessOrEqual(t, rest(), 50*time.Millisecond, "it begins anew")
	})
}

func TestOutage_AReleasedValueDoesNotWaitForTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down outage
		p, _ := newPool(t, pool.Options{MaxSize: 2}, down.hooks)
		down.over.Store(true)
		lease := acquire(t, p)
		down.over.Store(false)
		_, err := p.Acquire(t.Context())
		require.ErrorIs(t, err, errOutage)
		time.AfterFunc(time.Millisecond, lease.Release)
		began := time.Now()
		acquire(t, p).Release()
		assert.Equal(t, time.Millisecond, time.Since(began))
	})
}

func TestOutage_MinIdleIsFilledAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down outage
		p, _ := newPool(t, pool.Options{MaxSize: 3, MinIdle: 3}, down.hooks)
		_, err := p.Acquire(t.Context())
		require.ErrorIs(t, err, errOutage)
		<-time.After(10 * time.Second)
		assert.Zero(t, p.Stats().Idle)
		assert.LessOrEqual(t, down.constructs.Load(), int64(30))
		down.over.Store(true)
		<-time.After(time.Second + 20*time.Millisecond)
		assert.Equal(t, 3, p.Stats().Idle, "though nobody came")
	})
}
