package postgres_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/postgres"
	"github.com/headpond/headpond/pool"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRead_SeesOneSnapshot(t *testing.T) {
	db := open(t, postgres.Options{})
	exec(t, db, "CREATE TABLE t (a int)")
	require.NoError(t, db.Read(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		var before, after int
		require.NoError(t, tx.QueryRow(ctx, "SELECT count(*) FROM t").Scan(&before))
		exec(t, db, "INSERT INTO t VALUES (1)")
		require.NoError(t, tx.QueryRow(ctx, "SELECT count(*) FROM t").Scan(&after))
		assert.Equal(t, before, after)
		return nil
	}))
	assert.EqualValues(t, 1, number(t, db, "SELECT count(*) FROM t"))
}

func TestRead_RefusesToWrite(t *testing.T) {
	db := open(t, postgres.Options{})
	exec(t, db, "CREATE TABLE t (a int)")
	err := db.Read(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO t VALUES (1)")
		return err
	})
	assert.ErrorContains(t, err, "use Write")
	var answer *pgconn.PgError
	require.ErrorAs(t, err, &answer)
	assert.Equal(t, "25006", answer.Code)

	lease, err := db.Readers().Acquire(t.Context())
	require.NoError(t, err)
	defer lease.Release()
	_, err = lease.Value().Exec(t.Context(), "INSERT INTO t VALUES (1)")
	assert.ErrorAs(t, err, &answer, "outside Read, too")
}

func TestRead_ReturnsTheFunctionsErrorAsItIs(t *testing.T) {
	db := open(t, postgres.Options{})
	want := errors.New("mine")
	assert.Same(t, want, db.Read(t.Context(), func(context.Context, pgx.Tx) error { return want }))
	assert.Same(t, want, db.Write(t.Context(), func(context.Context, pgx.Tx) error { return want }))
	assert.Zero(t, db.Stats().Found)
}

func TestWrite_CommitsOrRollsBack(t *testing.T) {
	db := open(t, postgres.Options{Writers: 1})
	exec(t, db, "CREATE TABLE t (a int)")
	insert := func(ctx context.Context, tx pgx.Tx) {
		_, err := tx.Exec(ctx, "INSERT INTO t VALUES (1)")
		require.NoError(t, err)
	}
	rows := func() int64 { return number(t, db, "SELECT count(*) FROM t") }
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		insert(ctx, tx)
		return nil
	}))
	assert.EqualValues(t, 1, rows())

	mine := errors.New("mine")
	for name, use := range map[string]func(ctx context.Context, tx pgx.Tx) error{
		"error": func(ctx context.Context, tx pgx.Tx) error { return mine },
		"error after a statement failed": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SELECT 1/0")
			require.Error(t, err)
			return mine
		},
		"a failed statement goes unsaid": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SELECT 1/0")
			require.Error(t, err)
			return nil
		},
		"rolled back": func(ctx context.Context, tx pgx.Tx) error { return tx.Rollback(ctx) },
		"rolled back, and more": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "ROLLBACK")
			require.NoError(t, err)
			_, err = tx.Conn().Exec(ctx, "INSERT INTO t VALUES (2)")
			assert.ErrorIs(t, err, postgres.ErrRolledBack)
			return nil
		},
		"committed": func(ctx context.Context, tx pgx.Tx) error {
			assert.ErrorContains(t, tx.Commit(ctx), "Commit inside Write")
			return mine
		},
		"COMMIT": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "COMMIT")
			assert.ErrorIs(t, err, postgres.ErrRolledBack)
			return nil
		},
		"END among others": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SELECT 1; /* and */ END")
			assert.ErrorIs(t, err, postgres.ErrRolledBack)
			return err
		},
		"COMMIT, prepared": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "COMMIT", pgx.QueryExecModeDescribeExec)
			assert.ErrorIs(t, err, postgres.ErrRolledBack)
			return nil
		},
		"PREPARE TRANSACTION": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "PREPARE TRANSACTION 'x'")
			assert.ErrorIs(t, err, postgres.ErrRolledBack)
			return nil
		},
		"rows left open": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Query(ctx, "SELECT generate_series(1, 1000)")
			require.NoError(t, err)
			return nil
		},
		"closed": func(ctx context.Context, tx pgx.Tx) error { return tx.Conn().Close(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			err := db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
				insert(ctx, tx)
				return use(ctx, tx)
			})
			if !errors.Is(err, mine) {
				assert.ErrorIs(t, err, postgres.ErrRolledBack)
			}
			assert.NotErrorIs(t, err, postgres.ErrOutcomeUnknown)
			assert.EqualValues(t, 1, rows())
			assert.Equal(t, int64(0), number(t, db, "SELECT count(*) FROM pg_prepared_xacts"))
		})
	}
}

