package sqlite

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The log of a database that Setup attaches is held to JournalSizeLimit, also under readers that overlap, and Stats has it.
func TestWAL_OfWhatSetupAttaches(t *testing.T) {
	aux := path(t)
	closed, err := Open(t.Context(), aux, Options{})
	require.NoError(t, err)
	require.NoError(t, closed.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "CREATE TABLE big (x)") }))
	require.NoError(t, closed.Close(t.Context()))
	const limit = 1 << 20
	db := openBatch(t, Options{Readers: 2, JournalSizeLimit: limit, Setup: func(_ context.Context, conn *Conn) error {
		return run(conn, "ATTACH "+literal(aux)+" AS aux")
	}})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for ctx.Err() == nil {
				_ = db.Read(ctx, func(_ context.Context, conn *Conn) error { // the last one is cancelled
					_, err := first(conn, "SELECT count(*) FROM aux.big")
					<-time.After(5 * time.Millisecond)
					return err
				})
			}
		})
	}
	seen := false
	for range 100 {
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
			return run(conn, "INSERT INTO aux.big VALUES (randomblob(200000))")
		}))
		seen = seen || db.Stats().WAL.Size > 0
	}
	assert.True(t, seen)
	assert.Eventually(t, func() bool {
		file, err := os.Stat(aux + walSuffix)
		return err == nil && file.Size() <= limit && db.Stats().WAL.Size <= limit
	}, time.Minute, 10*time.Millisecond)
	assert.NotZero(t, db.Stats().WAL.Truncated)
	cancel()
	all.Wait()
}
