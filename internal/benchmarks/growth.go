package main

import (
	"context"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"
)

// growing returns what make makes of each who takes part here.
func growing(make func(sharer) entrant) (entrants []entrant) {
	for _, e := range []sharer{headpondLimits, channel, raw, sqlConn, commons} {
		entrants = append(entrants, make(e))
	}
	return entrants
}

func sizes() group {
	g := group{
		name:    "growth-size",
		title:   "Growth: the size of the pool",
		about:   "One goroutine acquires and releases; half of the values are held by others, the rest lie idle.",
		columns: []column{{name: "time", show: duration}},
		base:    "puddle",
		chart:   lines("values in the pool", "acquire and release"),
	}
	for _, size := range []int{10, 100, 1_000, 10_000} {
		g.contests = append(g.contests, contest{commas(float64(size)), 60 * time.Millisecond,
			growing(func(e sharer) entrant { return e.under(load{goroutines: 1, step: 100}, size, size/2) })})
	}
	return g
}

func waiters() group {
	g := group{
		name:    "growth-waiters",
		title:   "Growth: the number of waiters",
		about:   "So many goroutines acquire and release the one value of a pool: the time from one hand to the next.",
		columns: []column{{name: "time", show: duration}},
		base:    "puddle",
		chart:   lines("goroutines that want the one value", "acquire and release"),
	}
	for _, waiting := range []int{1, 10, 100, 1_000, 10_000} {
		g.contests = append(g.contests, contest{commas(float64(waiting)), 100 * time.Millisecond * time.Duration(max(1, waiting/3000)),
			growing(func(e sharer) entrant { return e.under(load{goroutines: waiting}, 1, 0) })})
	}
	return g
}

func poolMemory() group {
	g := group{
		name:  "growth-memory",
		title: "Growth: the memory of pools and of waiters",
		about: "Bytes of heap and stacks: for each pool of 4 that holds one idle value of 64 bytes, in a process with so many pools; " +
			"and for each goroutine, its own stack included, of 10,000 that wait for a value.",
		columns: []column{{name: "memory", show: bytes}},
		base:    "puddle",
	}
	for _, count := range []int{1, 100, 10_000} {
		g.contests = append(g.contests, contest{"per pool, of " + commas(float64(count)), 0,
			growing(func(e sharer) entrant { return e.idle(count) })})
	}
	g.contests = append(g.contests, contest{"per waiter", 0, growing(func(e sharer) entrant { return e.waited(10_000) })})
	return g
}

// idle measures what count pools take that hold one idle value each.
func (e sharer) idle(count int) entrant {
	return entrant{e.name, e.settings, func() (func(time.Duration) figures, func()) {
		return func(time.Duration) figures {
			all := make([]shared, count)
			before := memory()
			for i := range all {
				all[i] = e.open(4)
				all[i].takeAll(1)()
			}
			after := memory()
			for _, p := range all {
				p.close()
			}
			return figures{"memory": (after - before) / float64(count)}
		}, func() {}
	}}
}

// waited measures what each of count goroutines takes that wait for the one value of a pool.
func (e sharer) waited(count int) entrant {
	return entrant{e.name, e.settings, func() (func(time.Duration) figures, func()) {
		return func(time.Duration) figures {
			p := e.open(1)
			defer p.close()
			giveBack := p.takeAll(1)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var served sync.WaitGroup
			before := memory()
			for range count {
				served.Go(func() { p.cycles(ctx, 1) })
			}
			after := memory()
			giveBack()
			served.Wait()
			return figures{"memory": (after - before) / float64(count)}
		}, func() {}
	}}
}

// memory returns the bytes of heap and stacks in use, once every goroutine but this one waits.
func memory() float64 {
	running := []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}, {Name: "/sched/goroutines/running:goroutines"}}
	for {
		time.Sleep(time.Millisecond)
		metrics.Read(running)
		if running[0].Value.Uint64() == 0 && running[1].Value.Uint64() <= 1 {
			break
		}
	}
	runtime.GC()
	runtime.GC() // what the first one left to sync.Pools and finalizers
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc + stats.StackInuse)
}
