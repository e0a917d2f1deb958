package pool_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
)

// history is what callers and hooks saw of a pool, in stamps of one clock:
// what has the lower stamp was over when the other began, or ran beside it.
type history struct {
	clock atomic.Int64

	mu    sync.Mutex // protects the following
	uses  []use
	lives []life
}

// use is one Acquire and its end.
type use struct {
	value    int   // 0: it was cancelled
	returned int64 // from Acquire
	ending   int64 // about to release, or if it was cancelled, about to be
}

// life is that of one value, or of an attempt to make one.
type life struct {
	value int   // 0: it could not be made
	began int64 // in Construct
	dying int64 // in Destroy
	ended int64 // about to return from Destroy, or from a Construct that failed, or to be detached
}

func (h *history) now() int64 { return h.clock.Add(1) }

func (h *history) used(uses ...use) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.uses = append(h.uses, uses...)
}

func (h *history) lived(l life) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lives = append(h.lives, l)
}

// oneHolder returns where a value had two holders, or one outside of its life.
func (h *history) oneHolder() error {
	lives := map[int]life{}
	for _, l := range h.lives {
		lives[l.value] = l
	}
	chains := map[int][]use{}
	for _, u := range h.uses {
		if u.value != 0 {
			chains[u.value] = append(chains[u.value], u)
		}
	}
	for value, chain := range chains {
		slices.SortFunc(chain, func(a, b use) int { return cmp.Compare(a.returned, b.returned) })
		free := lives[value].began
		for _, u := range chain {
			if u.returned <= free {
				return fmt.Errorf("value %d was handed out at %d, and held until %d", value, u.returned, free)
			}
			free = u.ending
		}
		if dying := lives[value].dying; dying != 0 && dying <= free {
			return fmt.Errorf("value %d was destroyed at %d, and held until %d", value, dying, free)
		}
	}
	return nil
}

// neverMore returns when more than most were live.
func (h *history) neverMore(most int) error {
	type step struct {
		at   int64
		more int
	}
	var steps []step
	for _, l := range h.lives {
		steps = append(steps, step{l.began, 1}, step{l.ended, -1})
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	live := 0
	for _, s := range steps {
		if live += s.more; live > most {
			return fmt.Errorf("%d were live at %d", live, s.at)
		}
	}
	return nil
}

// inOrder returns who was overtaken. The uses are in the order in which the callers came:
// each was in the queue, or was served, before the next one called. None was built for any of them.
//
// Nobody sees the moment of a handover. But it is after the value's last holder began to release it,
// and before Acquire returns; and one who is cancelled is in the queue until then.
func (h *history) inOrder() error {
	before := h.releasedBefore()
	var waited use // of those who came so far, the one who certainly waited for the longest
	var until int64
	for i, u := range h.uses {
		if u.value != 0 && u.returned < until {
			return fmt.Errorf("caller %d had value %d at %d, before one who had come before him and waited until %d: %+v", i, u.value, u.returned, until, waited)
		}
		since := u.ending // it was cancelled
		if u.value != 0 {
			since = before[u]
		}
		if since > until {
			until, waited = since, u
		}
	}
	return nil
}

// releasedBefore is for each use when the one before it, of the same value, began to end.
func (h *history) releasedBefore() map[use]int64 {
	inTime := slices.Clone(h.uses)
	slices.SortFunc(inTime, func(a, b use) int { return cmp.Compare(a.returned, b.returned) })
	free, before := map[int]int64{}, map[use]int64{}
	for _, u := range inTime {
		before[u] = free[u.value]
		free[u.value] = u.ending
	}
	return before
}

// TestTheCheckerOfHistories breaks each rule once.
func TestTheCheckerOfHistories(t *testing.T) {
	good := func() *history {
		return &history{
			uses:  []use{{1, 3, 7}, {2, 6, 9}, {1, 8, 12}, {0, 11, 10}, {2, 13, 14}},
			lives: []life{{1, 1, 15, 17}, {2, 2, 18, 20}, {0, 19, 0, 21}},
		}
	}
	all := func(h *history) error { return errors.Join(h.oneHolder(), h.neverMore(2), h.inOrder()) }
	assert.NoError(t, all(good()))
	for what, spoil := range map[string]func(h *history){
		"value 1 was handed out at 5, and held until 7":    func(h *history) { h.uses[2].returned = 5 },
		"value 1 was handed out at 3, and held until 4":    func(h *history) { h.lives[0].began = 4 },
		"value 2 was destroyed at 13, and held until 14":   func(h *history) { h.lives[1].dying = 13 },
		"3 were live at 16":                                func(h *history) { h.lives[2].began = 16 },
		"caller 1 had value 2 at 6, before one who had":    func(h *history) { h.uses[0], h.uses[2] = h.uses[2], h.uses[0] },
		"caller 4 had value 2 at 13, before one who had c": func(h *history) { h.uses[3].ending = 16 },
	} {
		h := good()
		spoil(h)
		assert.ErrorContains(t, all(h), what)
	}
}
