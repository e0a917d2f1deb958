package stdlib

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
)

func TestTx_ReadThenWriteOf50Goroutines(t *testing.T) {
	db, _ := open(t, sqlite.Options{AcquireTimeout: -1}, Options{})
	do(t, db, "CREATE TABLE sum (n INTEGER)", "INSERT INTO sum VALUES (0)")
	add := func() error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		var n int
		if err := tx.QueryRow("SELECT n FROM sum").Scan(&n); err != nil {
			return err
		}
		if _, err := tx.Exec("UPDATE sum SET n=?", n+1); err != nil {
			return err
		}
		return tx.Commit()
	}
	var group sync.WaitGroup
	failed := make(chan error, 1000)
	for range 50 {
		group.Go(func() {
			for range 20 {
				failed <- add()
			}
		})
	}
	group.Wait()
	for range 1000 {
		require.NoError(t, <-failed)
	}
	assert.Equal(t, 1000, value[int](t, db, "SELECT n FROM sum"))
}

func TestTx_Isolation(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	for _, level := range []sql.IsolationLevel{sql.LevelDefault, sql.LevelSerializable, sql.LevelSnapshot, sql.LevelLinearizable} {
		tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
		require.NoError(t, err, level)
		require.NoError(t, tx.Rollback())
	}
	for _, level := range []sql.IsolationLevel{sql.LevelReadUncommitted, sql.LevelReadCommitted, sql.LevelWriteCommitted, sql.LevelRepeatableRead} {
		_, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
		require.ErrorContains(t, err, level.String())
	}
}

func TestTx_ReadOnly(t *testing.T) {
	for name, db := range both(t) {
		t.Run(name, func(t *testing.T) {
			do(t, db, "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")
			tx, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
			require.NoError(t, err)
			assert.Equal(t, 1, value[int](t, tx, "SELECT count(*) FROM t"))
			_, err = tx.Exec("INSERT INTO t VALUES (2)")
			var failed *Error
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, 8, failed.Code, "SQLITE_READONLY")
			if name == "file" {
				do(t, db, "INSERT INTO t VALUES (3)")
				assert.Equal(t, 1, value[int](t, tx, "SELECT count(*) FROM t"), "one snapshot")
			}
			require.NoError(t, tx.Commit())
			do(t, db, "INSERT INTO t VALUES (4)")
		})
	}
}

// both is a database of a file and one in memory.
func both(t *testing.T) map[string]*sql.DB {
	file, _ := open(t, sqlite.Options{}, Options{})
	return map[string]*sql.DB{"file": file, "memory": openMemory(t, sqlite.Options{}, Options{})}
}

func TestTx_AnInterruptedWriteEndsIt(t *testing.T) {
	for _, text := range []bool{false, true} {
		db, _ := open(t, sqlite.Options{}, Options{})
		do(t, db, "CREATE TABLE t (x)")
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		var tx *sql.Tx
		exec := conn.ExecContext
		if text {
			do(t, conn, "BEGIN")
		} else {
			tx, err = conn.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			exec = tx.ExecContext
		}
		_, err = exec(t.Context(), "INSERT INTO t VALUES (1)")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = exec(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) INSERT INTO t SELECT i FROM n")
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = exec(t.Context(), "INSERT INTO t VALUES (2)")
		require.ErrorIs(t, err, sqlite.ErrRolledBack, "nothing autocommits")
		if text {
			_, err = exec(t.Context(), "COMMIT")
			require.ErrorIs(t, err, sqlite.ErrRolledBack)
			_, err = exec(t.Context(), "INSERT INTO t VALUES (3)")
			require.NoError(t, err, "the session goes on")
		} else {
			require.ErrorIs(t, tx.Commit(), sqlite.ErrRolledBack)
			require.ErrorIs(t, tx.Rollback(), sql.ErrTxDone)
			_, err = conn.ExecContext(t.Context(), "INSERT INTO t VALUES (3)")
			require.NoError(t, err, "the session goes on")
		}
		require.NoError(t, conn.Close())
		assert.Equal(t, 1, value[int](t, db, "SELECT count(*) FROM t"))
	}
}

