package stdlib

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headpond/headpond/backends/sqlite"
)

// numbers makes a table t of rows (id, name).
func numbers(t testing.TB, db *sql.DB, count int) {
	t.Helper()
	do(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)",
		fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d) INSERT INTO t SELECT i, 'name '||i FROM n", count))
}

// readAll reads the first column of all rows of one result set.
func readAll[T any](t testing.TB, rows *sql.Rows) (all []T) {
	t.Helper()
	for rows.Next() {
		var v T
		require.NoError(t, rows.Scan(&v))
		all = append(all, v)
	}
	require.NoError(t, rows.Err())
	return all
}

func TestRows_NestedQueriesOfMoreGoroutinesThanReaders(t *testing.T) {
	const goroutines, count = 64, 2000 // more rows than are read ahead
	db, under := open(t, sqlite.Options{Readers: 4}, Options{})
	numbers(t, db, count)
	nested := func() error {
		rows, err := db.Query("SELECT id FROM t")
		if err != nil {
			return err
		}
		defer rows.Close()
		seen := 0
		for rows.Next() {
			var id int
			if err := rows.Scan(&id); err != nil {
				return err
			}
			if seen++; seen%500 == 0 {
				var name string
				if err := db.QueryRow("SELECT name FROM t WHERE id=?", id).Scan(&name); err != nil {
					return err
				}
				if want := fmt.Sprint("name ", id); name != want {
					return fmt.Errorf("%q, want %q", name, want)
				}
			}
		}
		if seen != count {
			return errors.Join(fmt.Errorf("%d rows", seen), rows.Err())
		}
		return rows.Err()
	}
	var group sync.WaitGroup
	failed := make(chan error, goroutines)
	for range goroutines {
		group.Go(func() { failed <- nested() })
	}
	group.Wait()
	for range goroutines {
		require.NoError(t, <-failed)
	}
	assert.LessOrEqual(t, under.Stats().Readers.MaxSize, 64)
}

func TestRows_OpenOnesGrowTheReadersAndTheseShrinkAgain(t *testing.T) {
	db, under := open(t, sqlite.Options{Readers: 2, MaxReaders: 5}, Options{})
	numbers(t, db, 1000)
	var all []*sql.Rows
	for range 8 { // the last ones are read whole
		rows, err := db.Query("SELECT id FROM t")
		require.NoError(t, err)
		require.True(t, rows.Next())
		all = append(all, rows)
	}
	stats := under.Stats().Readers
	assert.Equal(t, 5, stats.MaxSize)
	assert.Equal(t, 3, stats.Held)
	for _, rows := range all {
		assert.Len(t, readAll[int](t, rows), 999)
		require.NoError(t, rows.Close())
	}
	assert.Zero(t, under.Stats().Readers.Held)
	require.Eventually(t, func() bool { return under.Stats().Readers.MaxSize == 2 }, 10*keptForTest, keptForTest/100)
}

func TestRows_SmallResultsHoldNothing(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	numbers(t, db, readAheadRows)
	rows, err := db.Query("SELECT id FROM t")
	require.NoError(t, err)
	assert.Zero(t, under.Stats().Readers.Held, "all rows were read ahead")
	assert.Len(t, readAll[int](t, rows), readAheadRows)
}

func TestRows_LargeRowsAreFewReadAhead(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (b BLOB)", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 100) INSERT INTO t SELECT randomblob(10000) FROM n")
	rows, err := db.Query("SELECT b FROM t")
	require.NoError(t, err)
	assert.Equal(t, 1, under.Stats().Readers.Held)
	require.NoError(t, rows.Close())
	assert.Zero(t, under.Stats().Readers.Held)
}

func TestRows_CloseInTheMiddle(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	numbers(t, db, 5000)
	for range 20 {
		rows, err := db.Query("SELECT id FROM t")
		require.NoError(t, err)
		require.True(t, rows.Next())
		require.NoError(t, rows.Close())
		require.NoError(t, rows.Close())
	}
	assert.Zero(t, under.Stats().Readers.Held)
	assert.Zero(t, under.Stats().Found)
}

