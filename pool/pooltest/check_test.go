package pooltest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/internal/fake"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/pooltest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheckNamesWhatIsOut(t *testing.T) {
	for name, c := range map[string]struct {
		leakAfter time.Duration
		want      string
	}{
		"with LeakAfter": {time.Hour, `check_test.go:\d+ .*forget$`},
		"without":        {0, `set LeakAfter in the pool's Options`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				var maker fake.Maker
				p, err := pool.New(maker.Hooks(), pool.Options{Name: "orders", LeakAfter: c.leakAfter})
				require.NoError(t, err)
				r.run(func() {
					pooltest.Check(&r, p)
					forget(t, p)
					forget(t, p).Release()
				})
				require.Len(t, r.errors, 1)
				assert.Contains(t, r.errors[0], `pool "orders": 1 of 2 leases did not end with the test`)
				assert.Regexp(t, c.want, r.errors[0])
			})
		})
	}
}

func forget(t *testing.T, p *pool.Pool[*fake.Value]) pool.Lease[*fake.Value] {
	lease, err := p.Acquire(t.Context())
	require.NoError(t, err)
	return lease
}

// New checks too, and does not wait in Close for what was reported.
func TestNewChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		var maker fake.Maker
		began := time.Now()
		r.run(func() { forget(t, pooltest.New(&r, maker.Hooks(), pool.Options{}).Pool) })
		assert.Less(t, time.Since(began), 2*time.Second)
		require.Len(t, r.errors, 1)
		assert.Regexp(t, `check_test.go:\d+ .*forget$`, r.errors[0])
	})
}

// A goroutine that is still at work may release a little later.
func TestCheckWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		var maker fake.Maker
		r.run(func() {
			lease := forget(t, pooltest.New(&r, maker.Hooks(), pool.Options{}).Pool)
			go func() {
				<-time.After(500 * time.Millisecond)
				lease.Release()
			}()
		})
		assert.Empty(t, r.errors)
	})
}

// What the test gives to Cleanup after Check may release.
func TestCheckLooksLast(t *testing.T) {
	var r recorder
	var maker fake.Maker
	r.run(func() {
		lease := forget(t, pooltest.New(&r, maker.Hooks(), pool.Options{}).Pool)
		r.Cleanup(lease.Release)
	})
	assert.Empty(t, r.errors)
	maker.Finished(t)
}
