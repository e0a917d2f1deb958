package main

import (
	"context"
	"testing"
)

// The work of the program with one goroutine, for profiles:
// go -C internal/benchmarks test -run '^$' -bench 'SQLite/work=write/store=headpond$' -cpuprofile cpu.out
func BenchmarkSQLite(b *testing.B) {
	for _, s := range append(stores, headpondBatch, bare) {
		for _, w := range []struct {
			name string
			do   work
		}{{"point", pointRead}, {"scan", rangeScan}, {"snapshot", readTenOnce}, {"write", writeOne}} {
			b.Run("work="+w.name+"/store="+s.name, func(b *testing.B) {
				path, remove := directory(b.TempDir()).create()
				defer remove()
				db := s.open(path, "NORMAL", 4, 1)
				defer db.close()
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				b.ReportAllocs()
				for b.Loop() {
					check(w.do(db, ctx))
				}
			})
		}
	}
}
