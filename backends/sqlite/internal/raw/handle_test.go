package raw

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"modernc.org/libc"
	"zombiezen.com/go/sqlite"
)

func TestCanary(t *testing.T) {
	require.NoError(t, Supported())
	require.NoError(t, canary(), "it can be asked again")
}

func TestUnknownZombiezenIsNamed(t *testing.T) {
	type Conn struct {
		tls    *libc.TLS
		conn   uintptr
		stmts  map[string]*sqlite.Stmt
		closed int32 // a bool in the one that is known
	}
	_ = Conn{nil, 0, nil, 0} // its fields are looked at by reflection
	before := fields
	err := findFields(reflect.TypeFor[Conn](), reflect.TypeFor[sqlite.Stmt]())
	fields = before
	require.ErrorContains(t, err, "no field closed bool")
}

// The corruption that concurrent writing and checkpointing could trigger is in 3.7.0 to 3.51.2.
func TestSQLiteIsNewEnough(t *testing.T) {
	h := open(t)
	assert.GreaterOrEqual(t, sqlite.VersionNumber, 3_051_003)
	assert.Equal(t, sqlite.Version, get(t, h.conn, "SELECT sqlite_version()"))
}

func TestHandleSeesBothKindsOfStatements(t *testing.T) {
	h := open(t)
	do(t, h.conn, "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)")
	require.Zero(t, h.Active())

	cached := h.conn.Prep("SELECT x FROM t")
	_, err := cached.Step()
	require.NoError(t, err)
	transient, _, err := h.conn.PrepareTransient("SELECT x+1 FROM t")
	require.NoError(t, err)
	_, err = transient.Step()
	require.NoError(t, err)
	blob, err := h.conn.OpenBlob("main", "t", "x", 1, false)
	if err == nil {
		defer blob.Close()
	}
	assert.GreaterOrEqual(t, h.Active(), 2)
	h.ResetBusy()
	assert.Zero(t, h.Active())
	assert.True(t, h.Idle())
	assert.Empty(t, h.conn.CheckReset())
	require.NoError(t, transient.Finalize())
}

func TestHandleSeesDeferredForeignKeys(t *testing.T) {
	h := open(t)
	do(t, h.conn, `CREATE TABLE parent (id INTEGER PRIMARY KEY);
		CREATE TABLE child (parent INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)`)
	require.NoError(t, h.Run(BeginImmediate))
	assert.False(t, h.DeferredViolations())
	require.NoError(t, h.Run(Savepoint))
	do(t, h.conn, "INSERT INTO child VALUES (7)")
	assert.True(t, h.DeferredViolations())
	require.NoError(t, h.Run(Release), "RELEASE does not check it")
	err := h.Run(Commit)
	assert.Equal(t, sqlite.ResultConstraintForeignKey, sqlite.ErrCode(err))
	require.NoError(t, h.Run(Rollback))
	assert.False(t, h.DeferredViolations())
}

func TestCommitsAreRefused(t *testing.T) {
	for name, script := range map[string]string{
		"autocommit":              "INSERT INTO t VALUES (1)",
		"COMMIT":                  "BEGIN; INSERT INTO t VALUES (1); COMMIT",
		"RELEASE of the outmost":  "SAVEPOINT a; INSERT INTO t VALUES (1); RELEASE a",
		"after OR ROLLBACK":       "BEGIN; INSERT OR ROLLBACK INTO t VALUES (0)",
		"a schema, by autocommit": "CREATE TABLE u (x)",
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			do(t, h.conn, "CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (0)")
			rollbacks := h.Rollbacks()
			h.RefuseCommits(true)
			err := run(h.conn, script)
			require.Error(t, err)
			assert.Greater(t, h.Rollbacks(), rollbacks)
			h.RefuseCommits(false)
			assert.Equal(t, "1", get(t, h.conn, "SELECT count(*) FROM sqlite_schema WHERE type='table'"))
			assert.Equal(t, "1", get(t, h.conn, "SELECT count(*) FROM t"))
		})
	}
}

func TestSchemaCookie_ChangesWithEverySchema(t *testing.T) {
	h := open(t)
	do(t, h.conn, "ATTACH ':memory:' AS other")
	seen := map[uint64]string{h.SchemaCookie(): "nothing"}
	for _, sql := range []string{"CREATE TABLE t (x)", "CREATE TABLE other.t (x)", "CREATE TEMP TABLE t (x)", "ALTER TABLE main.t ADD y", "ALTER TABLE other.t ADD y", "DROP TABLE temp.t"} {
		do(t, h.conn, sql)
		cookie := h.SchemaCookie()
		assert.Empty(t, seen[cookie], "%s left the number as it was after %s", sql, seen[cookie])
		seen[cookie] = sql
	}
	before := h.SchemaCookie()
	do(t, h.conn, "INSERT INTO main.t VALUES (1, 2)")
	assert.Equal(t, before, h.SchemaCookie())
}

// A borrower may close the Conn as soon as it has it, as Options.Setup could.
func TestUninstall_OfAConnThatWasClosedBeforeInstall(t *testing.T) {
	require.NoError(t, Supported())
	file := filepath.Join(t.TempDir(), "app.db")
	conn, err := Open(file, sqlite.OpenReadWrite|sqlite.OpenCreate)
	require.NoError(t, err)
	h := New(conn)
	require.NoError(t, h.Attach(new(witness)))
	h.SetBusyHandler()
	do(t, conn, "CREATE TABLE t (x); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)")
	err = conn.Close()
	require.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(err), "the sqlite3* lives on")
	h.Interrupt()

	other, err := Open(file, sqlite.OpenReadWrite)
	require.NoError(t, err)
	defer func() { require.NoError(t, Close(other)) }()
	other.SetBusyTimeout(0)
	require.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(run(other, "BEGIN IMMEDIATE")))
	require.NoError(t, h.Uninstall())
	do(t, other, "BEGIN IMMEDIATE; ROLLBACK")
	assert.Equal(t, "0", get(t, other, "SELECT count(*) FROM t"))
}
