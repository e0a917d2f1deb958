package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A group is one table of the report: the same figures of the same entrants at several works.
type group struct {
	name     string   // for -only, and of its chart's file
	title    string   // of its section
	about    string   // what is done, and how everybody is set
	columns  []column // the first is what the group is about
	base     string   // the entrant that the others are compared with
	chart    chart
	contests []contest
}

// A contest is one work, done by every entrant in turn.
type contest struct {
	name     string
	turn     time.Duration // how long one turn takes, in a full run
	entrants []entrant
}

// An entrant does the work in its own way.
type entrant struct {
	name     string
	settings string
	open     func() (turn func(d time.Duration) figures, close func())
}

// figures are what one turn measured, by the name of their column.
type figures map[string]float64

// A column says how the figures of one name become one over all rounds, and how they are shown.
type column struct {
	name string
	show func(float64) string
	over func([]float64) float64 // nil: median
}

// A result is a contest that has been held: for each entrant the figures of each round.
type result struct {
	contest
	rounds [][]figures // by entrant
}

// hold lets the entrants take turns, rounds times, each round beginning with another one.
// All stay open throughout; a first, shorter turn of each is thrown away.
func (c contest) hold(rounds int, turn time.Duration) result {
	turns := make([]func(time.Duration) figures, len(c.entrants))
	for i, e := range c.entrants {
		take, end := e.open()
		defer end()
		turns[i] = take
		take(turn / 4)
	}
	held := result{contest: c, rounds: make([][]figures, len(c.entrants))}
	for round := range rounds {
		for k := range turns {
			i := (round + k) % len(turns)
			runtime.GC()
			held.rounds[i] = append(held.rounds[i], turns[i](turn))
		}
	}
	return held
}

// values returns what entrant i measured for a column, round by round;
// nil if it does not measure that.
func (r result) values(i int, of column) []float64 {
	var all []float64
	for _, round := range r.rounds[i] {
		if value, ok := round[of.name]; ok {
			all = append(all, value)
		}
	}
	return all
}

// value returns the one figure of entrant i for a column: its median, if the column does not say otherwise.
func (r result) value(i int, of column) float64 {
	all := r.values(i, of)
	if len(all) == 0 {
		return math.NaN()
	}
	if of.over != nil {
		return of.over(all)
	}
	return median(all)
}

// ratio returns the median over the rounds of entrant i's figure divided by base's of the same round,
// so that a slow phase of the machine weighs on both.
func (r result) ratio(i int, of column, base string) float64 {
	b := slices.IndexFunc(r.entrants, func(e entrant) bool { return e.name == base })
	if b < 0 {
		return math.NaN()
	}
	own, others := r.values(i, of), r.values(b, of)
	for round := range own {
		own[round] /= others[round]
	}
	return median(own)
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// A load is how an operation is repeated: by how many goroutines at once,
// each with a cancellable ctx of its own, as a server's requests have.
type load struct {
	goroutines int
	step       int  // operations between two looks at whether the turn is over; 0: 1
	timed      bool // note how long each operation took
}

// The phases of a turn.
const (
	beginning int32 = iota // until everybody has done an operation, so that nobody counts who is alone
	counting
	over
)

// run repeats operation, which does its work n times.
// It counts what comes to its end within the time d;
// of that, and of what is under way then, it notes how long it took.
func (l load) run(d time.Duration, operation func(ctx context.Context, n int) error) figures {
	type tally struct {
		done, failed int
		took         []time.Duration
		_            [64]byte // so that no two goroutines count in one cache line
	}
	var (
		tallies  = make([]tally, l.goroutines)
		step     = max(1, l.step)
		phase    atomic.Int32
		begun    = make(chan struct{}, l.goroutines)
		finished sync.WaitGroup
	)
	for i := range tallies {
		finished.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			own := &tallies[i]
			for first := true; phase.Load() != over; first = false {
				var began time.Time
				if l.timed {
					began = time.Now()
				}
				err := operation(ctx, step)
				now := phase.Load()
				switch {
				case err != nil:
					if own.failed++; own.failed == 1 {
						fmt.Fprintln(os.Stderr, "  failed:", err)
					}
				case now == counting:
					own.done += step
				}
				if l.timed && err == nil && now != beginning {
					own.took = append(own.took, time.Since(began))
				}
				if first {
					begun <- struct{}{}
				}
			}
		})
	}
	// Who starves does not get to begin: then it has had as long as the turn.
	for patience, missing := time.After(d), l.goroutines; missing > 0; missing-- {
		select {
		case <-begun:
		case <-patience:
			missing = 1
		}
	}

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	phase.Store(counting)
	time.Sleep(d)
	phase.Store(over)
	elapsed := time.Since(began)
	runtime.ReadMemStats(&after)
	finished.Wait()

	var all tally
	least, most := math.MaxInt, 0
	for _, one := range tallies {
		all.done += one.done
		all.failed += one.failed
		all.took = append(all.took, one.took...)
		least, most = min(least, one.done), max(most, one.done)
	}
	measured := figures{
		"done":   float64(all.done),
		"failed": float64(all.failed),
		"time":   float64(elapsed) / float64(all.done),
		"allocs": float64(after.Mallocs-before.Mallocs) / float64(all.done),
		"rate":   float64(all.done) / elapsed.Seconds(),
		"least":  float64(least),
		"most":   float64(most),
	}
	if l.timed && len(all.took) > 0 {
		slices.Sort(all.took)
		at := func(share float64) float64 { return float64(all.took[int(share*float64(len(all.took)-1))]) }
		measured["p50"], measured["p99"], measured["longest wait"] = at(0.5), at(0.99), at(1)
	}
	return measured
}

// check ends the run: figures of work that failed are none.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
