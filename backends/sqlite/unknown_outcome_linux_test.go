package sqlite

import (
	"context"
	"errors"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// limitFiles has every write past 64 KiB fail, in this process, until undo is called.
func limitFiles(t *testing.T) (undo func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	low := limit
	low.Cur = 1 << 16
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &low))
	return func() { assert.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)) }
}

// unknownOutcome opens a database, and fails a Write whose outcome is unknown then.
func unknownOutcome(t *testing.T) (db *DB, heal func()) {
	t.Helper()
	db = faultyFor(t, path(t), 20*time.Millisecond)
	heal = limitFiles(t)
	assert.ErrorIs(t, db.Write(t.Context(), addRow), ErrOutcomeUnknown)
	return db, heal
}

// What a COMMIT left in the log can't be overwritten. One connection stays open for it, whatever becomes of the pools,
// until the next call overwrites it.
func TestUnknownOutcome_OneConnectionStaysOpen(t *testing.T) {
	if !elsewhere(t) {
		return
	}
	db, heal := unknownOutcome(t)
	file := db.database.path
	for range 5 {
		for _, p := range db.pools() {
			p.Evict()
		}
		free(t, db)
		require.NotZero(t, descriptors(t, file))
		err := db.Write(t.Context(), addRow)
		assert.ErrorContains(t, err, "an earlier COMMIT failed, and its pages in the log can't be overwritten yet")
		assert.NotErrorIs(t, err, ErrOutcomeUnknown, "it did not run")
		assert.NoError(t, db.Read(t.Context(), countRows), "reads go on")
	}
	free(t, db)
	most := descriptors(t, file)
	heal()
	require.NoError(t, db.Write(t.Context(), addRow))
	assert.LessOrEqual(t, descriptors(t, file), most, "what was kept is closed")
	assert.Nil(t, db.database.doubt.kept)
	sound(t, db, 257)
	require.NoError(t, db.Close(context.Background()))
	assert.Zero(t, descriptors(t, file))
	opens(t, file, 257)
}

// A checkpoint overwrites it, too: one of the DB's own comes within a second of the last use of the writer.
func TestUnknownOutcome_IsSettledByACheckpoint(t *testing.T) {
	if !elsewhere(t) {
		return
	}
	db, heal := unknownOutcome(t)
	heal()
	_, err := db.Checkpoint(t.Context())
	require.NoError(t, err)
	assert.False(t, db.database.doubt.frames.Load())
	require.NoError(t, db.Close(context.Background()))
	opens(t, db.database.path, 256)
}

// Close goes on trying, and closes nothing before it has succeeded.
func TestUnknownOutcome_CloseWaits(t *testing.T) {
	if !elsewhere(t) {
		return
	}
	db, heal := unknownOutcome(t)
	file := db.database.path
	closed := make(chan error)
	go func() { closed <- db.Close(context.Background()) }()
	require.Eventually(t, func() bool { // the pools are closed
		return errors.Is(db.Read(t.Context(), countRows), pool.ErrClosed) && db.Stats().Writer.Live() == 0
	}, 10*time.Second, time.Millisecond)
	assert.NotZero(t, descriptors(t, file))
	select {
	case err := <-closed:
		require.Fail(t, "it did not wait", "%v", err)
	default:
	}
	heal()
	require.NoError(t, <-closed)
	assert.Zero(t, descriptors(t, file))
	opens(t, file, 256)
}

// At the end of its ctx, Close gives up, and says that the outcome is unknown.
func TestUnknownOutcome_CloseGivesUp(t *testing.T) {
	if !elsewhere(t) {
		return
	}
	db, heal := unknownOutcome(t)
	file := db.database.path
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := db.Close(ctx)
	assert.ErrorIs(t, err, ErrOutcomeUnknown)
	assert.GreaterOrEqual(t, time.Since(began), 100*time.Millisecond)
	assert.Zero(t, descriptors(t, file))
	heal()
	other, err := Open(t.Context(), file, Options{})
	require.NoError(t, err)
	require.NoError(t, other.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		n, err := rows(conn)
		assert.Contains(t, []int64{256, 257}, n)
		return err
	}))
	require.NoError(t, other.Close(context.Background()))
}
