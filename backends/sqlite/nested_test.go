package sqlite

import (
	"context"
	"sync"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A direct acquire from the writer's pool would wait for the turn that it is in.
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

// The ctx of a Read that is over, inside a Write that is not, is still inside the Write.
func TestNested_WithTheCtxOfACallThatIsOver(t *testing.T) {
	db := openBatch(t, Options{})
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, _ *Conn) error {
		var kept context.Context
		require.NoError(t, db.Read(ctx, func(ctx context.Context, _ *Conn) error {
			kept = ctx
			return nil
		}))
		never := func(context.Context, *Conn) error { panic("it ran") }
		for name, call := range map[string]func(context.Context, func(context.Context, *Conn) error) error{"Write": db.Write, "Batch": db.Batch} {
			err := call(kept, never)
			assert.ErrorIs(t, err, pool.ErrNested)
			assert.ErrorContains(t, err, name+" inside Write")
		}
		assert.ErrorIs(t, db.Close(kept), pool.ErrNested)
		return nil
	}))
}
