package sqlite

import (
	"context"
	"sync"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Row 3: a direct acquire from the writer's pool would wait for the turn that it is in.
func TestAcquireOfTheWriterInsideATurnIsNested(t *testing.T) {
	runs := map[string]int{"Write": 1, "Batch alone": 1, "Batch shared": 2, "Batch, for the second time": 2}
	type work = func(ctx context.Context, conn *Conn) error
	for name, call := range map[string]func(db *DB, ctx context.Context, use work) error{
		"Write":       (*DB).Write,
		"Batch alone": (*DB).Batch,
		"Batch shared": func(db *DB, ctx context.Context, use work) error {
			var all sync.WaitGroup
			defer all.Wait()
			return db.Write(ctx, func(context.Context, *Conn) error { // the works wait, and share a transaction
				for range 2 {
					all.Go(func() { assert.NoError(t, db.Batch(ctx, use)) })
				}
				waitForWorks(db, 2)
				return nil
			})
		},
		"Batch, for the second time": func(db *DB, ctx context.Context, use work) error {
			var all sync.WaitGroup
			defer all.Wait()
			return db.Write(ctx, func(context.Context, *Conn) error {
				all.Go(func() { assert.NoError(t, db.Batch(ctx, use)) })
				waitForWorks(db, 1)
				all.Go(func() {
					assert.ErrorIs(t, db.Batch(ctx, func(_ context.Context, conn *Conn) error { return run(conn, "ROLLBACK") }), ErrRolledBack)
				})
				waitForWorks(db, 2)
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := openBatch(t, Options{})
			var mu sync.Mutex
			var kept []context.Context
			require.NoError(t, call(db, t.Context(), func(ctx context.Context, _ *Conn) error {
				mu.Lock()
				defer mu.Unlock()
				kept = append(kept, ctx)
				_, err := db.Writer().Acquire(ctx)
				assert.ErrorIs(t, err, pool.ErrNested)
				assert.ErrorContains(t, err, "it holds #1 for ")
				lease, err := db.Readers().Acquire(ctx)
				if assert.NoError(t, err) {
					lease.Release()
				}
				return nil
			}))
			assert.Len(t, kept, runs[name])
			for _, ctx := range kept {
				lease, err := db.Writer().Acquire(ctx)
				require.NoError(t, err, "the turn is over")
				lease.Release()
			}
		})
	}
}