// TestReturning_AnErrorMeansThatNothingWasCommitted ends the ctx of writes at any time, between two of their rows as well.
func TestReturning_AnErrorMeansThatNothingWasCommitted(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{NoBatch: true})
	do(t, db, "CREATE TABLE t (k)")
	text := "INSERT INTO t (k) SELECT ?1 FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 20) SELECT i FROM n) RETURNING k"
	write := map[string]func(ctx context.Context, k int) error{
		"Query": func(ctx context.Context, k int) error {
			rows, err := db.QueryContext(ctx, text, k)
			if err == nil {
				err = rows.Close()
			}
			return err
		},
		"Exec": func(ctx context.Context, k int) error {
			_, err := db.ExecContext(ctx, text, k)
			return err
		},
		"Query in a Tx": func(ctx context.Context, k int) error {
			tx, err := db.Begin()
			require.NoError(t, err)
			rows, err := tx.QueryContext(ctx, text, k)
			if err == nil {
				err = rows.Close()
			}
			return errors.Join(err, tx.Commit())
		},
		"a script": func(ctx context.Context, k int) error {
			_, err := db.ExecContext(ctx, "SELECT 1; "+text, k)
			return err
		},
	}
	failed := 0
	for name, write := range write {
		for k := range 300 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(20+k)*time.Microsecond)
			err := write(ctx, k)
			cancel()
			want := 20
			if err != nil {
				failed, want = failed+1, 0
			}
			require.Equal(t, want, value[int](t, db, "SELECT count(*) FROM t WHERE k=?", k), "%s: %v", name, err)
			if k%50 == 49 {
				do(t, db, "DELETE FROM t")
			}
		}
	}
	assert.NotZero(t, failed)
}

// TestTx_OfAConnectionThatItsUserHasClosed uses the session after that, in each way.
func TestTx_OfAConnectionThatItsUserHasClosed(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	for _, readOnly := range []bool{false, true} {
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		tx, err := conn.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: readOnly})
		require.NoError(t, err)
		require.NoError(t, conn.Raw(func(c any) error {
			_ = c.(*session).held.conn.Close() // it complains of the transaction
			return nil
		}))
		_, err = tx.Prepare("SELECT 1")
		assert.ErrorIs(t, err, sqlite.ErrRolledBack)
		_, err = tx.Exec("SELECT 1")
		assert.ErrorIs(t, err, sqlite.ErrRolledBack)
		_, err = tx.Query("SELECT 1")
		assert.ErrorIs(t, err, sqlite.ErrRolledBack)
		assert.ErrorIs(t, conn.PingContext(t.Context()), sqlite.ErrRolledBack)
		if readOnly {
			assert.NoError(t, tx.Rollback())
		} else {
			assert.ErrorIs(t, tx.Commit(), sqlite.ErrRolledBack)
		}
		assert.NoError(t, conn.PingContext(t.Context()), "the session goes on")
		require.NoError(t, conn.Close())
	}
}

func TestTx_AReadOnlyBeginThatFailsLeavesTheWriterAsItWas(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	do(t, conn, "CREATE TEMP TABLE w (x)") // so that the session holds the writer
	use := func(text string) {
		require.NoError(t, Conn(t.Context(), conn, func(c *sqlite.Conn) error { return sqlitex.Execute(c, text, nil) }))
	}
	use("BEGIN") // of which the session does not know
	_, err = conn.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	require.ErrorContains(t, err, "within a transaction")
	use("ROLLBACK")
	do(t, conn, "INSERT INTO t VALUES (1)", "INSERT INTO w VALUES (1)")
}

func TestTx_DeferForeignKeysLastsAsLongAsTheTransaction(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE p (id INTEGER PRIMARY KEY)", "CREATE TABLE c (p REFERENCES p)")
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	for _, ways := range [][2]string{{"BEGIN", "COMMIT"}, {"BEGIN", "ROLLBACK"}, {"SAVEPOINT a", "RELEASE a"}} {
		do(t, conn, "PRAGMA defer_foreign_keys=ON", ways[0], "INSERT INTO p DEFAULT VALUES", ways[1], "BEGIN")
		_, err = conn.ExecContext(t.Context(), "INSERT INTO c VALUES (77)")
		assert.ErrorContains(t, err, "FOREIGN KEY", ways)
		do(t, conn, "ROLLBACK")
	}
	require.NoError(t, conn.Close())
}

func TestTx_ACancelledReadDoesNotEndIt(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO t VALUES (1)")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var sum int
	err = tx.QueryRowContext(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT sum(i) FROM n").Scan(&sum)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = tx.Exec("INSERT INTO t VALUES (2)")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	assert.Equal(t, 2, value[int](t, db, "SELECT count(*) FROM t"))
}

func TestTx_RollbackByAConstraint(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x UNIQUE)", "INSERT INTO t VALUES (1)")
	tx, err := db.Begin()
	require.NoError(t, err)
	do(t, tx, "INSERT INTO t VALUES (2)")
	_, err = tx.Exec("INSERT OR ROLLBACK INTO t VALUES (1)")
	var failed *Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, 2067, failed.ExtendedCode)
	_, err = tx.Exec("INSERT INTO t VALUES (3)")
	require.ErrorIs(t, err, sqlite.ErrRolledBack)
	require.ErrorIs(t, tx.Commit(), sqlite.ErrRolledBack)
	assert.Equal(t, 1, value[int](t, db, "SELECT count(*) FROM t"))
}

