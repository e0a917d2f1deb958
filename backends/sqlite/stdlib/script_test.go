package stdlib

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headpond/headpond/backends/sqlite"
)

func TestScript_Exec(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x); INSERT INTO t VALUES (1); ; INSERT INTO t VALUES (';');", "BEGIN; INSERT INTO t VALUES (3); COMMIT; -- done",
		"CREATE TABLE log (x); CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.x); INSERT INTO log VALUES (0); END; INSERT INTO t VALUES (4)")
	assert.Equal(t, 4, value[int](t, db, "SELECT count(*) FROM t"))
	assert.Equal(t, 2, value[int](t, db, "SELECT count(*) FROM log"))
	result, err := db.Exec("DELETE FROM log; UPDATE t SET x=x; INSERT INTO t VALUES (5)")
	require.NoError(t, err)
	count, _ := result.RowsAffected()
	assert.EqualValues(t, 1, count, "the last statement's")
	assert.Zero(t, under.Stats().Found)
	settled(t, under)
}

func TestScript_ResultSetsAndArguments(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	rows, err := db.Query("INSERT INTO t VALUES (?); SELECT x FROM t WHERE x=? OR x=?; SELECT 'one' AS a, ? AS b; DELETE FROM t; SELECT count(*) FROM t", 4, 4, 5, "six")
	require.NoError(t, err)
	defer rows.Close()
	assert.Equal(t, []int{4}, readAll[int](t, rows))
	require.True(t, rows.NextResultSet())
	names, err := rows.Columns()
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, names)
	require.True(t, rows.Next())
	var a, b string
	require.NoError(t, rows.Scan(&a, &b))
	assert.Equal(t, "six", b)
	require.True(t, rows.NextResultSet())
	assert.Equal(t, []int{0}, readAll[int](t, rows))
	assert.False(t, rows.NextResultSet())
	_, err = db.Exec("SELECT ?; SELECT ?", 1)
	require.ErrorContains(t, err, "arguments")
	_, err = db.Exec("SELECT ?; SELECT ?", 1, 2, 3)
	require.ErrorContains(t, err, "arguments")
}

func TestScript_WhatItLeavesOpenIsRolledBack(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	_, err := db.Exec("BEGIN; INSERT INTO t VALUES (1)")
	require.ErrorIs(t, err, sqlite.ErrRolledBack)
	require.ErrorContains(t, err, "left a transaction open")
	_, err = db.Exec("BEGIN; INSERT INTO t VALUES (1); nonsense; COMMIT")
	require.ErrorContains(t, err, "nonsense")
	settled(t, under)
	assert.Zero(t, value[int](t, db, "SELECT count(*) FROM t"))
	assert.Zero(t, under.Stats().Found)
}

func TestScript_InATransaction(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	tx, err := db.Begin()
	require.NoError(t, err)
	do(t, tx, "INSERT INTO t VALUES (1); SAVEPOINT a; INSERT INTO t VALUES (2); ROLLBACK TO a; RELEASE a; INSERT INTO t VALUES (3)")
	require.NoError(t, tx.Rollback())
	assert.Zero(t, value[int](t, db, "SELECT count(*) FROM t"))
	tx, err = db.Begin()
	require.NoError(t, err)
	do(t, tx, "INSERT INTO t VALUES (1); INSERT INTO t VALUES (3)")
	require.NoError(t, tx.Commit())
	assert.Equal(t, 2, value[int](t, db, "SELECT count(*) FROM t"))
}

func TestScript_ThatBeginsWithAPragma(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "PRAGMA foreign_keys=OFF; CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p); INSERT INTO c VALUES (1); PRAGMA foreign_keys=ON")
	assert.Equal(t, 1, value[int](t, db, "SELECT count(*) FROM c"))
	_, err := db.Exec("INSERT INTO c VALUES (1)")
	require.Error(t, err)
	assert.Zero(t, under.Stats().Found)
}
