package stdlib

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headpond/headpond/backends/sqlite"
)

func TestSessionPragma_IsTheSessionsAndCostsNoConnection(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE p (id INTEGER PRIMARY KEY)", "CREATE TABLE c (p INTEGER REFERENCES p)")
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	created := under.Stats().Writer.Created
	for _, off := range []string{"PRAGMA foreign_keys = OFF", "pragma main.foreign_keys=0", "/* a */ PRAGMA foreign_keys('no') -- b"} {
		do(t, conn, off)
		assert.Equal(t, 0, value[int](t, conn, "PRAGMA foreign_keys"), off)
		assert.Equal(t, 1, value[int](t, db, "PRAGMA foreign_keys"), "not that of others")
		do(t, conn, "INSERT INTO c VALUES (1)", "DELETE FROM c")
		do(t, conn, "PRAGMA foreign_keys = 1")
		_, err = conn.ExecContext(t.Context(), "INSERT INTO c VALUES (1)")
		require.Error(t, err)
	}
	do(t, conn, "PRAGMA foreign_keys=off")
	tx, err := conn.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	do(t, tx, "INSERT INTO c VALUES (1)")
	do(t, tx, "PRAGMA foreign_keys=on") // inside a transaction SQLite ignores it
	do(t, tx, "INSERT INTO c VALUES (1)")
	require.NoError(t, tx.Commit())
	assert.Equal(t, 0, value[int](t, conn, "PRAGMA foreign_keys"))
	require.NoError(t, conn.Close())
	assert.Zero(t, under.Stats().Found)
	assert.Equal(t, created, under.Stats().Writer.Created)
}

func TestSessionPragma_CaseSensitiveLike(t *testing.T) {
	db, under := open(t, sqlite.Options{Readers: 1}, Options{})
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	do(t, conn, "PRAGMA case_sensitive_like=on")
	for range 3 {
		assert.Equal(t, 0, value[int](t, conn, "SELECT 'A' LIKE 'a'"))
		assert.Equal(t, 1, value[int](t, db, "SELECT 'A' LIKE 'a'"))
	}
	require.NoError(t, conn.Close())
	assert.Zero(t, under.Stats().Found)
	assert.EqualValues(t, 1, under.Stats().Readers.Created)
}

func TestSessionPragma_DeferForeignKeys(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE p (id INTEGER PRIMARY KEY)", "CREATE TABLE c (p INTEGER REFERENCES p)")
	tx, err := db.Begin()
	require.NoError(t, err)
	do(t, tx, "PRAGMA defer_foreign_keys=on", "INSERT INTO c VALUES (1)", "INSERT INTO p VALUES (1)")
	require.NoError(t, tx.Commit())
	_, err = db.Exec("INSERT INTO c VALUES (2)")
	require.Error(t, err)
}

func TestOtherPragmasCostTheConnection(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	do(t, conn, "PRAGMA cache_size=77")
	assert.Equal(t, 77, value[int](t, conn, "PRAGMA cache_size"))
	require.NoError(t, conn.Close())
	assert.EqualValues(t, 1, under.Stats().Found[sqlite.FoundPragma])
	assert.NotEqual(t, 77, value[int](t, db, "PRAGMA cache_size"))
}

func TestTemporaryTablesLastAsLongAsTheConn(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	do(t, conn, "CREATE TEMP TABLE mine (x)", "INSERT INTO mine VALUES (1)")
	assert.Equal(t, 1, value[int](t, conn, "SELECT count(*) FROM mine"))
	require.NoError(t, conn.Close())
	assert.EqualValues(t, 1, under.Stats().Found[sqlite.FoundTemp])
	_, err = db.Exec("SELECT * FROM mine")
	require.ErrorContains(t, err, "no such table")
}
func TestVacuum_ByQueryHoldsNothing(t *testing.T) {
	for name, before := range map[string][]string{
		"alone": {"CREATE TABLE t (x)"}, "after a rename": {"CREATE TABLE t (x)", "ALTER TABLE t RENAME x TO y"},
		"after a drop": {"CREATE TABLE t (x)", "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END", "DROP TABLE t"},
	} {
		t.Run(name, func(t *testing.T) {
			db, under := open(t, sqlite.Options{}, Options{})
			do(t, db, before...)
			rows, err := db.Query("VACUUM")
			require.NoError(t, err)
			settled(t, under)
			require.NoError(t, rows.Close())
			assert.Zero(t, under.Stats().Found)
		})
	}
}
