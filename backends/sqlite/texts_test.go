package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTexts_SayWhatIsInsideWhat(t *testing.T) {
	db := openBatch(t, Options{})
	require.NoError(t, db.Read(t.Context(), func(ctx context.Context, _ *Conn) error {
		err := db.Write(ctx, nil)
		assert.ErrorIs(t, err, pool.ErrNested)
		assert.EqualError(t, err, `headpond/pool "batch.writer": acquire: Write inside Read, with the ctx that its function got, could wait for itself: call it when Read has returned`)
		return nil
	}))
}

// Readers are more than one, the writer is not.
func TestTexts_SayWhatToRaise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{Readers: 1, AcquireTimeout: time.Second, LeakAfter: time.Hour})
		reader, err := db.Readers().Acquire(context.Background())
		require.NoError(t, err)
		writer, err := db.Writer().Acquire(context.Background())
		require.NoError(t, err)
		assert.ErrorContains(t, db.Read(context.Background(), nil), ": release sooner or raise Options.Readers")
		for _, write := range []func(context.Context, func(context.Context, *Conn) error) error{db.Write, db.Batch} {
			err := write(context.Background(), nil)
			assert.ErrorContains(t, err, ": release sooner or do what is slow outside of Write (there is one writer; Batch shares a commit)")
			assert.NotContains(t, err.Error(), "MaxSize")
		}
		reader.Release()
		writer.Release()
	})
}

func TestTexts_OfBeginInsideATransaction(t *testing.T) {
	db := openBatch(t, Options{})
	begin := func(_ context.Context, conn *Conn) error { return run(conn, "BEGIN IMMEDIATE") }
	for name, use := range map[string]func(context.Context, func(context.Context, *Conn) error) error{"Read": db.Read, "Write": db.Write, "Batch": db.Batch} {
		err := use(t.Context(), begin)
		assert.ErrorContains(t, err, "cannot start a transaction within a transaction: Read, Write and Batch have begun one, and end it: take out BEGIN", name)
	}
}

// Each names the method whose function it is, however Batch ran it.
func TestTexts_OfATransactionThatItsFunctionEnds(t *testing.T) {
	db := openBatch(t, Options{})
	shared := func(ctx context.Context, use func(context.Context, *Conn) error) error {
		return together(t, db, func(context.Context, *Conn) error { return nil }, use)[1]
	}
	for name, call := range map[string]struct {
		use    func(context.Context, func(context.Context, *Conn) error) error
		method string
	}{"Write": {db.Write, "Write"}, "Batch": {db.Batch, "Batch"}, "Batch, shared": {shared, "Batch"}} {
		require.Eventually(t, db.batches.uncontended, time.Minute, time.Millisecond)
		err := call.use(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "COMMIT") })
		assert.ErrorIs(t, err, ErrRolledBack, name)
		assert.ErrorContains(t, err, ": it is for "+call.method+" to commit it: ", name)
		err = call.use(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "ROLLBACK") })
		assert.ErrorIs(t, err, ErrRolledBack, name)
		assert.EqualError(t, err, "the transaction was rolled back before its end, and nothing was committed: return an error instead of ROLLBACK, and the error of each statement that fails", name)
		mine := errors.New("mine")
		err = call.use(t.Context(), func(_ context.Context, conn *Conn) error { return errors.Join(run(conn, "ROLLBACK"), mine) })
		assert.ErrorIs(t, err, mine, name)
		assert.NotErrorIs(t, err, ErrRolledBack, name)
	}
}

func TestTexts_OfVacuumInsideATransaction(t *testing.T) {
	db := openBatch(t, Options{})
	vacuum := func(_ context.Context, conn *Conn) error { return run(conn, "VACUUM") }
	for name, use := range map[string]func(context.Context, func(context.Context, *Conn) error) error{"Read": db.Read, "Write": db.Write, "Batch": db.Batch} {
		err := use(t.Context(), vacuum)
		assert.Equal(t, ResultError, ErrCode(err), name)
		assert.ErrorContains(t, err, "cannot VACUUM from within a transaction: Read, Write and Batch have begun one: run it with db.Writer().Do", name)
	}
	assert.NoError(t, db.Writer().Do(t.Context(), vacuum))
}

// A COMMIT that failed names its database: a program has several.
func TestTexts_OfAFailedCommit(t *testing.T) {
	db := openBatch(t, Options{Name: "orders"})
	violate := func(_ context.Context, conn *Conn) error {
		return run(conn, "CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED); INSERT INTO child VALUES (1)")
	}
	err := db.Write(t.Context(), violate)
	assert.Equal(t, ResultConstraintForeignKey, ErrCode(err))
	assert.ErrorContains(t, err, `headpond/sqlite "orders": COMMIT: `)
}

// SQLite says "unable to open database file" of a path that is too long for it.
func TestTexts_OfALongPath(t *testing.T) {
	if onWindows {
		t.Skip("SQLite takes longer ones there")
	}
	directory := t.TempDir()
	for len(directory) < longestPath {
		directory = filepath.Join(directory, strings.Repeat("d", 100))
	}
	require.NoError(t, os.MkdirAll(directory, 0o700))
	_, err := Open(t.Context(), filepath.Join(directory, "app.db"), Options{})
	assert.ErrorContains(t, err, "SQLite takes fewer than 512, with what it adds for a log")
	assert.Equal(t, ResultCantOpen, ErrCode(err).ToPrimary())
	db := openBatch(t, Options{})
	err = db.Backup(t.Context(), filepath.Join(directory, "copy.db"), nil)
	assert.ErrorContains(t, err, "SQLite takes fewer than 512, with what it adds for a log")
	assert.Equal(t, ResultCantOpen, ErrCode(err).ToPrimary())
	assert.Empty(t, files(t, filepath.Join(directory, "app.db")))
}

// A file system without locks has no write-ahead log.
func TestTexts_OfAFileSystemWithoutLocks(t *testing.T) {
	d := newDatabase(path(t), Options{})
	for _, code := range []ResultCode{ResultIOErrLock, ResultIOErrReadLock, ResultIOErrSHMLock, ResultIOErrSHMMap} {
		err := d.explainOpen(t.Context(), d.path, Writer, code.ToError())
		assert.ErrorIs(t, err, ErrNoWAL)
		assert.Equal(t, code, ErrCode(err))
	}
}