func TestTx_AFailedCommitLeavesNothingOpen(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE p (id INTEGER PRIMARY KEY)", "CREATE TABLE c (p REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
	tx, err := db.Begin()
	require.NoError(t, err)
	do(t, tx, "INSERT INTO c VALUES (7)")
	err = tx.Commit()
	var failed *Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, 787, failed.ExtendedCode)
	assert.Zero(t, value[int](t, db, "SELECT count(*) FROM c"))
	do(t, db, "INSERT INTO p VALUES (7)")
}

func TestTx_EndOfItsCtxRollsBack(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	ctx, cancel := context.WithCancel(t.Context())
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	do(t, tx, "INSERT INTO t VALUES (1)")
	cancel()
	require.Error(t, tx.Commit())
	do(t, db, "INSERT INTO t VALUES (2)") // waits for the rollback
	assert.Equal(t, 1, value[int](t, db, "SELECT count(*) FROM t"))
	assert.Zero(t, under.Stats().Found)
}

func TestTx_BeginWaitsForTheWriterAndItsErrorNamesTheHolder(t *testing.T) {
	db, _ := open(t, sqlite.Options{AcquireTimeout: 50 * time.Millisecond, LeakAfter: time.Hour}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = db.Exec("INSERT INTO t VALUES (1)")
	require.ErrorIs(t, err, pool.ErrAcquireTimeout)
	require.ErrorContains(t, err, "tx_test.go:")
	_, err = db.BeginTx(t.Context(), nil)
	require.ErrorIs(t, err, pool.ErrAcquireTimeout)
	var failed *pool.Error
	require.ErrorAs(t, err, &failed)
	require.NotContains(t, err.Error(), "database/sql")
	require.ErrorContains(t, err, "do what is slow outside of a Tx (there is one writer)")
	require.NoError(t, tx.Rollback())
	do(t, db, "INSERT INTO t VALUES (1)")
}

func TestTx_IdleForTooLong(t *testing.T) {
	found := make(chan sqlite.Finding, 1)
	db, under := open(t, sqlite.Options{OnFinding: func(_ context.Context, f sqlite.Finding) { found <- f }}, Options{IdleInTx: 50 * time.Millisecond})
	do(t, db, "CREATE TABLE t (x)")
	tx, err := db.Begin()
	require.NoError(t, err)
	do(t, tx, "INSERT INTO t VALUES (1)")
	f := <-found
	assert.Equal(t, sqlite.FoundIdle, f.Kind)
	assert.Contains(t, f.Detail, "tx_test.go:")
	assert.Contains(t, f.Detail, "TestTx_IdleForTooLong")
	do(t, db, "INSERT INTO t VALUES (2)") // the writer is free
	_, err = tx.Exec("INSERT INTO t VALUES (3)")
	require.ErrorIs(t, err, sqlite.ErrRolledBack)
	require.ErrorContains(t, err, "tx_test.go:")
	require.ErrorIs(t, tx.Commit(), sqlite.ErrRolledBack)
	assert.Equal(t, 2, value[int](t, db, "SELECT sum(x) FROM t"))
	assert.EqualValues(t, 1, under.Stats().Found[sqlite.FoundIdle])
}

// TestConn_WhatWasLeftOnItIsGoneAfterIdleInTx has a temporary table before a table of the same name: what is meant for the one must not reach the other.
func TestConn_WhatWasLeftOnItIsGoneAfterIdleInTx(t *testing.T) {
	idle := make(chan bool, 1)
	db, _ := open(t, sqlite.Options{OnFinding: onIdle(idle)}, Options{IdleInTx: 20 * time.Millisecond})
	do(t, db, "CREATE TABLE work (x)")
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	do(t, conn, "CREATE TEMP TABLE work (x)", "INSERT INTO work VALUES (1)")
	<-idle
	do(t, db, "INSERT INTO work VALUES ('other')") // the writer is free
	const gone = "nothing ran on the connection for 20ms, and what it had is gone"
	for range 2 {
		_, err = conn.ExecContext(t.Context(), "INSERT INTO work VALUES (2)")
		assert.ErrorContains(t, err, gone)
		_, err = conn.QueryContext(t.Context(), "SELECT * FROM work")
		assert.ErrorContains(t, err, gone)
		_, err = conn.PrepareContext(t.Context(), "SELECT * FROM work")
		assert.ErrorContains(t, err, gone)
		_, err = conn.BeginTx(t.Context(), nil)
		assert.ErrorContains(t, err, gone)
		assert.ErrorContains(t, conn.PingContext(t.Context()), gone)
		assert.ErrorContains(t, Conn(t.Context(), conn, func(*sqlite.Conn) error { return nil }), gone)
	}
	require.NoError(t, conn.Close())
	assert.Equal(t, 1, value[int](t, db, "SELECT count(*) FROM work"))
}

// TestFinding_APanicOfWhatIsToldCostsNoConnection has an OnFinding that does not return.
func TestFinding_APanicOfWhatIsToldCostsNoConnection(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("OnFinding") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			told := make(chan bool, 10)
			db, under := open(t, sqlite.Options{OnFinding: func(context.Context, sqlite.Finding) {
				told <- true
				end()
			}}, Options{IdleInTx: 20 * time.Millisecond})
			do(t, db, "CREATE TABLE t (x)")
			alone := func(use func()) {
				var done sync.WaitGroup
				done.Go(func() {
					defer func() { _ = recover() }() // as net/http does
					use()
				})
				done.Wait()
				<-told
				settled(t, under)
				do(t, db, "INSERT INTO t VALUES (1)")
			}
			alone(func() { _, _ = db.Exec("BEGIN") })
			tx, err := db.Begin()
			require.NoError(t, err)
			alone(func() {}) // the timer's
			assert.ErrorIs(t, tx.Commit(), sqlite.ErrRolledBack)
		})
	}
}

