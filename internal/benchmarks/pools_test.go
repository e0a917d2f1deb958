package main

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// go -C internal/benchmarks test -bench . compares with benchstat's column "pool":
// the same loops as the program's, entrant by entrant.
func BenchmarkPools(b *testing.B) {
	for _, s := range []sharer{headpondPlain, headpondLimits, headpondHooks, channel, raw, sqlConn, commons} {
		run := func(work string, size, goroutines int) {
			b.Run("work="+work+"/pool="+s.name, func(b *testing.B) {
				p := s.open(size)
				defer p.close()
				p.takeAll(size)()
				b.ReportAllocs()
				b.SetParallelism(max(1, goroutines/runtime.GOMAXPROCS(0)))
				if goroutines == 1 {
					p.cycles(b.Context(), b.N)
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						p.cycles(b.Context(), 1)
					}
				})
			})
		}
		run("serial", 8, 1)
		run("parallel", max(8, runtime.GOMAXPROCS(0)), runtime.GOMAXPROCS(0))
		run("contended", 2, 32)
	}
}

// What headpond promises to allocate nothing for, measured as the program does, with Go 1.26.
// Time never fails a test.
func TestAllocations(t *testing.T) {
	for _, s := range []sharer{headpondPlain, headpondLimits, headpondHooks} {
		t.Run(s.name, func(t *testing.T) {
			p := s.open(8)
			defer p.close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if allocations := testing.AllocsPerRun(1000, func() { p.cycles(ctx, 1) }); allocations != 0 {
				t.Errorf("acquire and release: %v allocations, want 0", allocations)
			}
		})
		t.Run(s.name+", waiting", func(t *testing.T) {
			p := s.open(2)
			defer p.close()
			// What is made once for each goroutine is not an allocation for each wait.
			// A busy machine, if few come to wait in a tenth of a second, has ten tries.
			var allocs float64
			for range 10 {
				allocs = load{goroutines: 32}.run(100*time.Millisecond, func(ctx context.Context, n int) error {
					p.cycles(ctx, n)
					return nil
				})["allocs"]
				if allocs <= 0.1 {
					return
				}
			}
			t.Errorf("acquire, wait and release: %.2f allocations, want 0", allocs)
		})
	}
}
