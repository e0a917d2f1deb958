package sqlite

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

// BenchmarkBatch has goroutines insert a row each, again and again, by Batch and by Write.
// ns/op is the time of the benchmark divided by all calls.
func BenchmarkBatch(b *testing.B) {
	for _, synchronous := range []Synchronous{SyncNormal, SyncFull} {
		name := map[Synchronous]string{SyncNormal: "NORMAL", SyncFull: "FULL"}[synchronous]
		for _, goroutines := range []int{1, 16, 64, 256} {
			for _, call := range []string{"Batch", "Write"} {
				b.Run(fmt.Sprintf("%s/%s/%d", name, call, goroutines), func(b *testing.B) {
					db := openBatch(b, Options{Synchronous: synchronous, AcquireTimeout: -1})
					do := db.Batch
					if call == "Write" {
						do = db.Write
					}
					insertAll(b, goroutines, do)
					if stats := db.Stats().Batch; stats.Batches > 0 {
						b.ReportMetric(float64(stats.Calls)/float64(stats.Batches), "calls/batch")
					}
				})
			}
		}
	}
}

// insertAll calls do b.N times, from so many goroutines, each with a ctx that can be cancelled.
func insertAll(b *testing.B, goroutines int, do func(context.Context, func(context.Context, *Conn) error) error) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	insert := func(_ context.Context, conn *Conn) error {
		_, err := conn.Prep("INSERT INTO work DEFAULT VALUES").Step()
		return err
	}
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for range (b.N + goroutines - 1 - g) / goroutines {
				if err := do(ctx, insert); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
}
