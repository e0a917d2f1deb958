package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/postgres"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errMine = errors.New("mine")

// TestWrite_LostAnswerOfCommit breaks the connection around COMMIT.
func TestWrite_LostAnswerOfCommit(t *testing.T) {
	url := newDatabase(t)
	exec(t, openURL(t, url, postgres.Options{}), "CREATE TABLE t (a int)")
	for name, test := range map[string]struct {
		before  bool // it is never sent
		unknown bool
		rows    int64
	}{
		"after it was sent":  {false, true, 1},
		"before it was sent": {true, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := &breaking{before: test.before}
			db := openURL(t, url, postgres.Options{Configure: b.configure})
			exec(t, db, "DELETE FROM t")
			calls := 0
			err := db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
				calls++
				_, err := tx.Exec(ctx, "INSERT INTO t VALUES (1)")
				b.arm("commit")
				return err
			})
			require.Error(t, err)
			assert.Equal(t, 1, calls, "at most once")
			assert.Equal(t, test.unknown, errors.Is(err, postgres.ErrOutcomeUnknown), "%v", err)
			var failed *postgres.Error
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, "commit", failed.Step)
			assert.Equal(t, test.rows, number(t, db, "SELECT count(*) FROM t"))
			exec(t, db, "INSERT INTO t VALUES (2)")
		})
	}
}

// TestWrite_BeginOnALostConnectionIsTriedOnAnother: before the function was called, nothing is at stake.
func TestWrite_BeginOnALostConnectionIsTriedOnAnother(t *testing.T) {
	for _, before := range []bool{false, true} {
		b := &breaking{before: before}
		db := open(t, postgres.Options{Configure: b.configure, Writers: 1})
		b.arm("begin")
		exec(t, db, "CREATE TABLE t (a int)")
		assert.EqualValues(t, 2, db.Stats().Writer.Created)
		b.arm("begin")
		assert.EqualValues(t, 0, number(t, db, "SELECT count(*) FROM t"))
	}
}

// TestWrite_LostInTheFunction: the function ran, so it is not repeated.
func TestWrite_LostInTheFunction(t *testing.T) {
	b := &breaking{}
	db := open(t, postgres.Options{Configure: b.configure})
	exec(t, db, "CREATE TABLE t (a int)")
	calls := 0
	err := db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		calls++
		b.arm("INSERT")
		_, err := tx.Exec(ctx, "INSERT INTO t VALUES (1)")
		return err
	})
	assert.Equal(t, 1, calls)
	assert.ErrorIs(t, err, postgres.ErrLost)
	assert.NotErrorIs(t, err, postgres.ErrOutcomeUnknown)
	var failed *postgres.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, "use", failed.Step)
	assert.EqualValues(t, 0, number(t, db, "SELECT count(*) FROM t"))

	err = db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		b.arm("INSERT")
		_, err := tx.Exec(ctx, "INSERT INTO t VALUES (1)")
		require.Error(t, err)
		return nil // it goes unsaid
	})
	assert.ErrorIs(t, err, postgres.ErrRolledBack)
	assert.ErrorIs(t, err, postgres.ErrLost)
}

func TestWriteSerializable_RepeatsUntilItSucceeds(t *testing.T) {
	const workers, rounds = 4, 10
	db := open(t, postgres.Options{MaxAttempts: 1000})
	exec(t, db, "CREATE TABLE t (a int)")
	exec(t, db, "INSERT INTO t VALUES (0)")
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range rounds {
				assert.NoError(t, db.WriteSerializable(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
					var a int
					if err := tx.QueryRow(ctx, "SELECT a FROM t").Scan(&a); err != nil {
						return err
					}
					_, err := tx.Exec(ctx, "UPDATE t SET a = $1", a+1)
					return err
				}))
			}
		})
	}
	group.Wait()
	assert.EqualValues(t, workers*rounds, number(t, db, "SELECT a FROM t"))
	assert.Zero(t, db.Stats().Found)
}

