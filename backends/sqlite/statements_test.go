package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// seen keeps what OnStatement is told, with the label of the ctx.
type seen struct {
	mu  sync.Mutex // protects the following
	all []seenStatement
}

type seenStatement struct {
	Statement
	caller any
}

type callerKey struct{}

func (s *seen) note(ctx context.Context, statement Statement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, seenStatement{statement, ctx.Value(callerKey{})})
}

// take returns what was told since it was last called: caller, mode, text and rows.
func (s *seen) take() (lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.all {
		lines = append(lines, fmt.Sprint(one.caller, ": ", one.Mode, ": ", one.Text, ": ", one.Rows))
	}
	s.all = nil
	return lines
}

func (s *seen) last(t testing.TB) Statement {
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotEmpty(t, s.all)
	return s.all[len(s.all)-1].Statement
}

func TestOnStatement_HearsWhatCallersRun(t *testing.T) {
	for _, memory := range []bool{false, true} {
		t.Run(fmt.Sprint("memory ", memory), func(t *testing.T) {
			var told seen
			reader := "reader"
			if memory {
				reader = "writer"
			}
			giveUp := func() {}
			setup := func(_ context.Context, conn *Conn) error {
				return conn.CreateFunction("give_up", &sqlite.FunctionImpl{Scalar: func(sqlite.Context, []sqlite.Value) (sqlite.Value, error) {
					giveUp()
					return sqlite.IntegerValue(0), nil
				}})
			}
			db := open(t, memory, Options{OnStatement: told.note, Setup: setup}) // with a schema
			assert.Empty(t, told.take(), "neither open nor migrations are a caller's")
			with := func(caller string) context.Context { return context.WithValue(t.Context(), callerKey{}, caller) }
			run := func(sql string) func(context.Context, *Conn) error {
				return func(_ context.Context, conn *Conn) error { return sqlitex.ExecuteTransient(conn, sql, nil) }
			}

			require.NoError(t, db.Write(with("a"), run("CREATE TABLE t (id INTEGER PRIMARY KEY, x UNIQUE)")))
			require.NoError(t, db.Write(with("a"), run("INSERT INTO t (x) VALUES (1), (2)")))
			require.NoError(t, db.Read(with("b"), run("SELECT * FROM t")))
			require.NoError(t, db.Batch(with("c"), run("DELETE FROM t WHERE x=1")))
			assert.Equal(t, []string{
				"a: writer: CREATE TABLE t (id INTEGER PRIMARY KEY, x UNIQUE): 0",
				"a: writer: INSERT INTO t (x) VALUES (1), (2): 2",
				"b: " + reader + ": SELECT * FROM t: 2",
				"c: writer: DELETE FROM t WHERE x=1: 1",
			}, told.take())

			require.NoError(t, db.Ping(with("d")))
			_, err := db.Checkpoint(with("e"))
			require.NoError(t, err)
			assert.Empty(t, told.take(), "what the DB runs by itself is not a caller's")

			lease, err := db.Writer().Acquire(with("f"))
			require.NoError(t, err)
			do(t, lease.Value(), "UPDATE t SET x=5")
			stmt := lease.Value().Prep("SELECT 1 UNION ALL SELECT 2")
			_, err = stmt.Step()
			require.NoError(t, err)
			c, _ := connectionOf(lease.Value())
			lease.Release()
			assert.Nil(t, c.borrower, "nothing keeps the ctx of a lease that has ended")
			assert.Equal(t, []string{"f: writer: UPDATE t SET x=5: 1", "f: writer: SELECT 1 UNION ALL SELECT 2: 1"}, told.take(), "the release resets it")

			require.Error(t, db.Write(with("g"), run("INSERT INTO t (x) VALUES (5)")))
			failed := told.last(t)
			assert.Equal(t, sqlite.ResultConstraintUnique, sqlite.ErrCode(failed.Err))
			var typed interface{ ErrorType() string }
			require.ErrorAs(t, failed.Err, &typed)
			assert.Equal(t, "SQLITE_CONSTRAINT_UNIQUE", typed.ErrorType())

			ctx, cancel := context.WithCancel(with("h"))
			giveUp = cancel
			require.ErrorIs(t, db.Read(ctx, run("WITH RECURSIVE n(x) AS (SELECT give_up() UNION ALL SELECT x+1 FROM n) SELECT count(*) FROM n")), context.Canceled)
			assert.ErrorIs(t, told.last(t).Err, context.Canceled)
		})
	}
}

