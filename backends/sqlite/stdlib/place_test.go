package stdlib

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	zombiezen "zombiezen.com/go/sqlite"

	"github.com/headpond/headpond/backends/sqlite"
)

func TestClassify(t *testing.T) {
	for text, want := range map[string]kind{
		"SELECT 1": unknown, " -- a\n/* b */ select 1": unknown, "VALUES (1)": unknown, "WITH a AS (SELECT 1) SELECT * FROM a": unknown, "EXPLAIN DELETE FROM t": unknown,
		"INSERT INTO t VALUES (1)": write, "update t set x=1": write, "DELETE FROM t": write, ";;REPLACE INTO t VALUES (1)": write,
		"CREATE TABLE t (x)": direct, "VACUUM": direct, "ATTACH 'a' AS b": direct, "ANALYZE": direct, "nonsense": direct,
		"BEGIN": begin, "begin immediate transaction": begin, "COMMIT": commit, "END TRANSACTION;": commit, "ROLLBACK": rollback, "ROLLBACK TRANSACTION": rollback,
		"ROLLBACK TO a": savepoint, "ROLLBACK TRANSACTION TO SAVEPOINT a": savepoint, "SAVEPOINT a": savepoint, "RELEASE a": savepoint,
		"": empty, " ;; -- nothing": empty, "/* nothing": empty, "\ufeff": empty,
		"PRAGMA user_version": unknown, "PRAGMA table_info(t)": unknown, "PRAGMA main.foreign_key_check": unknown, "PRAGMA integrity_check(10)": unknown,
		"PRAGMA user_version=3": direct, "PRAGMA journal_mode=wal": direct, "PRAGMA optimize": direct, "PRAGMA wal_checkpoint(TRUNCATE)": direct, "PRAGMA cache_size(10)": direct,
		"PRAGMA foreign_keys":    unknown,
		"PRAGMA foreign_keys=on": sessionPragma, "pragma main . FOREIGN_KEYS = 'off'": sessionPragma, "/* x */ PRAGMA /* y */ foreign_keys (1)": sessionPragma,
		`PRAGMA "foreign_keys" = on -- why`: sessionPragma, "PRAGMA defer_foreign_keys = on;": sessionPragma,
	} {
		got := classify(text)
		assert.Equal(t, want, got.kind, text)
		assert.False(t, got.script, text)
	}
	for text, want := range map[string]bool{
		"BEGIN; INSERT INTO t VALUES (1); COMMIT": true, "PRAGMA foreign_keys=on; CREATE TABLE t (x)": true, "COMMIT; -- done": false, "ROLLBACK; BEGIN": true,
	} {
		assert.Equal(t, want, classify(text).script, text)
	}
	for value, on := range map[string]bool{"on": true, "1": true, "YES": true, "true": true, "2": true, "0x1": true, "off": false, "0": false, "no": false, "FALSE": false, "what": false} {
		assert.Equal(t, on, truth(classify("PRAGMA foreign_keys="+value).value), value)
	}
}

func TestTexts_AreBounded(t *testing.T) {
	all := newTexts()
	for n := range 3 * maxTexts {
		all.look("SELECT " + string(rune('a'+n%26)) + string(rune(n)))
	}
	assert.Len(t, all.all, maxTexts)
	assert.Equal(t, maxTexts, all.used.Len())
	all.look(string(make([]byte, maxText+1)))
	assert.Len(t, all.all, maxTexts)
}

// place runs a text, and says which pools it acquired from and whether it was a call of Batch.
func place(t *testing.T, db *sql.DB, under *sqlite.DB, text string) (readers, writers, batches uint64) {
	t.Helper()
	before := under.Stats()
	_, err := db.Exec(text)
	require.NoError(t, err, text)
	after := under.Stats()
	return after.Readers.Acquired - before.Readers.Acquired, after.Writer.Acquired - before.Writer.Acquired, after.Batch.Calls - before.Batch.Calls
}

func TestPlace(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	for _, c := range []struct {
		text    string
		writes  bool
		batched bool
	}{
		{"SELECT 1", false, false}, {"VALUES (1)", false, false}, {"EXPLAIN INSERT INTO t VALUES (1)", false, false}, {"EXPLAIN QUERY PLAN DELETE FROM t", false, false},
		{"WITH a AS (SELECT 1) SELECT * FROM a", false, false}, {"PRAGMA user_version", false, false}, {"PRAGMA table_info(t)", false, false},
		{"WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", true, true}, {"INSERT INTO t VALUES (1)", true, true},
		{"DELETE FROM t RETURNING x", true, true}, {"REPLACE INTO t VALUES (1)", true, true}, {"UPDATE t SET x=2", true, true},
		{"PRAGMA user_version=3", true, false}, {"CREATE INDEX i ON t (x)", true, false}, {"VACUUM", true, false}, {"ANALYZE", true, false},
		{"INSERT OR ROLLBACK INTO t VALUES (1)", true, false}, {"SELECT 1; SELECT 2", true, false},
	} {
		_, _ = db.Exec("SELECT 1")
		for range 3 { // learnt, and then known and cached
			_, writers, batches := place(t, db, under, c.text)
			assert.Equal(t, c.writes, writers > 0, c.text)
			assert.Equal(t, c.batched, batches > 0, c.text)
			if c.text == "CREATE INDEX i ON t (x)" {
				do(t, db, "DROP INDEX i")
			}
		}
	}
	assert.Zero(t, under.Stats().Found)
}