func TestTx_IdleButReadOnlyOrWithoutLimit(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{IdleInTx: time.Millisecond})
	do(t, db, "CREATE TABLE t (x)")
	reads, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	never := OpenDB(under, Options{IdleInTx: -1})
	defer never.Close()
	writes, err := never.Begin()
	require.NoError(t, err)
	<-time.After(50 * time.Millisecond) // the limit has passed many times
	assert.Zero(t, value[int](t, reads, "SELECT count(*) FROM t"))
	do(t, writes, "INSERT INTO t VALUES (1)")
	require.NoError(t, writes.Commit())
	require.NoError(t, reads.Commit())
	assert.Zero(t, under.Stats().Found)
}

func TestTx_TextOnAConn(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	do(t, conn, "BEGIN", "INSERT INTO t VALUES (1)", "SAVEPOINT a", "INSERT INTO t VALUES (2)", "ROLLBACK TO a", "RELEASE a")
	_, err = conn.ExecContext(t.Context(), " /* again */ begin immediate;")
	require.ErrorContains(t, err, "SAVEPOINT")
	assert.Equal(t, 1, under.Stats().Writer.Held)
	do(t, conn, "COMMIT TRANSACTION")
	settled(t, under)
	rows, err := conn.QueryContext(t.Context(), "BEGIN EXCLUSIVE") // through Query as well
	require.NoError(t, err)
	require.NoError(t, rows.Close())
	statement, err := conn.PrepareContext(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	_, err = statement.Exec()
	require.NoError(t, err)
	_, err = statement.Exec()
	require.ErrorContains(t, err, "no transaction")
	_, err = conn.ExecContext(t.Context(), "COMMIT")
	require.ErrorContains(t, err, "no transaction")
	do(t, conn, "END TRANSACTION; BEGIN; END"[17:])
	do(t, conn, "SAVEPOINT outer", "INSERT INTO t VALUES (3)", "RELEASE outer")
	settled(t, under)
	_, err = conn.ExecContext(t.Context(), "RELEASE missing")
	require.ErrorContains(t, err, "no such savepoint")
	settled(t, under)
	require.NoError(t, conn.Close())
	assert.Equal(t, 2, value[int](t, db, "SELECT count(*) FROM t"))
	assert.Zero(t, under.Stats().Found)
}

func TestTx_TextOnTheDBIsRolledBackAndFound(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)", "BEGIN")
	settled(t, under)
	assert.EqualValues(t, 1, under.Stats().Found[sqlite.FoundTransaction])
	do(t, db, "INSERT INTO t VALUES (1)")
	assert.Equal(t, 1, value[int](t, db, "SELECT count(*) FROM t"))
}

