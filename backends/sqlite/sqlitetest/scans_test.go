package sqlitetest_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/sqlitetest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

var shop = &sqlitemigration.Schema{Migrations: []string{`
	CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, item TEXT);
	CREATE INDEX by_customer ON orders (customer);
	CREATE TABLE log (x, y);
	CREATE TABLE watched (x PRIMARY KEY);
	CREATE TRIGGER cleans AFTER DELETE ON watched BEGIN DELETE FROM log WHERE x=old.x; END;
	INSERT INTO orders (customer, item) SELECT 1, 'rope' FROM orders;
	INSERT INTO orders (customer, item) VALUES (1, 'rope');
	`}}

func TestNoFullScans(t *testing.T) {
	for text, plan := range map[string]string{
		"SELECT * FROM orders WHERE id=?":                                                     "",
		"SELECT * FROM orders WHERE customer=? ORDER BY id":                                   "",
		"SELECT count(*) FROM orders":                                                         "",
		"WITH RECURSIVE n(x) AS (SELECT 1 UNION SELECT x+1 FROM n WHERE x<3) SELECT * FROM n": "",
		"SELECT * FROM (VALUES (1), (2))":                                                     "",
		"SELECT name FROM sqlite_schema":                                                      "",
		"PRAGMA table_info(orders)":                                                           "",
		"INSERT INTO log VALUES (1, 2)":                                                       "",
		"DELETE FROM log":                                                                     "",
		"explain SELECT * FROM orders":                                                        "",
		"CREATE TABLE more (x)":                                                               "",
		"SELECT * FROM orders WHERE item=?":                                                   "SCAN orders",
		"SELECT * FROM orders ORDER BY id DESC":                                               "SCAN orders",
		"UPDATE orders SET item=upper(item)":                                                  "SCAN orders",
		"DELETE FROM watched WHERE x=1":                                                       "SEARCH watched", // the trigger's
		"SELECT * FROM orders o JOIN log ON log.x=o.id WHERE o.id=1":                          "SCAN log",
	} {
		t.Run(text, func(t *testing.T) {
			for name, open := range opens {
				r := recorder{TB: t}
				r.run(func() {
					db := open(&r, shop)
					sqlitetest.NoFullScans(&r, db)
					assert.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *sqlite.Conn) error {
						return sqlitex.ExecuteTransient(conn, text, &sqlitex.ExecOptions{Args: make([]any, strings.Count(text, "?"))})
					}))
				})
				if plan == "" {
					assert.Empty(t, r.errors, name)
					continue
				}
				require.Len(t, r.errors, 1, name)
				assert.Contains(t, r.errors[0], "a statement scans a whole table: "+text+" (1 runs, ", name)
				assert.Contains(t, r.errors[0], "\n  "+plan, name)
			}
		})
	}
}

func TestNoFullScans_Except(t *testing.T) {
	r := recorder{TB: t}
	r.run(func() {
		db := sqlitetest.Open(&r, shop)
		run := func(text string) {
			assert.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *sqlite.Conn) error { return sqlitex.ExecuteTransient(conn, text, nil) }))
		}
		run("SELECT item FROM orders")
		sqlitetest.NoFullScans(&r, db, "item FROM", "nothing like it")
		run("SELECT customer, item FROM orders")
	})
	assert.Empty(t, r.errors, "also of what ran before")
}

func TestNoFullScans_OfWhatIsGone(t *testing.T) {
	r := recorder{TB: t}
	r.run(func() {
		db := sqlitetest.Open(&r, shop)
		sqlitetest.NoFullScans(&r, db)
		assert.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *sqlite.Conn) error {
			return sqlitex.ExecuteScript(conn, "INSERT INTO log VALUES (1, 1), (2, 2), (3, 3); SELECT * FROM log WHERE y=2; DROP TABLE log", nil)
		}))
	})
	require.Len(t, r.errors, 1)
	assert.Regexp(t, `a statement scanned a whole table: SELECT \* FROM log WHERE y=2.*2 steps of a scan.*its plan is not to be had: .*no such table`, r.errors[0])
}

func TestNoFullScans_NeedsStatements(t *testing.T) {
	for name, options := range map[string]sqlite.Options{"unseen": {}, "seen": {SlowAfter: time.Hour}} {
		r := recorder{TB: t}
		r.run(func() {
			db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "app.db"), options)
			require.NoError(t, err)
			sqlitetest.CloseAtEnd(&r, db)
			sqlitetest.NoFullScans(&r, db)
		})
		assert.Equal(t, name == "unseen", r.fatal, name)
		if name == "unseen" {
			assert.Equal(t, []string{"headpond/sqlitetest: NoFullScans: the database does not see its statements: set sqlite.Options.SlowAfter"}, r.errors)
		}
	}
}

// Of a database that can't be asked any more nothing is known: that is said, and not taken for a good end.
func TestNoFullScans_OfADatabaseThatIsClosed(t *testing.T) {
	for name, open := range opens {
		r := recorder{TB: t}
		r.run(func() {
			db := open(&r, shop)
			sqlitetest.NoFullScans(&r, db)
			assert.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *sqlite.Conn) error {
				return sqlitex.ExecuteTransient(conn, "SELECT * FROM orders WHERE item=1", nil)
			}))
			assert.NoError(t, db.Close(context.Background()))
		})
		assert.Equal(t, []string{"headpond/sqlitetest: NoFullScans: the database is closed already: let CloseAtEnd close it"}, r.errors, name)
	}
}