// TestPlace_OfTextsThatAreTooLongToBeRemembered runs texts whose place shows only when they are compiled.
func TestPlace_OfTextsThatAreTooLongToBeRemembered(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	long := strings.Repeat("x", maxText)
	for name, text := range map[string]string{
		"a script of DDL":          "CREATE TABLE u (x);" + strings.Repeat("-- a comment\n", 6000) + "CREATE TABLE v (x);",
		"two INSERTs":              "INSERT INTO t VALUES ('" + long + "'); INSERT INTO t VALUES ('y')",
		"WITH and INSERT":          "WITH v(x) AS (VALUES ('" + long + "')) INSERT INTO t SELECT x FROM v",
		"INSERT that has the word": "INSERT INTO t VALUES ('" + long + " rollback')",
		"INSERT OR ROLLBACK":       "INSERT OR ROLLBACK INTO t VALUES ('" + long + "')",
		"SELECT":                   "SELECT '" + long + "'",
	} {
		for range 2 {
			_, err := db.Exec(text)
			if name == "a script of DDL" {
				text = "INSERT INTO u VALUES (1);" + strings.Repeat("-- a comment\n", 6000) + "INSERT INTO v VALUES (1)"
			}
			assert.NoError(t, err, name)
		}
	}
	assert.Equal(t, 10, value[int](t, db, "SELECT count(*) FROM t"))
	assert.Equal(t, 2, value[int](t, db, "SELECT (SELECT count(*) FROM u) + (SELECT count(*) FROM v)"))
	stmt, err := db.Prepare("WITH v(x) AS (VALUES ('" + long + "')) INSERT INTO t SELECT x FROM v")
	require.NoError(t, err)
	_, err = stmt.Exec()
	assert.NoError(t, err)
	assert.NoError(t, stmt.Close())
}

func TestPlace_NoBatch(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{NoBatch: true})
	do(t, db, "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")
	assert.Zero(t, under.Stats().Batch.Calls)
}

// withFunction registers effect(x), which counts its calls.
func withFunction(calls *int) sqlite.Options {
	return sqlite.Options{TrustedSchema: true, Setup: func(_ context.Context, conn *sqlite.Conn) error {
		return conn.CreateFunction("effect", &zombiezen.FunctionImpl{NArgs: 1, AllowIndirect: true, Scalar: func(_ zombiezen.Context, args []zombiezen.Value) (zombiezen.Value, error) {
			*calls++
			return args[0], nil
		}})
	}}
}

func TestExactlyOnce_AFunctionThatIsNotSQLitesOwn(t *testing.T) {
	var calls int
	db, under := open(t, withFunction(&calls), Options{})
	do(t, db, "CREATE TABLE t (x)", "CREATE TABLE log (x)", "INSERT INTO log VALUES (0)")
	require.EqualValues(t, 1, under.Stats().Batch.Calls)
	before := under.Stats().Batch.Batches
	for n := range 3 {
		do(t, db, "INSERT INTO t VALUES (effect(1))")
		assert.Equal(t, n+1, calls)
	}
	assert.Equal(t, before, under.Stats().Batch.Batches, "none of them was committed in a batch")
	do(t, db, "INSERT INTO t VALUES (upper('a'))")
	assert.Equal(t, before+1, under.Stats().Batch.Batches)
}

func TestExactlyOnce_AFunctionInATriggerThatComesLater(t *testing.T) {
	var calls int
	db, under := open(t, withFunction(&calls), Options{})
	do(t, db, "CREATE TABLE t (x)")
	for range 3 {
		do(t, db, "INSERT INTO t VALUES (1)")
	}
	do(t, db, "CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT effect(new.x); END")
	before := under.Stats().Batch.Batches
	for n := range 3 {
		do(t, db, "INSERT INTO t VALUES (1)")
		assert.Equal(t, n+1, calls)
	}
	assert.Equal(t, before, under.Stats().Batch.Batches)
}

