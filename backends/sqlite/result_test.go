package sqlite

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

var errResult = errors.New("not this one")

// withResults are the ways to use a DB with a result.
var withResults = map[string]func(context.Context, *DB, func(context.Context, *Conn) (string, error)) (string, error){
	"Read": Read[string], "Write": Write[string], "Batch": Batch[string],
}

func TestResult_IsThatOfTheFunction(t *testing.T) {
	db := openBatch(t, Options{})
	for name, with := range withResults {
		n, err := with(t.Context(), db, func(_ context.Context, conn *Conn) (string, error) { return first(conn, "SELECT 7") })
		require.NoError(t, err, name)
		assert.Equal(t, "7", n, name)
	}
}

// What came of a function whose work does not count, counts no more than that.
func TestResult_IsZeroWithAnError(t *testing.T) {
	db := openBatch(t, Options{})
	for name, with := range withResults {
		n, err := with(t.Context(), db, func(context.Context, *Conn) (string, error) { return "7", errResult })
		assert.ErrorIs(t, err, errResult, name)
		assert.Empty(t, n, name)
	}
	for _, name := range []string{"Write", "Batch"} {
		n, err := withResults[name](t.Context(), db, func(_ context.Context, conn *Conn) (string, error) {
			return "7", run(conn, "CREATE TABLE IF NOT EXISTS parent (id INTEGER PRIMARY KEY);"+
				"CREATE TABLE IF NOT EXISTS child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED); INSERT INTO child VALUES (1)")
		})
		assert.Equal(t, ResultConstraintForeignKey, ErrCode(err), "%s: the error of COMMIT", name)
		assert.Empty(t, n, name)
	}
}

// The result of a Batch that runs twice is that of the run that was committed.
func TestResult_OfABatchThatRunsTwiceIsThatOfTheLastRun(t *testing.T) {
	db := openBatch(t, Options{})
	runs := 0
	lease, err := db.Writer().Acquire(t.Context()) // until both are in the queue
	require.NoError(t, err)
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		n, err := Batch(t.Context(), db, func(_ context.Context, conn *Conn) (int, error) {
			runs++
			return runs, insert(conn, 1)
		})
		assert.Equal(t, 2, n)
		first <- err
	}()
	waitForWorks(db, 1)
	go func() {
		second <- db.Batch(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "ROLLBACK") })
	}()
	waitForWorks(db, 2)
	lease.Release()
	require.NoError(t, <-first)
	require.ErrorIs(t, <-second, ErrRolledBack)
	assert.Equal(t, 2, runs)
}

func TestPing(t *testing.T) {
	db := openBatch(t, Options{})
	require.NoError(t, db.Ping(t.Context()))
	require.NoError(t, db.Write(t.Context(), func(context.Context, *Conn) error { return db.Ping(t.Context()) }), "it does not ask for the writer")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errResult)
	assert.ErrorIs(t, db.Ping(ctx), errResult)
	needsRenames(t)
	require.NoError(t, os.Rename(db.database.path, db.database.path+".old"))
	err := db.Ping(t.Context())
	assert.ErrorIs(t, err, ErrReplaced)
	assert.ErrorContains(t, err, `headpond/sqlite "batch": ping: `)
	_ = db.Close(t.Context())
	assert.ErrorIs(t, db.Ping(t.Context()), pool.ErrClosed)
}

func TestPing_InMemory(t *testing.T) {
	db, err := OpenMemory(t.Context(), Options{})
	require.NoError(t, err)
	require.NoError(t, db.Ping(t.Context()))
	require.NoError(t, db.Read(t.Context(), func(ctx context.Context, _ *Conn) error {
		assert.ErrorIs(t, db.Ping(ctx), pool.ErrNested)
		return nil
	}))
	require.NoError(t, db.Close(t.Context()))
}

// The names here are zombiezen's own, and their types the same.
func TestCodes(t *testing.T) {
	assert.Equal(t, sqlite.ResultBusySnapshot, ResultBusySnapshot)
	assert.Equal(t, sqlite.TypeBlob, TypeBlob)
	assert.Equal(t, ResultOK, ErrCode(nil))
	assert.Equal(t, ResultError, ErrCode(errResult))
	assert.Equal(t, ResultBusy, ErrCode(&pool.Error{Err: ResultBusySnapshot.ToError()}).ToPrimary())
}