func TestTx_CommitByText(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	tx, err := db.Begin()
	require.NoError(t, err)
	do(t, tx, "INSERT INTO t VALUES (1)", "COMMIT")
	require.Error(t, tx.Commit())
	assert.Equal(t, 1, value[int](t, db, "SELECT count(*) FROM t"))
}

// TestTx_ThatATextHasEnded has writes after it, which would commit by themselves.
func TestTx_ThatATextHasEnded(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	for _, end := range []string{"COMMIT", "ROLLBACK", "SELECT 1; END"} {
		tx, err := db.Begin()
		require.NoError(t, err)
		do(t, tx, end)
		for _, write := range []string{"INSERT INTO t VALUES (1)", "WITH v(x) AS (VALUES (1)) INSERT INTO t SELECT x FROM v", "SELECT 1; INSERT INTO t VALUES (1)"} {
			_, err = tx.Exec(write)
			assert.ErrorContains(t, err, "COMMIT or ROLLBACK as text has ended this Tx", write)
			_, err = tx.Query(write)
			assert.ErrorContains(t, err, "COMMIT or ROLLBACK as text has ended this Tx", write)
		}
		assert.Equal(t, 0, value[int](t, tx, "SELECT count(*) FROM t"), "reads go on")
		do(t, tx, "PRAGMA foreign_keys=OFF; BEGIN; INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "PRAGMA foreign_keys=ON", "ROLLBACK", "PRAGMA foreign_keys=ON")
		assert.ErrorContains(t, tx.Commit(), "no transaction is active")
		assert.Zero(t, value[int](t, db, "SELECT count(*) FROM t"))
	}
	tx, err := db.Begin()
	require.NoError(t, err)
	do(t, tx, "ROLLBACK; BEGIN IMMEDIATE", "INSERT INTO t VALUES (1)") // as some do
	require.NoError(t, tx.Commit())
	do(t, db, "INSERT INTO t VALUES (1)")
	assert.Equal(t, 2, value[int](t, db, "SELECT count(*) FROM t"))
}

func TestTx_OfAReadOnlyDatabase(t *testing.T) {
	path := t.TempDir() + "/app.db"
	made, err := sql.Open("headpond", path)
	require.NoError(t, err)
	do(t, made, "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")
	require.NoError(t, made.Close())
	db, err := sql.Open("headpond", path+"?mode=ro")
	require.NoError(t, err)
	defer db.Close()
	tx, err := db.Begin()
	require.NoError(t, err)
	assert.Equal(t, 1, value[int](t, tx, "SELECT count(*) FROM t"))
	_, err = tx.Exec("INSERT INTO t VALUES (2)")
	require.Error(t, err)
	require.NoError(t, tx.Rollback())
	_, err = db.Exec("INSERT INTO t VALUES (2)")
	require.ErrorIs(t, err, sqlite.ErrReadOnly)
	_, err = db.Exec("SELECT 1; SELECT 2")
	require.NoError(t, err)
}

func TestTx_NestedInWriteIsRefused(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	require.NoError(t, under.Write(t.Context(), func(ctx context.Context, _ *sqlite.Conn) error {
		_, err := db.BeginTx(ctx, nil)
		assert.ErrorIs(t, err, pool.ErrNested)
		_, err = db.ExecContext(ctx, "INSERT INTO t VALUES (1)")
		assert.ErrorIs(t, err, pool.ErrNested)
		return nil
	}))
}

// A session that holds a connection pings that one: in memory there is no other, and it would wait for itself.
func TestPing_OfASessionThatHoldsAConnection(t *testing.T) {
	for name, open := range map[string]func() (*sqlite.DB, error){
		"memory": func() (*sqlite.DB, error) { return sqlite.OpenMemory(t.Context(), sqlite.Options{}) },
		"file": func() (*sqlite.DB, error) {
			return sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "app.db"), sqlite.Options{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			under, err := open()
			require.NoError(t, err)
			db := OpenDB(under, Options{})
			conn, err := db.Conn(t.Context())
			require.NoError(t, err)
			for _, text := range []string{"CREATE TEMP TABLE x (y)", "BEGIN", "SAVEPOINT s"} {
				_, err = conn.ExecContext(t.Context(), text)
				require.NoError(t, err)
				acquired := under.Stats().Readers.Acquired
				require.NoError(t, conn.PingContext(t.Context()))
				assert.Equal(t, acquired, under.Stats().Readers.Acquired)
			}
			_, err = conn.ExecContext(t.Context(), "ROLLBACK")
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			require.NoError(t, db.PingContext(t.Context()))
			require.NoError(t, errors.Join(db.Close(), under.Close(context.Background())))
		})
	}
}
