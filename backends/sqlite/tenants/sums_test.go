package tenants_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

// What databases count is there after they were closed, once, and no count falls while they come and go.
func TestStats_SumsOutliveDatabases(t *testing.T) {
	var inspector pool.Inspector
	p := open(t, tenants.Options{MaxOpen: 2, AcquireTimeout: -1, Observer: func(p pool.Inspector) pool.Tap {
		inspector = p
		return pool.Tap{}
	}})
	const goroutines, calls = 4, 25
	var done atomic.Bool
	var look sync.WaitGroup
	look.Go(func() {
		var last tenants.Stats
		for !done.Load() {
			now := p.Stats()
			assert.GreaterOrEqual(t, now.Batch.Calls, last.Batch.Calls)
			assert.GreaterOrEqual(t, now.Found[sqlite.FoundTransaction], last.Found[sqlite.FoundTransaction])
			last = now
		}
	})
	var all sync.WaitGroup
	for n := range goroutines {
		all.Go(func() {
			for i := range calls {
				tenant := fmt.Sprint("tenant-", (n+i)%5)
				assert.NoError(t, p.Batch(t.Context(), tenant, func(_ context.Context, conn *sqlite.Conn) error {
					return sqlitex.Execute(conn, "INSERT INTO owner (name) VALUES (?)", &sqlitex.ExecOptions{Args: []any{tenant}})
				}))
				assert.NoError(t, p.Do(t.Context(), tenant, func(ctx context.Context, db *sqlite.DB) error {
					return db.Readers().Do(ctx, func(_ context.Context, conn *sqlite.Conn) error { return begin(conn) })
				}))
			}
		})
	}
	all.Wait()
	done.Store(true)
	look.Wait()
	assert.Greater(t, p.Stats().Evicted, uint64(5))
	require.NoError(t, p.Do(t.Context(), "tenant-0", func(ctx context.Context, db *sqlite.DB) error { // it may have been opened anew, and its log be empty
		err := db.Write(ctx, func(_ context.Context, conn *sqlite.Conn) error {
			return sqlitex.Execute(conn, "INSERT INTO owner (name) VALUES ('tenant-0')", nil)
		})
		assert.NotZero(t, p.Stats().WAL.Size)
		return err
	}))

	require.NoError(t, p.Close(t.Context()))
	stats := p.Stats()
	assert.EqualValues(t, goroutines*calls, stats.Batch.Calls)
	assert.EqualValues(t, goroutines*calls, stats.Found[sqlite.FoundTransaction])
	assert.GreaterOrEqual(t, stats.Batch.Largest, 1)
	assert.Zero(t, stats.WAL.Size, "of what is open")
	assert.Zero(t, stats.Batch.Waiting)
	figures := inspector.Figures()
	i := slices.IndexFunc(figures, func(f pool.Figure) bool { return f.Name == "headpond.sqlite.batch.calls" })
	require.GreaterOrEqual(t, i, 0)
	assert.EqualValues(t, goroutines*calls, figures[i].Value)
}

// begin leaves a transaction open.
func begin(conn *sqlite.Conn) error {
	stmt, _, err := conn.PrepareTransient("BEGIN")
	if err != nil {
		return err
	}
	if _, err := stmt.Step(); err != nil {
		return err
	}
	return stmt.Finalize()
}
