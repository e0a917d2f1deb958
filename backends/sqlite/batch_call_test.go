package sqlite

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// aloneOrNot calls test with two ways to run a call in a new database: by itself, and as the third of four that share a batch,
// of which the others must succeed whatever it does. Nothing of it may be left.
func aloneOrNot(t *testing.T, test func(t *testing.T, db *DB, batch func(ctx context.Context, use func(context.Context, *Conn) error) error)) {
	for _, way := range []string{"alone", "shared"} {
		t.Run(way, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			db := openBatch(t, Options{Pragmas: []Pragma{{Name: "max_page_count", Value: "50"}}})
			do(t, conn(t, db), "CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
			want := []int(nil)
			test(t, db, func(ctx context.Context, use func(context.Context, *Conn) error) error {
				if way == "alone" {
					return togetherAlone(db, one{ctx, use})
				}
				good := func(id int) one {
					want = append(want, id)
					return one{use: func(_ context.Context, conn *Conn) error { return insert(conn, id) }}
				}
				errs := togetherWith(t, db, good(101), good(102), one{ctx, use}, good(103))
				assert.NoError(t, errs[0])
				assert.NoError(t, errs[1])
				assert.NoError(t, errs[3])
				return errs[2]
			})
			assert.Equal(t, want, worked(t, db))
			require.Eventually(t, func() bool {
				stats := db.Stats().Writer
				return stats.Held+stats.Waiting+stats.Destroying+stats.Constructing == 0
			}, 10*time.Second, time.Millisecond)
			require.NoError(t, db.Close(t.Context()))
			goleak.VerifyNone(t, before)
		})
	}
}

// togetherAlone is one call, in a goroutine of its own, if nobody else is.
func togetherAlone(db *DB, work one) error {
	ended := make(chan error, 1)
	go func() {
		err := errExited
		defer func() {
			if thrown := recover(); thrown != nil {
				err = panicError{thrown}
			}
			ended <- err
		}()
		err = db.Batch(work.ctx, work.use)
	}()
	return <-ended
}

// conn is a connection to the database of db, of its own.
func conn(t *testing.T, db *DB) *Conn {
	t.Helper()
	conn, err := sqlite.OpenConn(db.database.path, sqlite.OpenReadWrite)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestBatchOfACallThatFails(t *testing.T) {
	mine := errors.New("mine")
	script := func(script string) func(*Conn) error {
		return func(conn *Conn) error { return run(conn, script) }
	}
	quiet := func(script string) func(*Conn) error {
		return func(conn *Conn) error { _ = run(conn, script); return nil }
	}
	is := func(target error) func(t *testing.T, err error) {
		return func(t *testing.T, err error) { assert.ErrorIs(t, err, target) }
	}
	code := func(code sqlite.ResultCode) func(t *testing.T, err error) {
		return func(t *testing.T, err error) { assert.Equal(t, code, sqlite.ErrCode(err), "%v", err) }
	}
	text := func(text string) func(t *testing.T, err error) {
		return func(t *testing.T, err error) { assert.ErrorContains(t, err, text) }
	}
	for name, work := range map[string]struct {
		do    func(conn *Conn) error // after an INSERT
		check func(t *testing.T, err error)
		loses bool // the transaction
	}{
		"an error":                           {func(*Conn) error { return mine }, func(t *testing.T, err error) { assert.Equal(t, mine, err, "as it is") }, false},
		"a panic":                            {func(*Conn) error { panic(mine) }, func(t *testing.T, err error) { assert.Equal(t, panicError{mine}, err) }, false},
		"runtime.Goexit":                     {func(*Conn) error { runtime.Goexit(); return nil }, is(errExited), false},
		"COMMIT":                             {script("COMMIT"), is(ErrRolledBack), true},
		"COMMIT, ignored":                    {quiet("COMMIT"), is(ErrRolledBack), true},
		"END, ignored, and more":             {func(conn *Conn) error { _ = run(conn, "END"); return insert(conn, 8) }, code(sqlite.ResultConstraintCommitHook), true},
		"END TRANSACTION, BEGIN":             {quiet("END TRANSACTION; BEGIN"), is(ErrRolledBack), true},
		"ROLLBACK":                           {script("ROLLBACK"), is(ErrRolledBack), true},
		"ROLLBACK; BEGIN":                    {script("ROLLBACK; BEGIN IMMEDIATE; INSERT INTO work VALUES (8)"), is(ErrRolledBack), true},
		"ROLLBACK; SAVEPOINT":                {script("ROLLBACK; SAVEPOINT " + raw.SavepointName), is(ErrRolledBack), true},
		"OR ROLLBACK":                        {quiet("INSERT OR ROLLBACK INTO work VALUES (7)"), is(ErrRolledBack), true},
		"RELEASE, by the name":               {script("RELEASE " + raw.SavepointName), text("no such savepoint"), true},
		"BEGIN":                              {script("BEGIN"), text("cannot start a transaction within a transaction"), false},
		"RELEASE of nothing":                 {script("RELEASE x"), text("no such savepoint"), false},
		"RELEASE, by a name like ours":       {script(`RELEASE "headpond unit of work"`), text("no such savepoint"), false},
		"savepoints, and an error":           {script(`SAVEPOINT a; INSERT INTO work VALUES (8); SAVEPOINT a; RELEASE gone`), text("no such savepoint"), false},
		"savepoints like ours, and an error": {script(`SAVEPOINT "headpond unit of work"; INSERT INTO work VALUES (8); RELEASE "headpond unit of work"; SAVEPOINT "headpond unit of work"; nonsense`), text("syntax error"), false},
		"ROLLBACK TO, and an error":          {script(`SAVEPOINT a; INSERT INTO work VALUES (8); ROLLBACK TO a; ROLLBACK TO gone`), text("no such savepoint"), false},
		"a deferred foreign key":             {script("INSERT INTO child VALUES (7)"), code(sqlite.ResultConstraintForeignKey), false},
		"a cached statement left open": {func(conn *Conn) error {
			_, err := conn.Prep("SELECT id FROM work UNION ALL SELECT 1").Step()
			return err
		}, text("a statement was left open: SELECT id FROM work UNION ALL SELECT 1"), false},
		"a transient INSERT left open": {func(conn *Conn) error {
			stmt, _, err := conn.PrepareTransient("INSERT INTO work VALUES (8), (9) RETURNING id")
			if err == nil {
				_, err = stmt.Step()
			}
			return err
		}, text("a statement was left open: INSERT INTO work"), false},
		"Close": {func(conn *Conn) error { return conn.Close() }, func(t *testing.T, err error) { assert.Error(t, err) }, true},
		"no room": {func(conn *Conn) error {
			return sqlitex.ExecuteTransient(conn, "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i+1 FROM n) INSERT INTO work SELECT i FROM n", nil)
		}, code(sqlite.ResultFull), false},
	} {
		t.Run(name, func(t *testing.T) {
			aloneOrNot(t, func(t *testing.T, db *DB, batch func(context.Context, func(context.Context, *Conn) error) error) {
				runs := 0
				err := batch(context.Background(), func(_ context.Context, conn *Conn) error {
					runs++
					if err := insert(conn, 7); err != nil {
						return err
					}
					return work.do(conn)
				})
				work.check(t, err)
				assert.Equal(t, 1, runs)
				again := uint64(0)
				if stats := db.Stats().Batch; work.loses && stats.Calls > 1 {
					again = 2
				}
				assert.Equal(t, again, db.Stats().Batch.Retries)
			})
		})
	}
}