func TestWriteSerializable_GivesUp(t *testing.T) {
	db := open(t, postgres.Options{MaxAttempts: 3})
	exec(t, db, "CREATE TABLE t (a int)")
	for code, want := range map[string]int{"40001": 3, "40P01": 3, "23505": 1} {
		calls := 0
		err := db.WriteSerializable(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
			calls++
			_, err := tx.Exec(ctx, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '"+code+"'; END $$")
			return err
		})
		assert.Equal(t, want, calls, code)
		var answer *pgconn.PgError
		require.ErrorAs(t, err, &answer)
		assert.Equal(t, code, answer.Code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := db.WriteSerializable(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")
		cancel()
		return err
	})
	assert.ErrorIs(t, err, context.Canceled)
}

func TestWriteSerializable_ADeadlockIsRepeated(t *testing.T) {
	db := open(t, postgres.Options{Configure: func(config *pgx.ConnConfig) error {
		config.RuntimeParams["deadlock_timeout"] = "10ms"
		return nil
	}})
	exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, a int)")
	exec(t, db, "INSERT INTO t VALUES (1, 0), (2, 0)")
	var group sync.WaitGroup
	var first [2]sync.Once
	locked := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	for i := range 2 {
		group.Go(func() {
			assert.NoError(t, db.WriteSerializable(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, "UPDATE t SET a = a + 1 WHERE id = $1", 1+i); err != nil {
					return err
				}
				first[i].Do(func() { close(locked[i]) })
				<-locked[1-i]
				_, err := tx.Exec(ctx, "UPDATE t SET a = a + 1 WHERE id = $1", 2-i)
				return err
			}))
		})
	}
	group.Wait()
	assert.EqualValues(t, 4, number(t, db, "SELECT sum(a) FROM t"))
}

func TestCancel_TheConnectionGoesOn(t *testing.T) {
	db := open(t, postgres.Options{Readers: 1, Writers: 1})
	exec(t, db, "CREATE TABLE t (a int)")
	number(t, db, "SELECT 1")
	for _, run := range []func(context.Context, func(context.Context, pgx.Tx) error) error{db.Read, db.Write, db.WriteSerializable} {
		began := time.Now()
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errMine)
		err := run(ctx, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SELECT pg_sleep(60)")
			return err
		})
		cancel()
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, err, errMine, "the cause")
		var answer *pgconn.PgError
		require.ErrorAs(t, err, &answer)
		assert.Equal(t, "57014", answer.Code)
		assert.Less(t, time.Since(began), 30*time.Second)
	}
	number(t, db, "SELECT 1")
	exec(t, db, "INSERT INTO t VALUES (1)")
	stats := db.Stats()
	assert.EqualValues(t, 1, stats.Readers.Created)
	assert.EqualValues(t, 1, stats.Writer.Created)
	assert.Zero(t, stats.Found)
}

// TestCancel_HitsNoLaterStatement cancels statements that end at that very moment.
func TestCancel_HitsNoLaterStatement(t *testing.T) {
	rounds := 300
	if *long {
		rounds = 20_000
	}
	db := open(t, postgres.Options{Readers: 1})
	cancelled := 0
	for i := range rounds {
		lease, err := db.Readers().Acquire(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%20)*50*time.Microsecond)
		_, err = lease.Value().Exec(ctx, "SELECT pg_sleep(0.0003)")
		cancel()
		if err != nil {
			cancelled++
		}
		_, err = lease.Value().Exec(t.Context(), "SELECT 1")
		require.NoError(t, err)
		lease.Release()
	}
	t.Logf("%d of %d were cancelled", cancelled, rounds)
	assert.NotZero(t, cancelled)
	assert.EqualValues(t, 1, db.Stats().Readers.Created)
}

func TestCancel_BeforeCommit(t *testing.T) {
	db := open(t, postgres.Options{Writers: 1})
	exec(t, db, "CREATE TABLE t (a int)")
	ctx, cancel := context.WithCancel(t.Context())
	err := db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO t VALUES (1)")
		cancel()
		return err
	})
	assert.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, postgres.ErrOutcomeUnknown)
	assert.EqualValues(t, 0, number(t, db, "SELECT count(*) FROM t"))
	assert.EqualValues(t, 1, db.Stats().Writer.Created)
}

// TestCancel_InCommit ends the ctx while COMMIT waits for a trigger.
func TestCancel_InCommit(t *testing.T) {
	db := open(t, postgres.Options{Writers: 1})
	exec(t, db, `CREATE TABLE t (a int);
		CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()`)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO t VALUES (1)")
		return err
	})
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotErrorIs(t, err, postgres.ErrOutcomeUnknown, "the server said that it was cancelled")
	assert.EqualValues(t, 0, number(t, db, "SELECT count(*) FROM t"))
	assert.EqualValues(t, 1, db.Stats().Writer.Created)
}
