package raw

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// transient prepares a statement that ends with the test, and returns what is below it and the trailing bytes.
func transient(t testing.TB, h *Handle, sql string) (*sqlite.Stmt, Statement, int) {
	t.Helper()
	stmt, trailing, err := h.conn.PrepareTransient(sql)
	require.NoError(t, err, sql)
	t.Cleanup(func() { _ = stmt.Finalize() })
	return stmt, h.Statement(stmt), trailing
}

func TestStatement_ReadOnly(t *testing.T) {
	h := open(t)
	do(t, h.conn, "CREATE TABLE t (x)")
	for sql, want := range map[string]bool{
		"SELECT x FROM t": true, "VALUES (1)": true, "EXPLAIN SELECT x FROM t": true, "PRAGMA user_version": true,
		"BEGIN": true, "COMMIT": true, "SAVEPOINT a": true, "ATTACH ':memory:' AS a": true, "-- nothing": true,
		"INSERT INTO t VALUES (1)": false, "DELETE FROM t RETURNING x": false, "CREATE TABLE u (x)": false, "EXPLAIN DELETE FROM t": false,
		"WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a": false, "PRAGMA user_version=7": false, "VACUUM": false,
	} {
		_, s, _ := transient(t, h, sql)
		assert.Equal(t, want, s.ReadOnly(), sql)
	}
}

func TestStatement_Explains(t *testing.T) {
	h := open(t)
	for sql, want := range map[string]bool{"SELECT 1": false, "EXPLAIN SELECT 1": true, "EXPLAIN QUERY PLAN SELECT 1": true, "": false} {
		_, s, _ := transient(t, h, sql)
		assert.Equal(t, want, s.Explains(), sql)
	}
}

func TestStatement_TextEndsWhereTheNextOneBegins(t *testing.T) {
	h := open(t)
	const script = "/* one */ SELECT 'é;' ; SELECT 2 -- two"
	_, s, trailing := transient(t, h, script)
	assert.Equal(t, "/* one */ SELECT 'é;' ;", s.Text())
	assert.Equal(t, script, s.Text()+script[len(script)-trailing:])
	_, s, trailing = transient(t, h, script[len(script)-trailing:])
	assert.Equal(t, " SELECT 2 -- two", s.Text())
	assert.Zero(t, trailing)
	_, s, _ = transient(t, h, " -- nothing")
	assert.Empty(t, s.Text())
	assert.Zero(t, s.Columns())
	assert.Empty(t, s.ColumnName(0))
	assert.Empty(t, s.DeclaredType(0))
	assert.False(t, s.Busy())
}

func TestStatement_ColumnsOfTheSameName(t *testing.T) {
	h := open(t)
	do(t, h.conn, "CREATE TABLE t (id INTEGER PRIMARY KEY, at TIMESTAMP, price DECIMAL(10, 2), untyped)")
	_, s, _ := transient(t, h, "SELECT a.id, b.id, a.at, a.price, a.untyped, a.id+1, max(a.at), 7 AS seven FROM t a, t b")
	var names, types []string
	for i := range s.Columns() {
		names, types = append(names, s.ColumnName(i)), append(types, s.DeclaredType(i))
	}
	assert.Equal(t, []string{"id", "id", "at", "price", "untyped", "a.id+1", "max(a.at)", "seven"}, names)
	assert.Equal(t, []string{"INTEGER", "INTEGER", "TIMESTAMP", "DECIMAL(10, 2)", "", "", "", ""}, types)
	for _, i := range []int{-1, s.Columns()} {
		assert.Empty(t, s.ColumnName(i))
		assert.Empty(t, s.DeclaredType(i))
	}
	_, s, _ = transient(t, h, "INSERT INTO t (at) VALUES (1) RETURNING at")
	assert.Equal(t, "at", s.ColumnName(0))
}

