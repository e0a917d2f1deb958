package stdlib

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headpond/headpond/backends/sqlite"
)

// A call waits for its turn and for the lock of another process together, not for each.
func TestWait_ForTheTurnAndTheLockIsBoundOnce(t *testing.T) {
	for name, text := range map[string]string{"Begin": "BEGIN", "a statement by itself": "CREATE TABLE u (x)", "in a batch": "INSERT INTO t VALUES (1)"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "app.db")
				options := sqlite.Options{AcquireTimeout: 5 * time.Second, BusyTimeout: 5 * time.Second}
				under, err := sqlite.Open(t.Context(), path, options)
				require.NoError(t, err)
				other, err := sqlite.Open(t.Context(), path, options)
				require.NoError(t, err)
				db, foreign := OpenDB(under, Options{}), OpenDB(other, Options{IdleInTx: -1})
				do(t, db, "CREATE TABLE t (x)")
				locks, err := foreign.Begin()
				require.NoError(t, err)
				turn, err := under.Writer().Acquire(t.Context())
				require.NoError(t, err)
				time.AfterFunc(4*time.Second, turn.Release)

				began := time.Now()
				_, err = db.Exec(text)
				var failed *Error
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, 5, failed.Code, "SQLITE_BUSY")
				assert.InDelta(t, 5, time.Since(began).Seconds(), 0.1)

				require.NoError(t, locks.Rollback())
				do(t, db, "INSERT INTO t VALUES (1)")
				require.NoError(t, errors.Join(db.Close(), foreign.Close(), under.Close(context.Background()), other.Close(context.Background())))
			})
		})
	}
}
