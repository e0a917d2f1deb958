package tenants

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestPool_Model lets callers do all that there is at random moments of a bubble's time: use databases, inside each other too,
// give up, take one exclusively, meet opens that fail, closes that fail and databases that go stale.
// The store finds a database that is opened twice, or one too many, at the instant when it happens.
func TestPool_Model(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		maxOpen := rapid.IntRange(1, 6).Draw(r, "MaxOpen")
		options := Options{
			MaxOpen: maxOpen, MaxOpening: rapid.IntRange(1, maxOpen).Draw(r, "MaxOpening"),
			MaxWaiters:     rapid.SampledFrom([]int{0, 8}).Draw(r, "MaxWaiters"),
			AcquireTimeout: rapid.SampledFrom([]time.Duration{-1, 30 * time.Millisecond, time.Second}).Draw(r, "AcquireTimeout"),
			IdleAfter:      rapid.SampledFrom([]time.Duration{0, 20 * time.Millisecond}).Draw(r, "IdleAfter"),
		}
		callers := rapid.IntRange(1, 20).Draw(r, "callers")
		seed := rapid.Uint64().Draw(r, "seed")
		var thrown any
		synctest.Test(t, func(t *testing.T) {
			defer func() { thrown = recover() }()
			runPoolModel(t, options, callers, seed)
		})
		if thrown != nil {
			panic(thrown)
		}
		if t.Failed() {
			r.Fatal("see above")
		}
	})
}

func runPoolModel(t *testing.T, options Options, callers int, seed uint64) {
	var opened, closed, failed atomic.Int64
	options.OnOpen = func(_ string, _ time.Duration, err error) {
		if err != nil {
			failed.Add(1)
			return
		}
		opened.Add(1)
	}
	options.OnClose = func(string, time.Duration, error) { closed.Add(1) }
	p, store := fake(t, options)
	dice := newDice(seed)
	store.fail = func(tenant string) error {
		if tenant == "broken" || dice.oneIn(20) {
			return errBroken
		}
		return nil
	}
	store.onClosing = func(string) error {
		if dice.oneIn(20) {
			return errBroken
		}
		return nil
	}
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "broken"}
	var use func(ctx context.Context, depth int)
	use = func(ctx context.Context, depth int) {
		limited, cancel := context.WithTimeout(ctx, time.Duration(dice.n(60)+1)*time.Millisecond)
		defer cancel()
		if dice.oneIn(2) {
			limited = ctx
		}
		kind := kindUse
		switch dice.n(10) {
		case 0:
			kind = kindExclusive
		case 1:
			kind = kindScan
		}
		tenant := names[dice.n(len(names))]
		h, err := p.acquire(limited, tenant, kind)
		stats := p.Stats()
		assert.LessOrEqual(t, stats.Open+stats.Opening+stats.Closing, options.MaxOpen)
		if err != nil {
			var known *Error
			assert.ErrorAs(t, err, &known)
			assert.True(t, errors.Is(err, errBroken) || errors.Is(err, pool.ErrAcquireTimeout) || errors.Is(err, context.DeadlineExceeded) ||
				errors.Is(err, pool.ErrSaturated) && options.MaxWaiters > 0 || errors.Is(err, pool.ErrNested) && depth > 0 || errors.Is(err, pool.ErrClosed), err)
			return
		}
		defer p.release(h)
		store.mu.Lock()
		place := store.places[tenant]
		store.mu.Unlock()
		if kind == kindExclusive {
			assert.Empty(t, place, "%s is closed", tenant)
		} else {
			assert.Equal(t, "open", place, tenant)
		}
		time.Sleep(time.Duration(dice.n(10)) * time.Millisecond)
		if depth < 3 && dice.oneIn(4) {
			use(h, depth+1)
		}
		if kind != kindExclusive && dice.oneIn(20) {
			p.mu.Lock()
			p.admission.retire(h.entry, h.id, p.now())
			p.applyLocked(p.now())
			p.mu.Unlock()
		}
	}
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range 30 {
				use(context.Background(), 0)
				time.Sleep(time.Duration(dice.n(8)) * time.Millisecond)
			}
		})
	}
	if dice.oneIn(3) {
		time.Sleep(time.Duration(dice.n(300)) * time.Millisecond)
	} else {
		all.Wait()
		synctest.Wait()
		stats := p.Stats()
		assert.Zero(t, stats.Calls+stats.Waiting+stats.Held+stats.Exclusive+stats.Draining, fmt.Sprintf("%+v", stats))
		assert.NotZero(t, stats.Opened+stats.OpenFailed)
	}
	require.NoError(t, ignoreBroken(p.Close(context.Background())))
	all.Wait()
	stats := p.Stats()
	assert.Empty(t, store.now())
	assert.Zero(t, stats.Open+stats.Opening+stats.Closing+stats.Calls+stats.Waiting)
	assert.EqualValues(t, opened.Load(), stats.Opened)
	assert.EqualValues(t, failed.Load(), stats.OpenFailed)
	assert.Equal(t, opened.Load(), closed.Load())
}

// ignoreBroken returns nil if the closes that failed are all that err says.
func ignoreBroken(err error) error {
	if errors.Is(err, errBroken) {
		return nil
	}
	return err
}

// dice are random numbers for several goroutines.
type dice struct {
	mu   sync.Mutex
	rand *rand.Rand
}

func newDice(seed uint64) *dice { return &dice{rand: rand.New(rand.NewPCG(seed, 1))} }

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.IntN(n)
}

func (d *dice) oneIn(n int) bool { return d.n(n) == 0 }