func TestStatement_ColumnsAfterAChangeOfTheSchema(t *testing.T) {
	h := open(t)
	do(t, h.conn, "CREATE TABLE t (one TEXT); INSERT INTO t VALUES ('a')")
	stmt := h.conn.Prep("SELECT * FROM t")
	s := h.Statement(stmt)
	require.Equal(t, 1, s.Columns())
	do(t, h.conn, "ALTER TABLE t RENAME one TO first; ALTER TABLE t ADD two BLOB")
	_, err := stmt.Step()
	require.NoError(t, err)
	assert.True(t, s.Busy())
	require.Equal(t, 2, s.Columns())
	assert.Equal(t, "first", s.ColumnName(0))
	assert.Equal(t, "two", s.ColumnName(1))
	assert.Equal(t, "BLOB", s.DeclaredType(1))
	require.NoError(t, stmt.Reset())
	assert.False(t, s.Busy())
}

func TestChanges(t *testing.T) {
	h := open(t)
	assert.Equal(t, Changes{}, h.Changes())
	do(t, h.conn, `CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE TABLE log (id);
		CREATE TRIGGER trace AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END;
		INSERT INTO t VALUES (40), (41)`)
	assert.Equal(t, Changes{LastInsertRowID: 41, Rows: 2, Total: 4}, h.Changes())

	h.SetChanges(Changes{LastInsertRowID: -7, Rows: 1 << 40, Total: 1 << 41})
	assert.Equal(t, "-7 1099511627776 2199023255552", get(t, h.conn, "SELECT concat_ws(' ', last_insert_rowid(), changes(), total_changes())"))
	assert.EqualValues(t, -7, h.conn.LastInsertRowID())
	do(t, h.conn, "INSERT INTO t VALUES (42)")
	assert.Equal(t, Changes{LastInsertRowID: 42, Rows: 1, Total: 1<<41 + 2}, h.Changes())
	do(t, h.conn, "UPDATE t SET id=id+100 WHERE id<42")
	assert.Equal(t, Changes{LastInsertRowID: 42, Rows: 2, Total: 1<<41 + 4}, h.Changes())
}

// TestStepOn_AnInterruptUndoesAWrite compares it with Stmt.Step, which hears of the interrupt before SQLite.
func TestStepOn_AnInterruptUndoesAWrite(t *testing.T) {
	for _, ours := range []bool{false, true} {
		h := open(t)
		do(t, h.conn, "CREATE TABLE t (x)")
		stmt, _, _ := transient(t, h, "INSERT INTO t VALUES (1), (2), (3) RETURNING x")
		row, err := stmt.Step()
		require.NoError(t, err)
		require.True(t, row)
		step := stmt.Step
		if ours {
			row, err = h.StepOn(stmt)
			require.NoError(t, err)
			require.True(t, row)
			assert.Equal(t, 2, stmt.ColumnInt(0))
			step = func() (bool, error) { return h.StepOn(stmt) }
			h.Interrupt()
		} else {
			over := make(chan struct{})
			close(over)
			h.conn.SetInterrupt(over)
		}
		row, err = step()
		assert.False(t, row)
		assert.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(err))
		h.conn.SetInterrupt(nil)
		if ours {
			assert.Equal(t, "0", get(t, h.conn, "SELECT count(*) FROM t"))
		} else {
			assert.Contains(t, []string{"0", "3"}, get(t, h.conn, "SELECT count(*) FROM t"), "by whom of the two it was heard first")
		}
	}
}

func TestStepOn_ToTheEnd(t *testing.T) {
	h := open(t)
	do(t, h.conn, "CREATE TABLE t (x)")
	stmt, _, _ := transient(t, h, "INSERT INTO t VALUES (1), (2) RETURNING x")
	row, err := stmt.Step()
	rows := 0
	for ; row && err == nil; row, err = h.StepOn(stmt) {
		rows++
	}
	require.NoError(t, err)
	assert.Equal(t, 2, rows)
	assert.Equal(t, "2", get(t, h.conn, "SELECT count(*) FROM t"))
}
