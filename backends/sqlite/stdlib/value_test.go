package stdlib

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headpond/headpond/backends/sqlite"
)

type upper string

func (u upper) Value() (driver.Value, error) { return strings.ToUpper(string(u)), nil }

func TestValues_RoundTrip(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	for _, c := range []struct{ in, out any }{
		{nil, nil}, {int64(math.MinInt64), int64(math.MinInt64)}, {int64(math.MaxInt64), int64(math.MaxInt64)}, {uint8(7), int64(7)}, {true, int64(1)}, {false, int64(0)},
		{1.5, 1.5}, {math.Inf(1), math.Inf(1)}, {math.NaN(), nil}, {"", ""}, {"é\x00ü", "é\x00ü"}, {[]byte{}, []byte{}}, {[]byte(nil), nil}, {[]byte{0, 1, 255}, []byte{0, 1, 255}},
		{upper("valuer"), "VALUER"}, {sql.NullString{}, nil}, {sql.NullInt64{Int64: 3, Valid: true}, int64(3)}, {(*int)(nil), nil}, {float32(.5), .5},
		{strings.Repeat("x", 1<<20), strings.Repeat("x", 1<<20)},
	} {
		do(t, db, "DELETE FROM t")
		_, err := db.Exec("INSERT INTO t VALUES (?)", c.in)
		require.NoError(t, err)
		var out any
		require.NoError(t, db.QueryRow("SELECT x FROM t").Scan(&out))
		assert.Equal(t, c.out, out)
	}
	for _, bad := range []any{uint64(math.MaxUint64), struct{}{}, []int{1}, sql.Out{Dest: new(int)}, make(chan int)} {
		_, err := db.Exec("INSERT INTO t VALUES (?)", bad)
		require.Error(t, err, "%T", bad)
		assert.Contains(t, err.Error(), "argument", "%T", bad)
	}
	var raw sql.RawBytes
	rows, err := db.Query("SELECT 'raw'")
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next())
	require.NoError(t, rows.Scan(&raw))
	assert.Equal(t, "raw", string(raw))
}

func TestTimes_ThatTheirFormatCantHave(t *testing.T) {
	for format, bad := range map[TimeFormat][]time.Time{
		TimeText:     {time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 0, 0, time.FixedZone("", -90))},
		TimeUnixNano: {{}, time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		db, _ := open(t, sqlite.Options{}, Options{TimeFormat: format})
		do(t, db, "CREATE TABLE t (at DATETIME)")
		for _, at := range bad {
			_, err := db.Exec("INSERT INTO t VALUES (?)", at)
			assert.ErrorContains(t, err, "argument 1 is "+at.UTC().Format("2006-")[:4], at)
			assert.ErrorContains(t, err, "has the years", at)
		}
		assert.Zero(t, value[int](t, db, "SELECT count(*) FROM t"))
	}
}

func TestTimes_InZonesThatTheTextCantHave(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	for _, zone := range []*time.Location{time.FixedZone("AMT", 19*60+32), time.FixedZone("", -(5*60*60 + 1)), time.FixedZone("", 30*60*60)} {
		at := time.Date(1930, 5, 6, 7, 8, 9, 10, zone)
		assert.True(t, at.Equal(value[time.Time](t, db, "SELECT ?", at)), zone)
	}
}