func TestWrite_CommitFailsForCertain(t *testing.T) {
	db := open(t, postgres.Options{})
	exec(t, db, "CREATE TABLE t (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
	err := db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO t VALUES (1), (1)")
		return err
	})
	var answer *pgconn.PgError
	require.ErrorAs(t, err, &answer)
	assert.Equal(t, "23505", answer.Code)
	assert.NotErrorIs(t, err, postgres.ErrOutcomeUnknown)
	assert.EqualValues(t, 1, db.Stats().Writer.Created, "the connection goes on")
}

func TestWrite_NestedTransactionsAreSavepoints(t *testing.T) {
	db := open(t, postgres.Options{})
	exec(t, db, "CREATE TABLE t (a int)")
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		require.NoError(t, pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO t VALUES (1)")
			return err
		}))
		mine := errors.New("mine")
		require.ErrorIs(t, pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO t VALUES (2)")
			require.NoError(t, err)
			return mine
		}), mine)
		return nil
	}))
	assert.EqualValues(t, 1, number(t, db, "SELECT sum(a) FROM t"))
}

func TestWrite_PanicRollsBackAndGoesOn(t *testing.T) {
	db := open(t, postgres.Options{})
	exec(t, db, "CREATE TABLE t (a int)")
	insert := func(ctx context.Context, tx pgx.Tx) {
		_, err := tx.Exec(ctx, "INSERT INTO t VALUES (1)")
		require.NoError(t, err)
	}
	assert.PanicsWithValue(t, "mine", func() {
		_ = db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
			insert(ctx, tx)
			panic("mine")
		})
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
			insert(ctx, tx)
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	assert.EqualValues(t, 0, number(t, db, "SELECT count(*) FROM t"))
}

func TestNesting(t *testing.T) {
	db := open(t, postgres.Options{Readers: 1})
	nothing := func(context.Context, pgx.Tx) error { return nil }
	inside := func(outer func(context.Context, func(context.Context, pgx.Tx) error) error, inner func(ctx context.Context) error) (err error) {
		require.NoError(t, outer(t.Context(), func(ctx context.Context, _ pgx.Tx) error {
			err = inner(ctx)
			return nil
		}))
		return err
	}
	write := func(ctx context.Context) error { return db.Write(ctx, nothing) }
	read := func(ctx context.Context) error { return db.Read(ctx, nothing) }
	serializable := func(ctx context.Context) error { return db.WriteSerializable(ctx, nothing) }
	assert.ErrorIs(t, inside(db.Write, write), pool.ErrNested)
	assert.ErrorIs(t, inside(db.Write, serializable), pool.ErrNested)
	assert.ErrorIs(t, inside(db.WriteSerializable, write), pool.ErrNested)
	assert.ErrorIs(t, inside(db.Read, write), pool.ErrNested)
	assert.ErrorIs(t, inside(db.Read, read), pool.ErrNested, "the only reader is taken")
	assert.NoError(t, inside(db.Write, read))
	assert.ErrorIs(t, inside(db.Write, func(ctx context.Context) error {
		var inner context.Context
		require.NoError(t, db.Read(ctx, func(ctx context.Context, _ pgx.Tx) error { inner = ctx; return nil }))
		return db.Write(inner, nothing)
	}), pool.ErrNested, "the inner one is over, the outer is not")
	var over context.Context
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, _ pgx.Tx) error { over = ctx; return nil }))
	assert.NoError(t, write(over), "with the ctx of a function that has returned")
}

func TestReadOnly(t *testing.T) {
	url := newDatabase(t)
	db := openURL(t, url, postgres.Options{ReadOnly: true})
	assert.Nil(t, db.Writer())
	assert.Zero(t, db.Stats().Writer)
	assert.ErrorIs(t, db.Write(t.Context(), func(context.Context, pgx.Tx) error { return nil }), postgres.ErrReadOnly)
	assert.EqualValues(t, 1, number(t, db, "SELECT 1"))
	require.NoError(t, db.Ping(t.Context()))
}

