package sqlite

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"modernc.org/libc"
	"zombiezen.com/go/sqlite"
)

func TestCanary(t *testing.T) {
	require.NoError(t, reachable())
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
	err := findFields(reflect.TypeFor[Conn]())
	fields = before
	require.ErrorContains(t, err, "no field closed bool")
}

// The corruption that concurrent writing and checkpointing could trigger is in 3.7.0 to 3.51.2.
func TestSQLiteIsNewEnough(t *testing.T) {
	s := construct(t, path(t), Writer, Options{})
	assert.GreaterOrEqual(t, sqlite.VersionNumber, 3_051_003)
	assert.Equal(t, sqlite.Version, get(t, s.conn, "SELECT sqlite_version()"))
}

func TestHandleSeesBothKindsOfStatements(t *testing.T) {
	s := construct(t, path(t), Writer, Options{})
	do(t, s.conn, "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)")
	require.Zero(t, s.active())

	cached := s.conn.Prep("SELECT x FROM t")
	_, err := cached.Step()
	require.NoError(t, err)
	transient, _, err := s.conn.PrepareTransient("SELECT x+1 FROM t")
	require.NoError(t, err)
	_, err = transient.Step()
	require.NoError(t, err)
	blob, err := s.conn.OpenBlob("main", "t", "x", 1, false)
	if err == nil {
		defer blob.Close()
	}
	assert.GreaterOrEqual(t, s.active(), 2)
	s.resetBusy()
	assert.Zero(t, s.active())
	assert.True(t, s.idle())
	assert.Empty(t, s.conn.CheckReset())
	require.NoError(t, transient.Finalize())
}

func TestHandleSeesDeferredForeignKeys(t *testing.T) {
	s := construct(t, path(t), Writer, Options{})
	do(t, s.conn, `CREATE TABLE parent (id INTEGER PRIMARY KEY);
		CREATE TABLE child (parent INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)`)
	require.NoError(t, s.run(beginImmediate))
	assert.False(t, s.deferredViolations())
	require.NoError(t, s.run(savepoint))
	do(t, s.conn, "INSERT INTO child VALUES (7)")
	assert.True(t, s.deferredViolations())
	require.NoError(t, s.run(release), "RELEASE does not check it")
	err := s.run(commit)
	assert.Equal(t, sqlite.ResultConstraintForeignKey, sqlite.ErrCode(err))
	require.NoError(t, s.run(rollback))
	assert.False(t, s.deferredViolations())
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
			s := construct(t, path(t), Writer, Options{})
			do(t, s.conn, "CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (0)")
			lost := s.lost()
			s.refuseCommits(true)
			err := run(s.conn, script)
			require.Error(t, err)
			assert.Greater(t, s.lost(), lost)
			s.refuseCommits(false)
			assert.Equal(t, "1", get(t, s.conn, "SELECT count(*) FROM sqlite_schema WHERE type='table'"))
			assert.Equal(t, "1", get(t, s.conn, "SELECT count(*) FROM t"))
		})
	}
}