func TestRows_EndOfCtxInTheMiddle(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	rows, err := db.QueryContext(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i FROM n")
	require.NoError(t, err)
	require.True(t, rows.Next())
	cancel()
	for rows.Next() {
	}
	require.ErrorIs(t, rows.Err(), context.Canceled)
	require.NoError(t, rows.Close())
	assert.Zero(t, under.Stats().Readers.Held)
}

func TestRows_EndOfCtxInALongFirstStep(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	done := make(chan error)
	go func() {
		close(started)
		_, err := db.QueryContext(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT sum(i) FROM n")
		done <- err
	}()
	<-started
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	assert.Zero(t, under.Stats().Readers.Held)
}

func TestRows_SeveralInOneTransaction(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	numbers(t, db, 1000)
	tx, err := db.Begin()
	require.NoError(t, err)
	one, err := tx.Query("SELECT id FROM t WHERE id<=?", 600)
	require.NoError(t, err)
	two, err := tx.Query("SELECT id FROM t WHERE id<=?", 500) // the same text, open twice
	require.NoError(t, err)
	require.True(t, one.Next())
	_, err = tx.Exec("INSERT INTO t (name) VALUES ('between')")
	require.NoError(t, err)
	assert.Len(t, readAll[int](t, two), 500)
	assert.Len(t, readAll[int](t, one), 599)
	require.NoError(t, tx.Commit())
	assert.Equal(t, 1001, value[int](t, db, "SELECT count(*) FROM t"))
}

func TestRows_OfATransactionThatEnds(t *testing.T) {
	for _, end := range []func(tx *sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
		db, _ := open(t, sqlite.Options{}, Options{})
		numbers(t, db, 1000)
		tx, err := db.Begin()
		require.NoError(t, err)
		rows, err := tx.Query("SELECT id FROM t")
		require.NoError(t, err)
		require.True(t, rows.Next())
		require.NoError(t, end(tx))
		for rows.Next() {
		}
		require.Error(t, rows.Err(), "not all rows were there")
		require.NoError(t, rows.Close())
	}
}

func TestRows_SeeTheSessionsOwnCommit(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	numbers(t, db, 1000)
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	old, err := conn.QueryContext(t.Context(), "SELECT id FROM t")
	require.NoError(t, err)
	defer old.Close()
	require.True(t, old.Next())
	for n := range 10 {
		_, err := conn.ExecContext(t.Context(), "INSERT INTO t (name) VALUES ('more')")
		require.NoError(t, err)
		assert.Equal(t, 1001+n, value[int](t, conn, "SELECT count(*) FROM t"))
	}
	assert.Len(t, readAll[int](t, old), 999, "the open rows keep their snapshot")
}

func TestRows_Metadata(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20), at DATETIME, ok BOOLEAN, price REAL, data BLOB, loose)", "INSERT INTO t (id) VALUES (1)")
	rows, err := db.Query("SELECT *, id+1 AS more, id, id FROM t")
	require.NoError(t, err)
	defer rows.Close()
	names, err := rows.Columns()
	require.NoError(t, err)
	assert.Equal(t, []string{"id", "name", "at", "ok", "price", "data", "loose", "more", "id", "id"}, names)
	types, err := rows.ColumnTypes()
	require.NoError(t, err)
	var declared, scans []string
	for _, c := range types {
		declared, scans = append(declared, c.DatabaseTypeName()), append(scans, c.ScanType().String())
	}
	assert.Equal(t, []string{"INTEGER", "VARCHAR", "DATETIME", "BOOLEAN", "REAL", "BLOB", "", "", "INTEGER", "INTEGER"}, declared)
	assert.Equal(t, []string{"sql.NullInt64", "sql.NullString", "sql.NullTime", "sql.NullBool", "sql.NullFloat64", "sql.RawBytes", "interface {}", "interface {}", "sql.NullInt64", "sql.NullInt64"}, scans)
	length, ok := types[1].Length()
	assert.True(t, ok)
	assert.EqualValues(t, 20, length)
	_, ok = types[0].Length()
	assert.False(t, ok)
	_, ok = types[0].Nullable()
	assert.False(t, ok)
}

func TestRows_MetadataAfterAChangeOfTheSchema(t *testing.T) {
	db, _ := open(t, sqlite.Options{Readers: 1}, Options{})
	do(t, db, "CREATE TABLE t (a INTEGER, b TEXT)", "INSERT INTO t VALUES (1, 'one')")
	columns := func() []string {
		rows, err := db.Query("SELECT * FROM t")
		require.NoError(t, err)
		defer rows.Close()
		names, err := rows.Columns()
		require.NoError(t, err)
		return names
	}
	for range 3 { // so that it is cached
		assert.Equal(t, []string{"a", "b"}, columns())
	}
	do(t, db, "ALTER TABLE t RENAME COLUMN a TO first", "ALTER TABLE t ADD COLUMN c")
	assert.Equal(t, []string{"first", "b", "c"}, columns())
}

// columnsOf returns the names of a result whose text is known: it is remembered from its second time on.
func columnsOf(t testing.TB, db interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, query string) (names []string) {
	t.Helper()
	for range 3 {
		rows, err := db.QueryContext(t.Context(), query)
		require.NoError(t, err)
		names, err = rows.Columns()
		require.NoError(t, err)
		require.NoError(t, rows.Close())
	}
	return names
}