func TestOnStatement_HearsASharedBatchEachWithItsCallersContext(t *testing.T) {
	var told seen
	db := open(t, false, Options{OnStatement: told.note})
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return sqlitex.ExecuteTransient(conn, "CREATE TABLE t (x)", nil)
	}))
	told.take()
	var calls sync.WaitGroup
	want := map[string]bool{}
	for caller := range 40 {
		want[fmt.Sprintf("%d: writer: INSERT INTO t VALUES (?): 1", caller)] = true
		calls.Go(func() {
			assert.NoError(t, db.Batch(context.WithValue(t.Context(), callerKey{}, caller), func(_ context.Context, conn *Conn) error {
				return sqlitex.Execute(conn, "INSERT INTO t VALUES (?)", &sqlitex.ExecOptions{Args: []any{"s3cr3t"}})
			}))
		})
	}
	calls.Wait()
	got := map[string]bool{}
	for _, line := range told.take() {
		got[line] = true
	}
	assert.Equal(t, want, got)
	stats := db.Statements()
	assert.EqualValues(t, 40, stats[0].Runs+stats[1].Runs-1)
}

// tapped is an observer that keeps the statements of which it is told.
func tapped(all bool, told *seen) pool.Observer {
	return func(pool.Inspector) pool.Tap {
		return pool.Tap{Statements: all, End: func(ctx context.Context, event pool.Event) {
			if event.Op == pool.Statement {
				told.note(ctx, *event.Statement)
			}
		}}
	}
}

func TestSlowAfter_TellsObserversOfSlowStatements(t *testing.T) {
	const slow = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n WHERE x<200000) SELECT count(*) FROM n"
	var all, some, only seen
	run := func(db *DB) {
		require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
			return errors.Join(sqlitex.ExecuteTransient(conn, "SELECT 1", nil), sqlitex.ExecuteTransient(conn, slow, nil))
		}))
	}
	db := open(t, false, Options{SlowAfter: 5 * time.Millisecond, Observer: pool.Observers(tapped(true, &all), tapped(false, &some))})
	run(db)
	run(open(t, false, Options{SlowAfter: 5 * time.Millisecond, Observer: tapped(false, &only)}))
	assert.True(t, some.last(t).Slow)
	assert.Len(t, all.take(), 2)
	assert.Equal(t, []string{"<nil>: reader: " + slow + ": 1"}, some.take())
	assert.Len(t, only.take(), 1)
	stats := db.Statements()
	require.Len(t, stats, 2, "those that are not slow are counted as well")
	assert.Equal(t, slow, stats[0].Text, "the most time first")
	assert.EqualValues(t, 1, stats[0].Slow)
	assert.EqualValues(t, 0, stats[1].Slow)
	assert.Equal(t, stats, db.Readers().Options().Statements(), "a page has them")
	_, err := Open(t.Context(), filepath.Join(t.TempDir(), "app.db"), Options{SlowAfter: -time.Second})
	assert.ErrorContains(t, err, "Options.SlowAfter is -1s: it must not be negative")
}

func TestStatements_AreNotSeenUnlessSomebodyWantsThem(t *testing.T) {
	var told seen
	for _, test := range []struct {
		name    string
		options Options
		want    bool
	}{
		{"zero", Options{}, false},
		{"an observer that does not ask", Options{Observer: tapped(false, &told)}, false},
		{"an observer that asks", Options{Observer: tapped(true, &told)}, true},
		{"one of two asks", Options{Observer: pool.Observers(tapped(false, &told), tapped(true, &told))}, true},
		{"SlowAfter", Options{SlowAfter: time.Hour}, true},
		{"OnStatement", Options{OnStatement: told.note}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			db := open(t, false, test.options)
			for _, p := range db.pools() {
				lease, err := p.Acquire(t.Context())
				require.NoError(t, err)
				c, _ := connectionOf(lease.Value())
				assert.Equal(t, test.want, c.Profiled())
				do(t, lease.Value(), "SELECT 1")
				lease.Release()
			}
			assert.Equal(t, test.want, len(db.Statements()) == 2)
		})
	}
}

