package poolz

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/headpond/headpond/pool"
)

// busy is a pool that calls during when it is asked for its Holders.
type busy struct {
	options pool.Options
	stats   pool.Stats
	holders []pool.Holder
	during  func()
}

func (b *busy) Name() string           { return "busy" }
func (b *busy) Options() pool.Options  { return b.options }
func (b *busy) Stats() pool.Stats      { return b.stats }
func (b *busy) Figures() []pool.Figure { return nil }
func (b *busy) Holders() []pool.Holder {
	b.during()
	return b.holders
}

// TestView_CountersNeverFall takes a sample of a pool in the middle of a look at it.
func TestView_CountersNeverFall(t *testing.T) {
	b := &busy{stats: pool.Stats{MaxSize: 1, Acquired: 10, TimedOut: 1}}
	w := newWatched(b, 1, time.Second)
	w.history.add(sample{acquired: 4, timedOut: 1})
	b.during = func() { w.history.add(sample{acquired: 12, timedOut: 3}) }
	v := w.view(time.Now(), "")
	assert.Equal(t, "6 a second", v.Rate)
	assert.Equal(t, []float64{6}, v.Charts[1].Values[0].Values)
	assert.Empty(t, v.Says)
}

func TestView_CountsTheLeaksThatAreNotShown(t *testing.T) {
	b := &busy{stats: pool.Stats{MaxSize: 500, Held: 500}, options: pool.Options{LeakAfter: time.Minute}, during: func() {}}
	for n := range 500 {
		b.holders = append(b.holders, pool.Holder{ID: uint64(n + 1), Held: time.Duration(500-n) * time.Second})
	}
	v := newWatched(b, 1, time.Second).view(time.Now(), "")
	assert.Equal(t, 400, v.MoreHolders)
	assert.Contains(t, v.Says, "441 leases are held for longer than LeakAfter, 1m0s")
}
