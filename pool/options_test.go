package pool_test

import (
	"context"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewNamesWhatIsOutOfRangeAndStartsNothing(t *testing.T) {
	for _, test := range []struct {
		options pool.Options
		want    string
	}{
		{pool.Options{MaxSize: -1}, `headpond/pool "pool": Options.MaxSize is -1: it must not be negative`},
		{pool.Options{Name: "orders", MaxSize: -2}, `headpond/pool "orders": Options.MaxSize is -2: it must not be negative`},
		{pool.Options{MinIdle: -3}, `headpond/pool "pool": Options.MinIdle is -3: it must not be negative`},
		{pool.Options{MaxSize: 2, MinIdle: 3}, `headpond/pool "pool": Options.MinIdle is 3: it must not exceed MaxSize, which is 2`},
		{pool.Options{MaxWaiters: -4}, `headpond/pool "pool": Options.MaxWaiters is -4: it must not be negative`},
		{pool.Options{MaintainEvery: -time.Second}, `headpond/pool "pool": Options.MaintainEvery is -1s: it must not be negative`},
		{pool.Options{LeakAfter: -time.Minute}, `headpond/pool "pool": Options.LeakAfter is -1m0s: it must not be negative`},
		{pool.Options{Policy: resource.Policy{MaxLifetime: -1}}, `headpond/pool "pool": Options.Policy.MaxLifetime is -1ns: it must not be negative`},
		{pool.Options{Policy: resource.Policy{MaxUses: -1}}, `headpond/pool "pool": Options.Policy.MaxUses is -1: it must not be negative`},
		{pool.Options{Policy: resource.Policy{MaxLifetime: 1, LifetimeJitter: 2}}, `headpond/pool "pool": Options.Policy.LifetimeJitter is 2ns: it must be less than MaxLifetime, which is 1ns`},
	} {
		t.Run(test.want, func(t *testing.T) {
			refuses(t, resource.Hooks[int]{Construct: func(context.Context) (int, error) {
				t.Error("Construct was called")
				return 0, nil
			}}, test.options, test.want)
		})
	}
	t.Run("no Construct", func(t *testing.T) {
		refuses(t, resource.Hooks[int]{}, pool.Options{Name: "orders"}, `headpond/pool "orders": Hooks.Construct is nil: a pool needs a way to make a value`)
	})
}

// A MinBackoff that is longer than the default of MaxBackoff raises that.
func TestOptions_MaxBackoffDefaultsToMinBackoffAtLeast(t *testing.T) {
	for minimum, want := range map[time.Duration]time.Duration{0: time.Second, time.Second: time.Second, time.Hour: time.Hour} {
		p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 0, nil }}, pool.Options{MinBackoff: minimum})
		require.NoError(t, err)
		assert.Equal(t, want, p.Options().MaxBackoff)
	}
}

func refuses(t *testing.T, hooks resource.Hooks[int], options pool.Options, want string) {
	options.Observer = func(pool.Inspector) pool.Tap {
		t.Error("the observer was called")
		return pool.Tap{}
	}
	synctest.Test(t, func(t *testing.T) { // whose end proves that no goroutine was left
		p, err := pool.New(hooks, options)
		assert.EqualError(t, err, want)
		assert.Nil(t, p)
	})
}

func TestNewStartsNothingUntilUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, maker := newPool(t, pool.Options{MaxSize: 3, MinIdle: 3, LeakAfter: time.Second, Policy: resource.Policy{MaxLifetime: time.Minute}})
		<-time.After(time.Hour)
		assert.Zero(t, maker.Made())
		_, err := p.TryAcquire(t.Context())
		assert.ErrorIs(t, err, pool.ErrUnavailable)
	})
}

func TestOptionsHaveDefaults(t *testing.T) {
	p, _ := newPool(t, pool.Options{})
	options := p.Options()
	assert.Equal(t, "pool", options.Name)
	assert.Equal(t, "pool", p.Name())
	assert.Equal(t, "pool", options.Owner)
	assert.Equal(t, max(4, runtime.GOMAXPROCS(0)), options.MaxSize)
	assert.Equal(t, 5*time.Second, options.AcquireTimeout)
	assert.Equal(t, 30*time.Second, options.MaintainEvery)
	assert.Equal(t, resource.Policy{}.WithDefaults(), options.Policy)
	assert.Zero(t, options.MinIdle)
	assert.Zero(t, options.MaxWaiters)
	assert.Zero(t, options.LeakAfter)
	assert.Nil(t, p.Figures())
}

func TestOptionsThatAreSetStay(t *testing.T) {
	figure := pool.Figure{Name: "a.size", Unit: "By", Value: 42}
	p, _ := newPool(t, pool.Options{
		Name: "orders", MaxSize: 3, MinIdle: 3, MaxWaiters: 7, AcquireTimeout: -1, MaintainEvery: time.Hour, LeakAfter: math.MaxInt64,
		Policy:  resource.Policy{CheckAfterIdle: -1, ConstructTimeout: -1},
		Figures: func() []pool.Figure { return []pool.Figure{figure} },
	})
	require.NoError(t, p.Resize(9))
	options := p.Options()
	assert.Equal(t, "orders", p.Name())
	assert.Equal(t, 3, options.MaxSize, "that of New")
	assert.Equal(t, 9, p.Stats().MaxSize, "that of Resize")
	assert.Equal(t, 7, options.MaxWaiters)
	assert.Equal(t, time.Duration(-1), options.AcquireTimeout)
	assert.Equal(t, time.Hour, options.MaintainEvery)
	assert.Equal(t, time.Duration(-1), options.Policy.CheckAfterIdle)
	assert.Equal(t, time.Duration(-1), options.Policy.ConstructTimeout)
	assert.Equal(t, []pool.Figure{figure}, p.Figures())
}
