package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

// openBatch returns a database with a table for works to insert into.
func openBatch(t testing.TB, options Options) *DB {
	t.Helper()
	if options.MaxBatchTime == 0 {
		options.MaxBatchTime = time.Minute // a busy machine may take longer than the default for a batch
	}
	if options.AcquireTimeout == 0 {
		options.AcquireTimeout = time.Minute // or than that for a turn
	}
	db, err := Open(t.Context(), filepath.Join(directory(t), "batch.db"), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return sqlitex.ExecuteScript(conn, "CREATE TABLE work (id INTEGER PRIMARY KEY)", nil)
	}))
	return db
}

func insert(conn *Conn, id int) error {
	return sqlitex.Execute(conn, "INSERT INTO work (id) VALUES (?)", &sqlitex.ExecOptions{Args: []any{id}})
}

// worked returns which works are in the database.
func worked(t testing.TB, db *DB) (ids []int) {
	t.Helper()
	require.NoError(t, db.Read(context.Background(), func(_ context.Context, conn *Conn) error {
		stmt := conn.Prep("SELECT id FROM work ORDER BY id")
		for {
			row, err := stmt.Step()
			if err != nil || !row {
				return err
			}
			ids = append(ids, stmt.ColumnInt(0))
		}
	}))
	return ids
}

func TestBatchCommitsAllThatSucceed(t *testing.T) {
	db := openBatch(t, Options{})
	var all sync.WaitGroup
	lease, err := db.Writer().Acquire(t.Context()) // or on a fast machine each might be alone
	require.NoError(t, err)
	for id := range 1000 {
		all.Go(func() {
			err := db.Batch(t.Context(), func(_ context.Context, conn *Conn) error {
				if err := insert(conn, id); err != nil {
					return err
				}
				if id%10 == 3 {
					return fmt.Errorf("work %d", id)
				}
				return nil
			})
			if id%10 == 3 {
				assert.EqualError(t, err, fmt.Sprintf("work %d", id))
			} else {
				assert.NoError(t, err)
			}
		})
	}
	waitForWorks(db, 1000)
	lease.Release()
	all.Wait()
	ids := worked(t, db)
	assert.Len(t, ids, 900)
	for _, id := range ids {
		assert.NotEqual(t, 3, id%10)
	}
	stats := db.Stats().Batch
	assert.EqualValues(t, 900, stats.Calls)
	assert.EqualValues(t, 4, stats.Batches, "of MaxBatch, those that fail included")
	assert.Zero(t, stats.Retries)
}

// one is a call of Batch. A nil ctx is the background.
type one struct {
	ctx context.Context
	use func(ctx context.Context, conn *Conn) error
}

// errExited stands for the end of a caller's goroutine, and a panicError for its panic.
var errExited = errors.New("runtime.Goexit was called")

type panicError struct{ value any }

func (e panicError) Error() string { return fmt.Sprintf("panicked with %v", e.value) }

// together queues works so that they share a batch, and returns their errors.
func together(t testing.TB, db *DB, works ...func(ctx context.Context, conn *Conn) error) []error {
	t.Helper()
	var all []one
	for _, work := range works {
		all = append(all, one{use: work})
	}
	return togetherWith(t, db, all...)
}

func togetherWith(t testing.TB, db *DB, works ...one) []error {
	t.Helper()
	errs := make([]error, len(works))
	var all sync.WaitGroup
	err := db.Write(context.Background(), func(context.Context, *Conn) error {
		for i, work := range works {
			all.Go(func() {
				errs[i] = errExited
				defer func() {
					if thrown := recover(); thrown != nil {
						errs[i] = panicError{thrown}
					}
				}()
				ctx := work.ctx
				if ctx == nil {
					ctx = context.Background()
				}
				errs[i] = db.Batch(ctx, work.use)
			})
			for queued := 0; queued <= i; runtime.Gosched() { // in the order given
				db.batches.mu.Lock()
				queued = db.batches.queue.Len()
				db.batches.mu.Unlock()
			}
		}
		return nil
	})
	require.NoError(t, err)
	all.Wait()
	return errs
}

// togetherHeld queues works behind a lease of the writer, calls held, and lets them share a batch.
// That begins without a transaction before it on the connection, as Write's would be.
func togetherHeld(t testing.TB, db *DB, held func(), works ...func(ctx context.Context, conn *Conn) error) []error {
	t.Helper()
	lease, err := db.Writer().Acquire(context.Background())
	require.NoError(t, err)
	errs := make([]error, len(works))
	var all sync.WaitGroup
	for i, work := range works {
		all.Go(func() { errs[i] = db.Batch(context.Background(), work) })
		waitForWorks(db, i+1)
	}
	held()
	lease.Release()
	all.Wait()
	return errs
}