func TestExactlyOnce_WhatMayRollBack(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x UNIQUE)", "INSERT INTO t VALUES (1)")
	before := under.Stats().Batch.Batches
	for range 3 {
		_, err := db.Exec("INSERT OR ROLLBACK INTO t VALUES (1)")
		var failed *Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, 2067, failed.ExtendedCode)
		assert.False(t, errors.Is(err, sqlite.ErrRolledBack))
	}
	do(t, db, "CREATE TABLE u (x UNIQUE ON CONFLICT ROLLBACK)", "INSERT INTO u VALUES (1)", "INSERT INTO t VALUES (2)")
	for range 2 {
		_, err := db.Exec("INSERT INTO u VALUES (?)", 1)
		var failed *Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, 2067, failed.ExtendedCode)
		assert.False(t, errors.Is(err, sqlite.ErrRolledBack))
	}
	do(t, db, "CREATE TRIGGER tr BEFORE DELETE ON t BEGIN SELECT RAISE(ROLLBACK, 'never delete'); END")
	_, err := db.Exec("DELETE FROM t")
	require.ErrorContains(t, err, "never delete")
	assert.False(t, errors.Is(err, sqlite.ErrRolledBack))
	assert.Equal(t, before, under.Stats().Batch.Batches)
	assert.Equal(t, 2, value[int](t, db, "SELECT count(*) FROM t"))
}

func TestBatch_OfManyGoroutines(t *testing.T) {
	db, under := open(t, sqlite.Options{AcquireTimeout: -1, Synchronous: sqlite.SyncFull}, Options{})
	do(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, x)")
	const goroutines, each = 32, 20
	failed := make(chan error, goroutines)
	ids := make(chan int64, goroutines*each)
	for n := range goroutines {
		go func() {
			failed <- func() error {
				for i := range each {
					result, err := db.Exec("INSERT INTO t (x) VALUES (?)", n*each+i)
					if err != nil {
						return err
					}
					id, _ := result.LastInsertId()
					ids <- id
				}
				return nil
			}()
		}()
	}
	for range goroutines {
		require.NoError(t, <-failed)
	}
	close(ids)
	seen := make(map[int64]bool)
	for id := range ids {
		assert.False(t, seen[id], "an id was given twice")
		seen[id] = true
	}
	assert.Len(t, seen, goroutines*each)
	assert.Equal(t, goroutines*each, value[int](t, db, "SELECT count(DISTINCT x) FROM t"))
	assert.Less(t, under.Stats().Batch.Batches, under.Stats().Batch.Calls, "commits were shared")
}

func TestResult_IsTheSessionsOwn(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, x UNIQUE)")
	one, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer one.Close()
	two, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer two.Close()
	exec := func(conn *sql.Conn, text string) (id, count int64) {
		result, err := conn.ExecContext(t.Context(), text)
		require.NoError(t, err)
		id, err = result.LastInsertId()
		require.NoError(t, err)
		count, err = result.RowsAffected()
		require.NoError(t, err)
		return id, count
	}
	id, count := exec(one, "INSERT INTO t VALUES (10, 'a'), (11, 'b')")
	assert.Equal(t, []int64{11, 2}, []int64{id, count})
	id, count = exec(two, "INSERT INTO t VALUES (20, 'c')")
	assert.Equal(t, []int64{20, 1}, []int64{id, count})
	assert.Equal(t, 11, value[int](t, one, "SELECT last_insert_rowid()"))
	assert.Equal(t, 2, value[int](t, one, "SELECT changes()"))
	assert.Equal(t, 20, value[int](t, two, "SELECT last_insert_rowid()"))
	id, count = exec(one, "INSERT OR IGNORE INTO t VALUES (30, 'c')")
	assert.Equal(t, []int64{11, 0}, []int64{id, count}, "no other caller's")
	id, count = exec(one, "CREATE TABLE u (x)")
	assert.Equal(t, []int64{11, 0}, []int64{id, count})
	id, count = exec(one, "UPDATE t SET x=x||'!' WHERE id<=11")
	assert.Equal(t, []int64{11, 2}, []int64{id, count})
	id, count = exec(one, "SELECT 1")
	assert.Equal(t, []int64{11, 0}, []int64{id, count})
	three, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer three.Close()
	assert.Zero(t, value[int](t, three, "SELECT last_insert_rowid()+changes()+total_changes()"), "a new session has none")
}

func TestINLists_DoNotFillTheCacheOfStatements(t *testing.T) {
	db, under := open(t, sqlite.Options{MaxStatements: 20}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	list := "?"
	args := []any{1}
	for range 200 {
		var count int
		require.NoError(t, db.QueryRow("SELECT count(*) FROM t WHERE x IN ("+list+")", args...).Scan(&count))
		list += ",?"
		args = append(args, 1)
	}
	assert.Zero(t, under.Stats().Found)
}
