package stdlib

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"

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

func TestSessionPragma_InATransaction(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	for _, ways := range [][]string{
		{"BEGIN", "PRAGMA recursive_triggers=ON", "COMMIT"},
		{"BEGIN", "PRAGMA recursive_triggers=ON", "ROLLBACK"},
		{"SAVEPOINT a", "PRAGMA recursive_triggers=ON", "RELEASE a"},
		{"BEGIN; PRAGMA recursive_triggers=ON; COMMIT"},
	} {
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		created := under.Stats().Writer.Created
		do(t, conn, ways...)
		assert.Equal(t, 1, value[int](t, conn, "PRAGMA recursive_triggers"), "it belongs to the session: %v", ways)
		do(t, conn, "BEGIN", "PRAGMA foreign_keys=OFF", "COMMIT")
		assert.Equal(t, 1, value[int](t, conn, "PRAGMA foreign_keys"), "SQLite does not heed it there")
		do(t, conn, "BEGIN", "PRAGMA recursive_triggers=OFF", "COMMIT")
		assert.Equal(t, 0, value[int](t, conn, "PRAGMA recursive_triggers"), ways)
		require.NoError(t, conn.Close())
		assert.Equal(t, created, under.Stats().Writer.Created, "it costs no connection: %v", ways)
	}
	assert.Zero(t, under.Stats().Found[sqlite.FoundPragma])
}

// TestTruth asks SQLite what it takes each value for. (Of multiples of 256 its versions differ.)
func TestTruth(t *testing.T) {
	db, _ := open(t, sqlite.Options{}, Options{})
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	for _, v := range []string{"1", "0", "on", "OFF", "Yes", "no", "true", "false", "full", "extra", "-1", "+1", "+0", "2", "10", "010", "08", "257", "0x1", "0X10",
		"1.5", "0.5", "9999999999", "'1'", "'on'", "\"yes\"", "maybe", "'-1'"} {
		var want int
		require.NoError(t, Conn(t.Context(), conn, func(c *sqlite.Conn) error {
			for _, pragma := range []string{"PRAGMA recursive_triggers=OFF", "PRAGMA recursive_triggers=" + v} {
				if err := sqlitex.ExecuteTransient(c, pragma, nil); err != nil {
					return err
				}
			}
			stmt, _, err := c.PrepareTransient("PRAGMA recursive_triggers")
			if err != nil {
				return err
			}
			want, err = sqlitex.ResultInt(stmt)
			return errors.Join(err, stmt.Finalize())
		}), v)
		assert.Equal(t, want == 1, truth(classify("PRAGMA recursive_triggers="+v).value), v)
	}
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
