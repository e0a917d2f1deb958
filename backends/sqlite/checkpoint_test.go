package sqlite

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

// TestRow8TheLogStaysSmall has 8 readers that overlap, each of which reads for 20 ms, back to back,
// and writers that never pause: the log stays below twice its limit the whole time.
func TestRow8TheLogStaysSmall(t *testing.T) {
	lasts := 3 * time.Second
	if *long {
		lasts = 30 * time.Second
	}
	const limit = 4 << 20
	db := openBatch(t, Options{JournalSizeLimit: limit, Readers: 8})
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	var all sync.WaitGroup
	var written atomic.Int64
	for range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				assert.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
					_, err := sqlitex.ResultInt64(conn.Prep("SELECT count(*) FROM (SELECT 1 FROM work LIMIT 1)"))
					<-time.After(20 * time.Millisecond) // the snapshot stays
					return err
				}))
			}
		})
	}
	write := func(with func(context.Context, func(context.Context, *Conn) error) error) {
		for ctx.Err() == nil {
			assert.NoError(t, with(t.Context(), func(_ context.Context, conn *Conn) error {
				written.Add(1)
				return sqlitex.Execute(conn, "INSERT INTO work (id) VALUES (NULL)", nil)
			}))
		}
	}
	all.Go(func() { write(db.Write) })
	all.Go(func() { write(db.Batch) })
	var largest int64
	for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; {
		select {
		case <-tick.C:
			largest = max(largest, db.Stats().WAL.Size)
		case <-ctx.Done():
			tick.Stop()
		}
	}
	all.Wait()
	stats := db.Stats().WAL
	t.Logf("%d rows written; the log was %d bytes at the most, emptied %d times, kept %d times", written.Load(), largest, stats.Truncated, stats.Kept)
	assert.Less(t, largest, int64(2*limit))
	assert.NotZero(t, stats.Truncated)
	assert.False(t, db.Readers().Stats().Suspended)
}

func TestRow8WhoPinsTheLogIsNamed(t *testing.T) {
	db := openBatch(t, Options{LeakAfter: time.Hour})
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return insert(conn, 1) }))
	require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		_, err := sqlitex.ResultInt64(conn.Prep("SELECT count(*) FROM work"))
		require.NoError(t, err)
		require.NoError(t, db.Write(context.Background(), func(_ context.Context, conn *Conn) error { return insert(conn, 2) }))
		began := time.Now()
		done, err := db.Checkpoint(context.Background())
		require.NoError(t, err)
		assert.GreaterOrEqual(t, time.Since(began), patience)
		assert.False(t, done.Complete)
		assert.NotZero(t, done.Pages)
		require.NotNil(t, done.Pinned)
		assert.Contains(t, done.Pinned.Stack.Caller(), "checkpoint_test.go")
		assert.False(t, db.Readers().Stats().Suspended)
		return nil
	}))
	assert.NotNil(t, db.Stats().WAL.Pinned)
	done, err := db.Checkpoint(t.Context())
	require.NoError(t, err)
	assert.Equal(t, Checkpoint{Complete: true}, done)
	assert.Nil(t, db.Stats().WAL.Pinned)
	assert.Zero(t, db.Stats().WAL.Size)
}

func TestCheckpointInMemoryDoesNothing(t *testing.T) {
	db, err := OpenMemory(t.Context(), Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(t.Context())) }()
	done, err := db.Checkpoint(t.Context())
	require.NoError(t, err)
	assert.Equal(t, Checkpoint{}, done)
	_, err = os.Stat("memory-wal")
	assert.Error(t, err)
}
