package raw

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// profiled returns a handle of a new file that tells of its statements, and what it told.
func profiled(t *testing.T) (*Handle, func() []told) {
	h := attach(t, filepath.Join(t.TempDir(), "app.db"), new(borrower))
	var all []told
	h.Profile(func(ran Ran) {
		assert.True(t, ran.Took > 0 || ran.Took == 0 && runtime.GOOS == "windows" || strings.HasPrefix(ran.Statement.Text(), "EXPLAIN"), "%v", ran.Took) // its clock moves in steps
		all = append(all, told{ran.Statement.Text(), ran.Rows, ran.FullScanSteps, ran.Sorts, ran.AutoIndexes, ran.Code})
	})
	require.True(t, h.Profiled())
	return h, func() []told {
		now := all
		all = nil
		return now
	}
}

type told struct {
	text                       string
	rows, scans, sorts, indexs int64
	code                       sqlite.ResultCode
}

func TestProfile_TellsOfEachRun(t *testing.T) {
	h, told1 := profiled(t)
	do(t, h.conn, "CREATE TABLE t (id INTEGER PRIMARY KEY, x UNIQUE, y); CREATE TABLE log (x); CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.x); INSERT INTO log VALUES (new.y); END")
	told1()
	do(t, h.conn, "INSERT INTO t (x, y) VALUES (1, 9), (2, 8), (3, 7)")
	assert.Equal(t, []told{{text: "INSERT INTO t (x, y) VALUES (1, 9), (2, 8), (3, 7)", rows: 3}}, told1(), "once, and without the rows of its triggers")
	found, ok := profiles.Load(h.address())
	require.True(t, ok)
	assert.Empty(t, found.(*profile).running, "a trigger is a part of its statement")
	do(t, h.conn, "SELECT * FROM t ORDER BY y")
	assert.Equal(t, []told{{text: "SELECT * FROM t ORDER BY y", rows: 3, scans: 2, sorts: 1}}, told1())
	do(t, h.conn, "SELECT * FROM t WHERE id=2")
	assert.Equal(t, []told{{text: "SELECT * FROM t WHERE id=2", rows: 1}}, told1(), "the counters are those of one run")
	do(t, h.conn, "SELECT * FROM t WHERE id=2")
	assert.Len(t, told1(), 1)
	do(t, h.conn, "SELECT count(*) FROM log a JOIN log b ON a.x=b.x")
	got := told1()
	require.Len(t, got, 1)
	assert.Positive(t, got[0].indexs)
	do(t, h.conn, "UPDATE t SET y=0 WHERE id>1 RETURNING id, x, y")
	assert.EqualValues(t, 2, told1()[0].rows)
	do(t, h.conn, "DELETE FROM t WHERE id=77")
	assert.Zero(t, told1()[0].rows, "and not those of the statement before")
	do(t, h.conn, "EXPLAIN SELECT 1")
	assert.Len(t, told1(), 1)
	do(t, h.conn, "-- why\nSELECT 1")
	assert.Equal(t, []told{{text: "-- why\nSELECT 1", rows: 1}}, told1())
}

func TestProfile_TellsOfFailures(t *testing.T) {
	h, told1 := profiled(t)
	do(t, h.conn, "CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1)")
	told1()
	require.Error(t, run(h.conn, "INSERT INTO t VALUES (1)"))
	assert.Equal(t, []told{{text: "INSERT INTO t VALUES (1)", code: sqlite.ResultConstraintUnique}}, told1())
}

func TestProfile_TellsOfAResetInTheMiddle(t *testing.T) {
	h, told1 := profiled(t)
	const three = "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3"
	outer := h.conn.Prep(three)
	_, err := outer.Step()
	require.NoError(t, err)
	assert.Empty(t, told1())
	do(t, h.conn, "SELECT 4")
	assert.Equal(t, []told{{text: "SELECT 4", rows: 1}}, told1(), "one that runs between the rows of another is no part of it")
	require.NoError(t, outer.Reset())
	assert.Equal(t, []told{{text: three, rows: 1}}, told1())
}

func TestProfile_RowsAreThoseReturnedThoughAFunctionWrites(t *testing.T) {
	h, told1 := profiled(t)
	do(t, h.conn, "CREATE TABLE t (x)")
	require.NoError(t, h.conn.CreateFunction("writes", &sqlite.FunctionImpl{NArgs: 0, Scalar: func(sqlite.Context, []sqlite.Value) (sqlite.Value, error) {
		return sqlite.IntegerValue(0), run(h.conn, "INSERT INTO t VALUES (1), (2), (3)")
	}}))
	told1()
	do(t, h.conn, "SELECT writes()")
	assert.Equal(t, []told{{text: "SELECT writes()", rows: 1}}, told1())
}

func TestProfile_HearsNoCommands(t *testing.T) {
	h, told1 := profiled(t)
	require.NoError(t, h.Run(BeginImmediate))
	do(t, h.conn, "CREATE TABLE t (x)")
	_, err := h.integer("SELECT 1")
	require.NoError(t, err)
	require.NoError(t, h.Run(Commit))
	assert.Equal(t, []told{{text: "CREATE TABLE t (x)"}}, told1())
}

func TestProfile_HearsNothingOfWhatAStatementRuns(t *testing.T) {
	h, told1 := profiled(t)
	do(t, h.conn, "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)")
	require.NoError(t, h.conn.CreateFunction("inner", &sqlite.FunctionImpl{NArgs: 0, Scalar: func(sqlite.Context, []sqlite.Value) (sqlite.Value, error) {
		return sqlite.IntegerValue(0), run(h.conn, "SELECT x FROM t")
	}}))
	told1()
	do(t, h.conn, "SELECT inner()")
	assert.Equal(t, []told{{text: "SELECT inner()", rows: 1}}, told1())
	do(t, h.conn, "SELECT x FROM t")
	assert.Len(t, told1(), 1)
}

func TestProfile_OutlivesAChangeOfTheSchema(t *testing.T) {
	h, told1 := profiled(t)
	do(t, h.conn, "CREATE TABLE t (x); INSERT INTO t VALUES (1)")
	stmt := h.conn.Prep("SELECT * FROM t")
	_, err := stmt.Step()
	require.NoError(t, err)
	require.NoError(t, stmt.Reset())
	do(t, h.conn, "ALTER TABLE t ADD y")
	told1()
	do(t, h.conn, "SELECT * FROM t")
	assert.Equal(t, []told{{text: "SELECT * FROM t", rows: 1}}, told1())
}

func TestProfile_IsNotThereUnlessItIsAskedFor(t *testing.T) {
	h := attach(t, filepath.Join(t.TempDir(), "app.db"), new(borrower))
	require.NoError(t, h.Install())
	assert.False(t, h.Profiled())
}

func TestProfile_EndsWithUninstall(t *testing.T) {
	require.NoError(t, Supported())
	conn, err := Open(":memory:", sqlite.OpenReadWrite)
	require.NoError(t, err)
	h := New(conn)
	require.NoError(t, h.Attach(new(borrower)))
	count := 0
	h.Profile(func(Ran) { count++ })
	do(t, conn, "SELECT 1")
	require.NoError(t, h.Uninstall())
	assert.False(t, h.Profiled())
	do(t, conn, "SELECT 1")
	assert.Equal(t, 1, count)
	kept := 0
	profiles.Range(func(_, _ any) bool { kept++; return true })
	require.NoError(t, Close(conn))
	assert.Zero(t, kept)
}
