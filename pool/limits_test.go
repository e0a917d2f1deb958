package pool_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hold acquires n values at once, and releases them all.
func hold(t *testing.T, p *pool.Pool[*fake.Value], n int) {
	t.Helper()
	leases := make([]pool.Lease[*fake.Value], n)
	for i := range leases {
		leases[i] = acquire(t, p)
	}
	for _, lease := range leases {
		lease.Release()
	}
}

// TestLimits_LifetimesDoNotEndAllAtOnce makes 100 values at the same instant.
// Answers jackc/pgx#1437, redis/go-redis#3666, launchbadge/sqlx#3292.
func TestLimits_LifetimesDoNotEndAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 100
		p, _ := newPool(t, pool.Options{
			MaxSize: n, MaintainEvery: time.Second,
			Policy: resource.Policy{MaxLifetime: time.Hour, LifetimeJitter: 30 * time.Minute},
		})
		require.NoError(t, p.Warm(t.Context(), n))
		jitters := make(map[uint64]time.Duration)
		distinct := make(map[time.Duration]bool)
		leases := make(map[uint64]pool.Lease[*fake.Value])
		fine := 0
		for range n {
			lease := acquire(t, p)
			id, jitter := uint64(lease.Value().ID), lease.Info().Jitter
			jitters[id], leases[id] = jitter, lease
			assert.GreaterOrEqual(t, jitter, time.Duration(0))
			assert.Less(t, jitter, 30*time.Minute)
			distinct[jitter] = true
			if jitter%time.Microsecond != 0 {
				fine++
			}
		}
		assert.Greater(t, len(distinct), n-3)
		assert.Greater(t, fine, n/2, "of full precision")
		for _, lease := range leases {
			lease.Release()
		}
		for range n {
			lease := acquire(t, p)
			assert.Equal(t, jitters[uint64(lease.Value().ID)], lease.Info().Jitter, "fixed at birth")
			leases[uint64(lease.Value().ID)] = lease
		}
		for _, lease := range leases {
			lease.Release()
		}
		most, before := uint64(0), uint64(0)
		for range 60 {
			<-time.After(time.Minute)
			gone := p.Stats().Destroyed[resource.MaxLifetime]
			most, before = max(most, gone-before), gone
		}
		<-time.After(time.Second)
		assert.EqualValues(t, n, p.Stats().Destroyed[resource.MaxLifetime], "the maximum stays the maximum")
		assert.Less(t, most, uint64(20), "in one minute of thirty")
	})
}

// Answers jackc/pgx#969, djc/bb8#224.
func TestLimits_ExpiryIsSeenOnAcquire(t *testing.T) {
	for name, policy := range map[resource.Reason]resource.Policy{
		resource.MaxLifetime: {MaxLifetime: time.Minute},
		resource.MaxIdleTime: {MaxIdleTime: time.Minute},
	} {
		t.Run(name.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, maker := newPool(t, pool.Options{MaxSize: 2, MaintainEvery: time.Hour, Policy: policy})
				hold(t, p, 2)
				<-time.After(time.Minute - 1)
				hold(t, p, 1)
				assert.Equal(t, 2, maker.Made(), "a nanosecond before it is still good")
				<-time.After(time.Minute)
				lease := acquire(t, p)
				assert.Equal(t, 3, lease.Value().ID)
				synctest.Wait()
				assert.EqualValues(t, 2, p.Stats().Destroyed[name], "both were in the way")
				lease.Release()
			})
		})
	}
}

// Answers jackc/pgx#969, djc/bb8#224.
func TestLimits_ExpiryIsSeenOnRelease(t *testing.T) {
	for name, policy := range map[resource.Reason]resource.Policy{
		resource.MaxLifetime: {MaxLifetime: time.Minute},
		resource.MaxUses:     {MaxUses: 2},
	} {
		t.Run(name.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, _ := newPool(t, pool.Options{MaxSize: 1, MaintainEvery: time.Hour, Policy: policy})
				acquire(t, p).Release()
				lease := acquire(t, p)
				assert.Equal(t, 1, lease.Info().Uses)
				<-time.After(time.Minute)
				assert.Equal(t, 1, lease.Value().ID, "nothing happens to it while it is held")
				assert.Equal(t, time.Minute, lease.Info().Age)
				lease.Release()
				stats := p.Stats()
				assert.Zero(t, stats.Idle)
				assert.EqualValues(t, 1, stats.Destroying+int(stats.Destroyed[name]))
				synctest.Wait()
				assert.EqualValues(t, 1, p.Stats().Destroyed[name])
			})
		})
	}
}

func TestLimits_MaxIdleTimeCountsFromTheRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, maker := newPool(t, pool.Options{MaxSize: 1, Policy: resource.Policy{MaxIdleTime: time.Minute}})
		for range 5 {
			lease := acquire(t, p)
			<-time.After(time.Hour) // held, not idle
			lease.Release()
			<-time.After(59 * time.Second)
		}
		assert.Equal(t, 1, maker.Made())
	})
}

func TestLimits_ExpiryIsSeenByMaintenance(t *testing.T) {
	for name, policy := range map[resource.Reason]resource.Policy{
		resource.MaxLifetime: {MaxLifetime: time.Minute},
		resource.MaxIdleTime: {MaxIdleTime: time.Minute},
	} {
		t.Run(name.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, _ := newPool(t, pool.Options{MaxSize: 3, MaintainEvery: 10 * time.Second, Policy: policy})
				hold(t, p, 3)
				<-time.After(50 * time.Second)
				assert.Equal(t, 3, p.Stats().Idle)
				<-time.After(10 * time.Second)
				synctest.Wait()
				assert.Zero(t, p.Stats().Live(), "nobody came for them")
				assert.EqualValues(t, 3, p.Stats().Destroyed[name])
				hold(t, p, 1) // maintenance comes back with the next value
				<-time.After(70 * time.Second)
				assert.Zero(t, p.Stats().Live())
			})
		})
	}
}
