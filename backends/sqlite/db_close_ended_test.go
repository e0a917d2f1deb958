package sqlite

import (
	"context"
	"os"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ended is a ctx that is over, as that of a service at its end.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errResult)
	return ctx
}

// A service defers Close with its own ctx, which has ended by then: what is idle is closed, and that is no error.
func TestClose_WithACtxThatHasEnded(t *testing.T) {
	for range 20 {
		file := path(t)
		db, err := Open(t.Context(), file, Options{Readers: 4})
		require.NoError(t, err)
		require.NoError(t, db.Readers().Warm(t.Context(), 4))
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "CREATE TABLE t (x)") }))
		require.NoError(t, db.Batch(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "INSERT INTO t VALUES (1)") }))
		assert.NoError(t, db.Close(ended(t)))
		assert.Zero(t, descriptors(t, file))
		_, err = os.Stat(file + "-wal")
		assert.ErrorIs(t, err, os.ErrNotExist, "the log is in the file")
		assert.NoError(t, db.Close(ended(t)), "again")
		assert.ErrorIs(t, db.Ping(t.Context()), pool.ErrClosed)
	}
	db, err := OpenMemory(t.Context(), Options{})
	require.NoError(t, err)
	require.NoError(t, db.Ping(t.Context()))
	assert.NoError(t, db.Close(ended(t)))
	p, err := NewPool(path(t), Options{})
	require.NoError(t, err)
	counted(t, p)
	assert.NoError(t, p.CloseContext(ended(t)))
}

// What is held keeps it from being closed: then the error is that of ctx and names the holder, and what is idle is closed all the same.
func TestClose_WithACtxThatHasEndedClosesWhatIsIdle(t *testing.T) {
	db, err := Open(t.Context(), path(t), Options{Readers: 4})
	require.NoError(t, err)
	require.NoError(t, db.Readers().Warm(t.Context(), 4))
	lease, err := db.Readers().Acquire(t.Context())
	require.NoError(t, err)
	err = db.Close(ended(t))
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, err, errResult)
	var failed *pool.Error
	require.ErrorAs(t, err, &failed)
	assert.Len(t, failed.Holders, 1)
	assert.Equal(t, 1, db.Readers().Stats().Live(), "the one that is held")
	assert.Zero(t, db.Writer().Stats().Live())
	lease.Release()
	assert.NoError(t, db.Close(t.Context()))
}