func TestOpen_InvalidOptions(t *testing.T) {
	url := newDatabase(t)
	for want, options := range map[string]postgres.Options{
		"Options.Readers is -1: it must not be negative":     {Readers: -1},
		"Options.Writers is -1: it must not be negative":     {Writers: -1},
		"Options.MaxAttempts is -1: it must not be negative": {MaxAttempts: -1},
		"Options.MaxWaiters is -1: it must not be negative":  {MaxWaiters: -1},
		"Options.LeakAfter is -1ns: it must not be negative": {LeakAfter: -1},
		"Configure: mine": {Configure: func(*pgx.ConnConfig) error { return errors.New("mine") }},
		"Setup: mine":     {Setup: func(context.Context, *pgx.Conn) error { return errors.New("mine") }},
	} {
		_, err := postgres.Open(t.Context(), url, options)
		assert.ErrorContains(t, err, want)
	}
}

func TestSetup_IsTheBaseline(t *testing.T) {
	role := "setup_" + time.Now().Format("150405")
	url := newDatabase(t)
	admin := openURL(t, url, postgres.Options{})
	exec(t, admin, "CREATE ROLE "+role)
	exec(t, admin, "GRANT ALL ON SCHEMA public TO "+role)
	db := openURL(t, url, postgres.Options{Writers: 1, Setup: func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SET work_mem = '5MB'; SET app.me = 'it''s \\ me'; SET ROLE "+role)
		if err == nil {
			_, err = conn.Prepare(ctx, "one", "SELECT 1")
		}
		return err
	}})
	check := func() {
		t.Helper()
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
			var memory, me, as string
			require.NoError(t, tx.QueryRow(ctx, "SELECT current_setting('work_mem'), current_setting('app.me'), current_user").Scan(&memory, &me, &as))
			assert.Equal(t, []string{"5MB", `it's \ me`, role}, []string{memory, me, as})
			var one int
			require.NoError(t, tx.QueryRow(ctx, "one").Scan(&one))
			return nil
		}))
	}
	check()
	assert.Zero(t, db.Stats().Found)
	for _, change := range []string{"RESET ALL", "SET work_mem = '6MB'", "RESET ROLE", "SET app.me = 'you'", "DO $$ BEGIN RESET ROLE; RESET work_mem; END $$"} {
		exec(t, db, change)
		check()
	}
	assert.EqualValues(t, 1, db.Stats().Writer.Created, "it is brought back, not replaced")
	found := db.Stats().Found
	assert.EqualValues(t, 2, found[postgres.FoundRole])
	assert.EqualValues(t, 5, found[postgres.FoundSetting], "work_mem and app.me twice, by RESET ALL and alone; work_mem in DO")

	for _, left := range []string{"CREATE TEMP TABLE t (a int)", "LISTEN x", "BEGIN", "SELECT pg_advisory_lock(1)"} {
		_, err := postgres.Open(t.Context(), url, postgres.Options{Setup: func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, left)
			return err
		}})
		var failed *postgres.Error
		require.ErrorAs(t, err, &failed, left)
		assert.Equal(t, "Setup", failed.Step)
	}
}

func TestClose_CancelsWhatRunsWhenItsTimeIsOver(t *testing.T) {
	db, err := postgres.Open(t.Context(), newDatabase(t), postgres.Options{})
	require.NoError(t, err)
	began, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- db.Read(context.Background(), func(ctx context.Context, tx pgx.Tx) error {
			close(began)
			_, err := tx.Exec(ctx, "SELECT pg_sleep(60)")
			return err
		})
	}()
	<-began
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for err = db.Close(over); err != nil; err = db.Close(over) { // the statement may not have reached the server the first time
		require.ErrorIs(t, err, context.Canceled)
	}
	assert.ErrorIs(t, <-ended, pool.ErrClosed)
	assert.ErrorIs(t, db.Write(t.Context(), func(context.Context, pgx.Tx) error { return nil }), pool.ErrClosed)
	assert.ErrorIs(t, db.Ping(t.Context()), pool.ErrClosed)
}

