package sqlite

import (
	"context"
	"os"
	"testing"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// left makes a file and its log, with so many rows, as a process that was killed leaves them.
func left(t *testing.T, rows int) (file string) {
	t.Helper()
	db := openBatch(t, Options{})
	db.checkpointer.stop()
	for id := range rows {
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return insert(conn, id) }))
	}
	file = path(t)
	for _, suffix := range []string{"", walSuffix} {
		copyFile(t, db.database.path+suffix, file+suffix)
	}
	return file
}

// copyFile copies a file in another process: to close it in this one would drop SQLite's locks on it.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, child(t, "copy", from, to).Run())
}

func init() {
	children["copy"] = func(args []string) error {
		content, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		return os.WriteFile(args[1], content, 0o600)
	}
}

// flip changes a byte of a file.
func flip(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	content[20_000] ^= 1
	require.NoError(t, os.WriteFile(file, content, 0o600))
}

// logsOf returns the logs of a connection.
func logsOf(t *testing.T, s *connection) []raw.Log {
	t.Helper()
	require.NoError(t, s.Run(raw.BeginImmediate))
	defer s.rollBack()
	return s.Logs()
}

func TestRewriteLog_WritesWhatIsThere(t *testing.T) {
	s := construct(t, left(t, 300), Writer, Options{})
	logs := logsOf(t, s)
	require.Len(t, logs, 1)
	assert.Greater(t, logs[0].Frames, 300)
	before, err := os.ReadFile(logs[0].Path)
	require.NoError(t, err)
	require.NoError(t, rewriteLog(logs[0]))
	after, err := os.ReadFile(logs[0].Path)
	require.NoError(t, err)
	assert.Equal(t, before, after)

	flip(t, logs[0].Path)
	assert.ErrorIs(t, rewriteLog(logs[0]), errLogDamaged)
	flip(t, logs[0].Path)
	short := logs[0]
	short.Frames--
	assert.ErrorIs(t, rewriteLog(short), errLogDamaged, "that is not what the index says")
	short.Frames = 0
	assert.NoError(t, rewriteLog(short), "there is nothing to write")
}

// The log of a process that was killed is written again, and synced, before a commit relies on it at SyncFull,
// and before a checkpoint does at SyncNormal: each of them notices that it was changed. Nobody looks at it a second time.
func TestRewriteLog_BeforeTheLogOfAnotherProcessIsReliedOn(t *testing.T) {
	write := func(db *DB, id int) error {
		return db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return insert(conn, id) })
	}
	for _, synchronous := range []Synchronous{SyncFull, SyncExtra, SyncNormal, SyncOff} {
		file := left(t, 20)
		db, err := Open(t.Context(), file, Options{Synchronous: synchronous})
		require.NoError(t, err)
		db.checkpointer.stop()
		flip(t, file+walSuffix)
		full := synchronous == SyncFull || synchronous == SyncExtra
		if full {
			assert.ErrorIs(t, write(db, 20), errLogDamaged)
			assert.ErrorIs(t, db.Batch(t.Context(), func(context.Context, *Conn) error { panic("it ran") }), errLogDamaged)
		}
		if synchronous != SyncOff {
			_, err = db.Checkpoint(t.Context())
			assert.ErrorIs(t, err, errLogDamaged)
		}
		flip(t, file+walSuffix)
		require.NoError(t, write(db, 20))
		flip(t, file+walSuffix)
		require.NoError(t, write(db, 21))
		flip(t, file+walSuffix)
		done, err := db.Checkpoint(t.Context())
		require.NoError(t, err)
		assert.True(t, done.Complete)
		assert.Len(t, worked(t, db), 22)
		require.NoError(t, db.Close(t.Context()))
	}
}