// TestRows_MetadataOfSchemasThatAreTheSessionsOwn has schemas that differ, and have the same numbers.
func TestRows_MetadataOfSchemasThatAreTheSessionsOwn(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (a)")
	t.Run("temporary", func(t *testing.T) {
		for create, want := range map[string][]string{"CREATE TEMP TABLE report (a, b)": {"a", "b"}, "CREATE TEMP TABLE report (x, y, z)": {"x", "y", "z"}} {
			conn, err := db.Conn(t.Context())
			require.NoError(t, err)
			do(t, conn, create)
			assert.Equal(t, want, columnsOf(t, conn, "SELECT * FROM report"))
			require.NoError(t, conn.Close())
		}
	})
	t.Run("attached", func(t *testing.T) {
		for name, create := range map[string]string{"one": "CREATE TABLE u (at INTEGER)", "two": "CREATE TABLE u (at DATETIME)"} {
			file := filepath.Join(t.TempDir(), name)
			other, err := sql.Open("headpond", file)
			require.NoError(t, err)
			do(t, other, create, "INSERT INTO u VALUES (1700000000)")
			require.NoError(t, other.Close())
			conn, err := db.Conn(t.Context())
			require.NoError(t, err)
			do(t, conn, "ATTACH '"+file+"' AS other")
			columnsOf(t, conn, "SELECT at FROM other.u")
			at := value[any](t, conn, "SELECT at FROM other.u")
			if name == "one" {
				assert.EqualValues(t, 1700000000, at)
			} else {
				assert.IsType(t, time.Time{}, at)
			}
			require.NoError(t, conn.Close())
		}
	})
	t.Run("uncommitted", func(t *testing.T) {
		for _, column := range []string{"b", "c"} {
			tx, err := db.Begin()
			require.NoError(t, err)
			do(t, tx, "ALTER TABLE t ADD COLUMN "+column)
			assert.Equal(t, []string{"a", column}, columnsOf(t, tx, "SELECT * FROM t"))
			require.NoError(t, tx.Rollback())
		}
		assert.Equal(t, []string{"a"}, columnsOf(t, db, "SELECT * FROM t"))
	})
}

func TestRows_MetadataIsRemembered(t *testing.T) {
	db, d := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (a)", "ALTER TABLE t ADD COLUMN b")
	c := newConnector(d, Options{})
	other := sql.OpenDB(c)
	assert.Equal(t, []string{"a", "b"}, columnsOf(t, other, "SELECT * FROM t"))
	assert.Equal(t, []string{"a"}, columnsOf(t, other, "INSERT INTO t VALUES (1, 2) RETURNING a"))
	assert.NotNil(t, c.texts.look("SELECT * FROM t").shape)
	assert.NotNil(t, c.texts.look("INSERT INTO t VALUES (1, 2) RETURNING a").shape)
	require.NoError(t, other.Close())
}

func TestRows_ColumnsAreTheCallersToChange(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (Name TEXT)")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				names := columnsOf(t, db, "SELECT Name FROM t")
				names[0] = strings.ToLower(names[0])
			}
		})
	}
	all.Wait()
	assert.Equal(t, []string{"Name"}, columnsOf(t, db, "SELECT Name FROM t"))
}

func TestRows_InMemoryDoNotWaitForThemselves(t *testing.T) {
	db := openMemory(t, sqlite.Options{}, Options{})
	numbers(t, db, 1000)
	rows, err := db.Query("SELECT id FROM t")
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next())
	_, err = db.Exec("UPDATE t SET name='x' WHERE id=1")
	require.NoError(t, err)
	assert.Equal(t, "x", value[string](t, db, "SELECT name FROM t WHERE id=1"))
	assert.Len(t, readAll[int](t, rows), 999)
}

// TestRows_MetadataOfAnotherDatabase has two databases behind one *sql.DB, one after the other.
func TestRows_MetadataOfAnotherDatabase(t *testing.T) {
	var now *sqlite.DB
	db := sql.OpenDB(NewPinConnector(func(context.Context) (*sqlite.DB, func(), error) { return now, func() {}, nil }, Options{}))
	for create, want := range map[string][]string{"CREATE TABLE t (a, b)": {"a", "b"}, "CREATE TABLE t (x, y, z)": {"x", "y", "z"}} {
		_, now = open(t, sqlite.Options{}, Options{})
		do(t, db, create)
		assert.Equal(t, want, columnsOf(t, db, "SELECT * FROM t"))
	}
	require.NoError(t, db.Close())
}