func TestClose_NamesTheHolders(t *testing.T) {
	db, err := postgres.Open(t.Context(), newDatabase(t), postgres.Options{})
	require.NoError(t, err)
	lease, err := db.Writer().Acquire(t.Context())
	require.NoError(t, err)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	err = db.Close(over)
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "1 still held")
	lease.Release()
	require.NoError(t, db.Close(t.Context()))
	require.NoError(t, db.Close(t.Context()))
}

func TestClose_InsideIsNested(t *testing.T) {
	db, err := postgres.Open(t.Context(), newDatabase(t), postgres.Options{})
	require.NoError(t, err)
	require.NoError(t, db.Read(t.Context(), func(ctx context.Context, _ pgx.Tx) error {
		assert.ErrorIs(t, db.Close(ctx), pool.ErrNested)
		return nil
	}))
	require.NoError(t, db.Close(t.Context()))
}

func TestOpenDB(t *testing.T) {
	db := open(t, postgres.Options{Writers: 2})
	sqlDB := postgres.OpenDB(db.Writer())
	_, err := sqlDB.ExecContext(t.Context(), "CREATE TABLE t (a int); SET work_mem = '5MB'")
	require.NoError(t, err)
	statement, err := sqlDB.PrepareContext(t.Context(), "INSERT INTO t VALUES ($1)")
	require.NoError(t, err)
	transaction, err := sqlDB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = transaction.StmtContext(t.Context(), statement).ExecContext(t.Context(), 7)
	require.NoError(t, err)
	require.NoError(t, transaction.Commit())
	require.NoError(t, statement.Close())
	var a int
	require.NoError(t, sqlDB.QueryRowContext(t.Context(), "SELECT a FROM t WHERE a = $1", 7).Scan(&a))
	assert.Equal(t, 7, a)
	conn, err := sqlDB.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, postgres.Raw(conn, func(conn *pgx.Conn) error { return conn.Ping(t.Context()) }))
	assert.Equal(t, 1, db.Stats().Writer.Held, "the *sql.Conn has a lease")
	require.NoError(t, conn.Close())
	assert.Zero(t, db.Stats().Writer.Held)
	assert.EqualValues(t, 1, db.Stats().Found[postgres.FoundSetting], "what SET left behind was undone")
	require.NoError(t, sqlDB.Close())
	assert.EqualValues(t, 1, number(t, db, "SELECT count(*) FROM t"), "the pools are open")
}

func TestResults(t *testing.T) {
	db := open(t, postgres.Options{})
	one := func(ctx context.Context, tx pgx.Tx) (n int, err error) {
		err = tx.QueryRow(ctx, "SELECT 1").Scan(&n)
		return n, err
	}
	mine := errors.New("mine")
	fails := func(context.Context, pgx.Tx) (int, error) { return 7, mine }
	for _, run := range []func(context.Context, *postgres.DB, func(context.Context, pgx.Tx) (int, error)) (int, error){
		postgres.Read[int], postgres.Write[int], postgres.WriteSerializable[int],
	} {
		n, err := run(t.Context(), db, one)
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		n, err = run(t.Context(), db, fails)
		assert.Same(t, mine, err)
		assert.Zero(t, n)
	}
}

// TestReset_RoleOfTheURL: a role that the url sets is the baseline, too.
func TestReset_RoleOfTheURL(t *testing.T) {
	url := newDatabase(t)
	admin := openURL(t, url, postgres.Options{})
	exec(t, admin, "CREATE ROLE url_role; CREATE ROLE url_other; GRANT url_role, url_other TO CURRENT_USER")
	defer exec(t, admin, "DROP ROLE url_role, url_other")
	db := openURL(t, url+"&role=url_role", postgres.Options{Writers: 1})
	defer db.Close(context.Background())
	for _, change := range []string{"SELECT 1", "SET ROLE url_other", "SET ROLE NONE", "RESET ROLE", "SET SESSION AUTHORIZATION url_other", "RESET SESSION AUTHORIZATION"} {
		lease, err := db.Writer().Acquire(t.Context())
		require.NoError(t, err)
		var role string
		require.NoError(t, lease.Value().QueryRow(t.Context(), "SELECT current_user").Scan(&role))
		assert.Equal(t, "url_role", role, change)
		_, err = lease.Value().Exec(t.Context(), change)
		require.NoError(t, err)
		lease.Release()
	}
	assert.EqualValues(t, 1, db.Stats().Writer.Created)
}
