package sqlite

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

// BenchmarkWriteUnderReaders writes a page at a time, with and without readers that overlap for 20 ms each
// and keep the log from starting over.
func BenchmarkWriteUnderReaders(b *testing.B) {
	for _, c := range []struct {
		name    string
		readers int
	}{{"none", 0}, {"overlapping", 4}} {
		b.Run(c.name, func(b *testing.B) {
			db := openBatch(b, Options{})
			require.NoError(b, db.Write(b.Context(), func(_ context.Context, conn *Conn) error {
				return run(conn, `CREATE TABLE page (id INTEGER PRIMARY KEY, x);
					WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 1000) INSERT INTO page SELECT i, randomblob(3000) FROM n`)
			}))
			ctx, cancel := context.WithCancel(context.Background())
			var all sync.WaitGroup
			defer all.Wait()
			defer cancel()
			for range c.readers {
				all.Go(func() {
					for ctx.Err() == nil {
						_ = readFor(ctx, db, 20*time.Millisecond) // the last one is cancelled
					}
				})
			}
			var longest time.Duration
			id := 0
			for b.Loop() {
				began := time.Now()
				id = id%1000 + 1
				require.NoError(b, db.Write(context.Background(), func(_ context.Context, conn *Conn) error {
					return sqlitex.Execute(conn, "UPDATE page SET x=randomblob(3000) WHERE id=?", &sqlitex.ExecOptions{Args: []any{id}})
				}))
				longest = max(longest, time.Since(began))
			}
			b.ReportMetric(float64(longest.Microseconds())/1000, "ms/longest")
			b.ReportMetric(float64(db.Stats().WAL.Size)/(1<<20), "MiB/log")
		})
	}
}