func TestTimes(t *testing.T) {
	zone := time.FixedZone("", 2*60*60)
	for _, at := range []time.Time{
		time.Date(2026, 11, 26, 1, 2, 3, 456789012, time.UTC), time.Date(2026, 11, 26, 1, 2, 3, 0, zone), time.Date(1969, 7, 20, 20, 17, 40, 5e8, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		for format, lost := range map[TimeFormat]time.Duration{TimeText: 1, TimeUnix: time.Second, TimeUnixMilli: time.Millisecond} {
			db, _ := open(t, sqlite.Options{}, Options{TimeFormat: format})
			do(t, db, "CREATE TABLE t (at DATETIME, day DATE, loose)")
			_, err := db.Exec("INSERT INTO t VALUES (?, ?, ?)", at, at, at)
			require.NoError(t, err)
			var declared, day time.Time
			require.NoError(t, db.QueryRow("SELECT at, day FROM t").Scan(&declared, &day))
			want := at.Truncate(lost)
			if lost == time.Second || lost == time.Millisecond {
				want = time.Unix(at.Unix(), 0)
				if lost == time.Millisecond {
					want = time.UnixMilli(at.UnixMilli())
				}
			}
			assert.True(t, want.Equal(declared), "%v %v %v", format, want, declared)
			assert.True(t, declared.Equal(day))
			if format == TimeText {
				var highest, returned, loose time.Time
				require.NoError(t, db.QueryRow("SELECT max(at), loose FROM t").Scan(&highest, &loose))
				require.NoError(t, db.QueryRow("UPDATE t SET at=at RETURNING at").Scan(&returned))
				assert.True(t, at.Equal(highest) && at.Equal(returned) && at.Equal(loose))
			}
		}
	}
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (at TIMESTAMP)")
	for text, want := range map[string]string{
		"2026-11-26 01:02:03": "2026-11-26T01:02:03Z", "2026-11-26T01:02:03Z": "2026-11-26T01:02:03Z", "2026-11-26": "2026-11-26T00:00:00Z", "2026-11-26 01:02": "2026-11-26T01:02:00Z",
		"2026-11-26 01:02:03.5+02:00": "2026-11-26T01:02:03.5+02:00", "2026-11-26 01:02:03.123456789 +0200 CEST m=+0.001": "2026-11-26T01:02:03.123456789+02:00",
	} {
		do(t, db, "DELETE FROM t")
		_, err := db.Exec("INSERT INTO t VALUES (?)", text)
		require.NoError(t, err)
		assert.Equal(t, want, value[time.Time](t, db, "SELECT at FROM t").Format(time.RFC3339Nano), text)
	}
	var function any
	require.NoError(t, db.QueryRow("SELECT datetime('2026-11-26 01:02:03')").Scan(&function))
	assert.Equal(t, "2026-11-26 01:02:03", function, "a value without a type stays a text, unless it is in the driver's own form")
	do(t, db, "DELETE FROM t", "INSERT INTO t VALUES ('not a time')")
	assert.Equal(t, "not a time", value[string](t, db, "SELECT at FROM t"))
}

func TestBooleans(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (ok BOOLEAN, n INTEGER)", "INSERT INTO t VALUES (1, 1)")
	var ok, n any
	require.NoError(t, db.QueryRow("SELECT ok, n FROM t").Scan(&ok, &n))
	assert.Equal(t, true, ok)
	assert.Equal(t, int64(1), n)
}

func TestArguments(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	get := func(query string, args ...any) (string, error) {
		var text string
		err := db.QueryRow(query, args...).Scan(&text)
		return text, err
	}
	for _, c := range []struct {
		query string
		args  []any
		want  string
	}{
		{"SELECT ?||?||?", []any{"a", "b", "c"}, "abc"},
		{"SELECT ?2||?1||?2", []any{"a", "b"}, "bab"},
		{"SELECT :x||@y||$z||:x", []any{sql.Named("x", "1"), sql.Named("y", "2"), sql.Named("z", "3")}, "1231"},
		{"SELECT :x||:y", []any{"a", "b"}, "ab"},
		{"SELECT ?||:x||?", []any{"a", "m", "b"}, "amb"},
	} {
		text, err := get(c.query, c.args...)
		require.NoError(t, err, c.query)
		assert.Equal(t, c.want, text, c.query)
	}
	for query, args := range map[string][]any{
		"SELECT ?||?": {"a"}, "SELECT ?": {"a", "b"}, "SELECT 1": {"a"}, "SELECT :x": {sql.Named("y", 1)}, "SELECT :x ": {sql.Named("x", 1), sql.Named("y", 2)}, "SELECT ?2": {"a"},
	} {
		_, err := get(query, args...)
		require.Error(t, err, query)
	}
	_, err := get("SELECT :x", sql.Named("y", 1))
	require.ErrorContains(t, err, `"x"`)
	_, err = get("SELECT :x", sql.Named("x", 1), sql.Named("y", 2))
	require.ErrorContains(t, err, `"y"`)
	_, err = get("SELECT ?||?", "a")
	require.ErrorContains(t, err, "takes 2 arguments, and got 1")
	_, err = get("SELECT ?", "a", "b")
	require.ErrorContains(t, err, "takes 1 arguments, and got 2")
}

func TestArguments_ManyAreBoundInNoTime(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	args := make([]any, 32766)
	for i := range args {
		args[i] = i
	}
	rows, err := db.Query("SELECT count(*) FROM (VALUES "+strings.Repeat("(?),", len(args)-1)+"(?))", args...)
	require.NoError(t, err)
	assert.Equal(t, []int{32766}, readAll[int](t, rows))
}

func TestDoubleQuotes_AreStringsAsInOtherDrivers(t *testing.T) {
	for name, db := range both(t) {
		t.Run(name, func(t *testing.T) {
			do(t, db, "CREATE TABLE t (x TEXT DEFAULT \"none\", y)", `INSERT INTO t (y) VALUES ("a"), ("b")`, `UPDATE t SET y="c" WHERE y="a"`,
				`CREATE VIEW v AS SELECT * FROM t WHERE y="c"`, `CREATE TRIGGER g AFTER DELETE ON t BEGIN INSERT INTO t (y) VALUES ("gone"); END`, `DELETE FROM t WHERE y="b"`)
			assert.Equal(t, "none", value[string](t, db, `SELECT x FROM v WHERE y="c"`))
			tx, err := db.Begin()
			require.NoError(t, err)
			assert.Equal(t, "gone", value[string](t, tx, `SELECT y FROM t WHERE y="gone"`))
			require.NoError(t, tx.Commit())
			for range 3 { // learnt, and then known and cached
				do(t, db, `INSERT INTO t (y) VALUES ("more")`)
			}
			assert.Equal(t, 3, value[int](t, db, `SELECT count(*) FROM t WHERE y="more"`))
		})
	}
}

func TestDoubleQuotes_AreNotLeftToOthers(t *testing.T) {
	db, under := open(t, sqlite.Options{Readers: 1}, Options{})
	do(t, db, "CREATE TABLE t (x)", `INSERT INTO t VALUES ("a")`)
	assert.Equal(t, "a", value[string](t, db, `SELECT x FROM t WHERE x="a"`))
	refuses := func(_ context.Context, conn *sqlite.Conn) error {
		_, err := conn.Prepare(`SELECT * FROM t WHERE x="b"`)
		assert.ErrorContains(t, err, "no such column")
		return nil
	}
	require.NoError(t, under.Read(t.Context(), refuses))
	require.NoError(t, under.Write(t.Context(), refuses))
	assert.Zero(t, under.Stats().Found)
}

// A statement with an argument too many, or a name too many, is an error, and has done nothing; of a script, the last one has not.
func TestArguments_ThatAreLeftOverLeaveNothingWritten(t *testing.T) {
	type execer interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	}
	surplus := func(t *testing.T, db execer, count func() int) {
		before := count()
		for _, c := range []struct {
			text    string
			args    []any
			written int
		}{
			{"INSERT INTO t VALUES (?)", []any{1, 2}, 0},
			{"INSERT OR ROLLBACK INTO u VALUES (?)", []any{1, 2}, 0},
			{"INSERT INTO t VALUES (?) RETURNING x", []any{1, 2}, 0},
			{"INSERT INTO t VALUES (:x)", []any{sql.Named("x", 1), sql.Named("y", 2)}, 0},
			{"INSERT INTO t VALUES (?); INSERT INTO t VALUES (?)", []any{1, 2, 3}, 1},
			{"INSERT INTO t VALUES (?); PRAGMA user_version=7; -- the end", []any{1, 3}, 1},
		} {
			_, err := db.ExecContext(t.Context(), c.text, c.args...)
			require.ErrorContains(t, err, "headpond/sqlite/stdlib: ", c.text)
			before += c.written
			require.Equal(t, before, count(), c.text)
		}
	}
	for name, options := range map[string]Options{"in a batch": {}, "by itself": {NoBatch: true}} {
		t.Run(name, func(t *testing.T) {
			db, _ := open(t, sqlite.Options{}, options)
			do(t, db, "CREATE TABLE t (x)", "CREATE TABLE u (x)")
			count := func() int { return value[int](t, db, "SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM u)") }
			surplus(t, db, count)
			surplus(t, db, count) // when the texts are known
			assert.Zero(t, value[int](t, db, "PRAGMA user_version"))
			tx, err := db.Begin()
			require.NoError(t, err)
			surplus(t, tx, func() (n int) {
				require.NoError(t, tx.QueryRow("SELECT (SELECT count(*) FROM t) + (SELECT count(*) FROM u)").Scan(&n))
				return n
			})
			require.NoError(t, tx.Commit())
		})
	}
}