func TestStatements_CostNoAllocationWhereNobodyWantsThem(t *testing.T) {
	db := open(t, false, Options{})
	lease, err := db.Readers().Acquire(t.Context())
	require.NoError(t, err)
	defer lease.Release()
	stmt := lease.Value().Prep("SELECT 1")
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for more := true; more && err == nil; {
			more, err = stmt.Step()
		}
	}))
	require.NoError(t, err)
}

func TestStatements_TellApartNoMoreThanSoManyTexts(t *testing.T) {
	db := open(t, false, Options{SlowAfter: time.Hour})
	require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		for n := range mostStatements + 20 {
			if err := sqlitex.ExecuteTransient(conn, fmt.Sprintf("SELECT %d", n), nil); err != nil {
				return err
			}
		}
		return nil
	}))
	stats := db.Statements()
	assert.Len(t, stats, mostStatements+1)
	var runs uint64
	for _, s := range stats {
		if runs += s.Runs; s.Text == OtherStatements {
			assert.EqualValues(t, 20, s.Runs)
			assert.EqualValues(t, 20, s.Rows)
		}
	}
	assert.EqualValues(t, mostStatements+20, runs)

	db = open(t, false, Options{SlowAfter: time.Hour})
	require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		return sqlitex.ExecuteTransient(conn, "SELECT '"+strings.Repeat("x", longestStatement)+"'", nil)
	}))
	require.Len(t, db.Statements(), 1)
	assert.Equal(t, OtherStatements, db.Statements()[0].Text)
}

func TestOnStatement_MayPanic(t *testing.T) {
	calls := 0
	panics := func(context.Context, Statement) { calls++; panic("careless") }
	db := open(t, false, Options{OnStatement: panics, Observer: func(pool.Inspector) pool.Tap {
		return pool.Tap{Statements: true, End: func(context.Context, pool.Event) { panic("careless") }}
	}})
	for range 2 {
		require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error { return sqlitex.ExecuteTransient(conn, "SELECT 1", nil) }))
	}
	assert.Equal(t, 2, calls)
}

func TestOnStatement_OfAPool(t *testing.T) {
	var told seen
	p, err := NewPool(filepath.Join(t.TempDir(), "app.db"), Options{OnStatement: told.note, Observer: tapped(true, &told)})
	require.NoError(t, err)
	conn, err := p.Take(t.Context())
	require.NoError(t, err)
	do(t, conn, "SELECT 7")
	p.Put(conn)
	assert.Len(t, told.take(), 2)
	assert.Equal(t, "SELECT 7", p.Statements()[0].Text)
	require.NoError(t, p.Close())
}

func BenchmarkStatementsSeen(b *testing.B) {
	const row, rows = "SELECT 1", "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n WHERE x<1000) SELECT x FROM n"
	for _, c := range []struct {
		name, text string
		options    Options
	}{
		{"off", row, Options{}}, {"SlowAfter", row, Options{SlowAfter: time.Hour}}, {"OnStatement", row, Options{OnStatement: func(context.Context, Statement) {}}},
		{"1000 rows, off", rows, Options{}}, {"1000 rows, SlowAfter", rows, Options{SlowAfter: time.Hour}},
	} {
		b.Run(c.name, func(b *testing.B) {
			options := c.options
			db := open(b, false, options)
			err := db.Read(b.Context(), func(_ context.Context, conn *Conn) (err error) {
				stmt := conn.Prep(c.text)
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					for more := true; more && err == nil; {
						more, err = stmt.Step()
					}
				}
				return err
			})
			require.NoError(b, err)
		})
	}
}
