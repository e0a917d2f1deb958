package ecosystem

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/stdlib"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, // gorm's cache of statements, and scs's store in memory, never end what they start
		goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"),
		goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

// open opens a database file and the *sql.DB over it that a library is given. At the end of the test
// no connection may be held, and nothing may have been found on one that came back, but for what the library is known to leave.
func open(t *testing.T, leaves ...sqlite.FindingKind) *sql.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "app.db"), sqlite.Options{AcquireTimeout: time.Minute, OnFinding: func(_ context.Context, f sqlite.Finding) { t.Logf("found: %v", f) }})
	require.NoError(t, err)
	sqlDB := stdlib.OpenDB(db, stdlib.Options{})
	t.Cleanup(func() {
		assert.NoError(t, sqlDB.Close())
		assert.Eventually(t, func() bool {
			stats := db.Stats()
			return stats.Readers.Held == 0 && stats.Writer.Held == 0
		}, time.Minute, time.Millisecond, "a connection stays held")
		found := db.Stats().Found
		for _, kind := range leaves {
			found[kind] = 0
		}
		assert.Zero(t, found)
		assert.NoError(t, db.Close(context.Background()))
	})
	return sqlDB
}

// Of a storm: how many goroutines, and how many writes each of them makes.
const stormers, storming = 16, 25

// storm calls write from many goroutines, with an id that is unique. Every other caller gives up early, at random.
// Then stored must return every id whose write succeeded, and none twice.
func storm(t *testing.T, write func(ctx context.Context, id int64) error, stored func() []int64) {
	t.Helper()
	var (
		mu      sync.Mutex
		written []int64
		failed  []error
		group   sync.WaitGroup
	)
	try := func(id int64) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if id%2 == 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(4000))*time.Microsecond)
			defer cancel()
		}
		err := write(ctx, id)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			written = append(written, id)
		case ctx.Err() == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, sql.ErrTxDone):
			failed = append(failed, err)
		}
	}
	for n := range int64(stormers) {
		group.Go(func() {
			for i := range int64(storming) {
				try(1 + n*storming + i)
			}
		})
	}
	group.Wait()
	require.Empty(t, failed)
	require.GreaterOrEqual(t, len(written), stormers*storming/2, "those with patience")
	found := stored()
	slices.Sort(found)
	assert.Len(t, slices.Compact(slices.Clone(found)), len(found), "an id was stored twice")
	assert.Subset(t, found, written)
}
