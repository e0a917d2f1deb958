package sqlite

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// careless is what a borrower may do with a connection, and what a release finds of it.
type careless struct {
	name string
	do   func(conn *Conn) error
	find []FindingKind
}

func script(name, text string, find ...FindingKind) careless {
	return careless{name, func(conn *Conn) error { return run(conn, text) }, find}
}

// stepOnce leaves a statement in the middle of its rows.
func stepOnce(conn *Conn, cached bool, sql string) error {
	prepare := conn.Prepare
	if !cached {
		prepare = func(sql string) (*sqlite.Stmt, error) {
			stmt, _, err := conn.PrepareTransient(sql)
			return stmt, err
		}
	}
	stmt, err := prepare(sql)
	if err != nil {
		return err
	}
	_, err = stmt.Step()
	return err
}

func register(conn *Conn, name string, args int) error {
	return conn.CreateFunction(name, &sqlite.FunctionImpl{NArgs: args, Scalar: func(sqlite.Context, []sqlite.Value) (sqlite.Value, error) { return sqlite.Value{}, nil }})
}

// broken is a module of virtual tables of which none can be made.
var broken = &sqlite.Module{Connect: func(*Conn, *sqlite.VTableConnectOptions) (sqlite.VTable, *sqlite.VTableConfig, error) {
	return nil, nil, errors.New("broken")
}}

// all is every way to be careless that can be mended, or costs the connection. The table is t (id INTEGER PRIMARY KEY, x).
var all = []careless{
	script("nothing", ""),
	script("a read", "SELECT * FROM t"),
	script("a write", "INSERT INTO t (x) VALUES (1)"),
	script("a transaction of its own", "BEGIN; INSERT INTO t (x) VALUES (1); COMMIT"),
	script("a savepoint of its own", "SAVEPOINT a; INSERT INTO t (x) VALUES (1); RELEASE a"),
	script("tells", "PRAGMA table_info(t); PRAGMA cache_size; PRAGMA user_version=3; PRAGMA foreign_key_check; PRAGMA integrity_check(3); PRAGMA optimize; SELECT * FROM pragma_table_info('t'); SELECT * FROM pragma_index_list('t'); SELECT * FROM json_each('[1]'); SELECT * FROM sqlite_temp_schema"),
	script("renames", "CREATE TABLE IF NOT EXISTS old (a); ALTER TABLE old RENAME TO new; ALTER TABLE new RENAME a TO b; ALTER TABLE new RENAME b TO a; ALTER TABLE new RENAME TO old; ALTER TABLE old ADD COLUMN c; ALTER TABLE old DROP COLUMN c"),
	script("a rename that is rolled back", "BEGIN; ALTER TABLE t RENAME x TO y; ROLLBACK"),
	script("a schema", "CREATE TABLE IF NOT EXISTS u (y); CREATE INDEX IF NOT EXISTS i ON u (y); ANALYZE; DROP INDEX i; REINDEX"),

	{"a cached SELECT", func(conn *Conn) error { return stepOnce(conn, true, "SELECT * FROM t") }, []FindingKind{FoundStatement}},
	{"a blob", func(conn *Conn) error { _, err := conn.OpenBlob("", "t", "x", 1, true); return err }, []FindingKind{FoundStatement}},
	script("BEGIN", "BEGIN", FoundTransaction),
	script("BEGIN and write", "BEGIN; INSERT INTO t (x) VALUES (1)", FoundTransaction),
	script("BEGIN EXCLUSIVE", "BEGIN EXCLUSIVE", FoundTransaction),
	script("savepoints", `SAVEPOINT a; INSERT INTO t (x) VALUES (1); SAVEPOINT "b c"; SAVEPOINT a; ROLLBACK TO a`, FoundTransaction),
	script("a savepoint of our name", `SAVEPOINT "headpond unit of work"; DELETE FROM t`, FoundTransaction),
	{"a low SQL length", func(conn *Conn) error { conn.Limit(sqlite.LimitSQLLength, 3); return nil }, []FindingKind{FoundLimit}},
	{"a low VDBE limit", func(conn *Conn) error { conn.Limit(sqlite.LimitVDBEOp, 1); return nil }, []FindingKind{FoundLimit}},
	{"a busy timeout", func(conn *Conn) error { conn.SetBusyTimeout(time.Hour); return nil }, []FindingKind{FoundBusyHandler}},
	{"no busy timeout", func(conn *Conn) error { conn.SetBusyTimeout(0); return nil }, []FindingKind{FoundBusyHandler}},
	{"zombiezen's busy handler", func(conn *Conn) error { conn.SetBlockOnBusy(); return nil }, []FindingKind{FoundBusyHandler}},
	{"an interrupt of its own", func(conn *Conn) error { conn.SetInterrupt(make(chan struct{})); return nil }, []FindingKind{FoundInterrupt}},
	{"an interrupt that fired", func(conn *Conn) error {
		fired := make(chan struct{})
		close(fired)
		conn.SetInterrupt(fired)
		return nil
	}, []FindingKind{FoundInterrupt}},
	{"no interrupt", func(conn *Conn) error { conn.SetInterrupt(nil); return nil }, []FindingKind{FoundInterrupt}},

	script("a temporary table", "CREATE TEMP TABLE IF NOT EXISTS temporary (x)", FoundTemp),
	script("a temporary table, by its schema", "CREATE TABLE IF NOT EXISTS temp.temporary (x)", FoundTemp),
	script("a temporary table that is renamed", "CREATE TABLE IF NOT EXISTS temp.renamed (x); ALTER TABLE renamed RENAME TO again; DROP TABLE again", FoundTemp),
	script("a temporary view", "CREATE TEMP VIEW IF NOT EXISTS v AS SELECT * FROM t", FoundTemp),
	script("a temporary trigger", "CREATE TEMP TRIGGER IF NOT EXISTS g AFTER INSERT ON t BEGIN SELECT 1; END", FoundTemp),
	script("a temporary virtual table", "CREATE VIRTUAL TABLE IF NOT EXISTS temp.f USING fts5(x)", FoundTemp),
	script("attach", "ATTACH ':memory:' AS other", FoundAttach),
	script("VACUUM", "VACUUM", FoundAttach),
	script("foreign keys", "PRAGMA foreign_keys=0", FoundPragma),
	script("foreign keys, in odd letters", `PRAGMA Main."Foreign_Keys"(oFF)`, FoundPragma),
	script("synchronous", "PRAGMA synchronous=0", FoundPragma),
	script("cache size", "PRAGMA cache_size=7", FoundPragma),
	script("a busy timeout by pragma", "PRAGMA busy_timeout=1", FoundBusyHandler, FoundPragma),
	script("query_only", "PRAGMA query_only=1", FoundPragma),
	script("a pragma that was only set", "PRAGMA case_sensitive_like=1", FoundPragma, FoundFunction),
	{"not defensive", func(conn *Conn) error { // as Conn.SetDefensive, which writes to a wild address
		h := raw.New(conn)
		return h.SetDefensive(false)
	}, []FindingKind{FoundPragma}},
	{"a function", func(conn *Conn) error { return register(conn, "careless", 0) }, []FindingKind{FoundFunction}},
	{"a collation", func(conn *Conn) error { return conn.SetCollation("careless", func(a, b string) int { return 0 }) }, []FindingKind{FoundFunction}},
	{"a function in the place of another", func(conn *Conn) error { return register(conn, "fts5_source_id", 0) }, []FindingKind{FoundFunction}},
	{"a function with the name of another", func(conn *Conn) error { return register(conn, "fts5_source_id", 1) }, []FindingKind{FoundFunction}},
	{"a collation in the place of SQLite's", func(conn *Conn) error { return conn.SetCollation("NOCASE", strings.Compare) }, []FindingKind{FoundFunction}},
	{"a collation of SQLite's that is taken off", func(conn *Conn) error { return conn.SetCollation("RTRIM", nil) }, []FindingKind{FoundFunction}},
	{"a module", func(conn *Conn) error { return conn.SetModule("careless", broken) }, []FindingKind{FoundFunction}},
	{"a module in the place of SQLite's", func(conn *Conn) error { return conn.SetModule("fts5", broken) }, []FindingKind{FoundFunction}},
	{"a module in the place of one that comes when it is used", func(conn *Conn) error { return conn.SetModule("json_each", broken) }, []FindingKind{FoundFunction}},
	{"a module that is taken off", func(conn *Conn) error { return conn.SetModule("rtree", nil) }, []FindingKind{FoundFunction}},
	{"a backup into the temporary database", func(conn *Conn) (err error) {
		other, err := raw.Open(":memory:", sqlite.OpenReadWrite)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, raw.Close(other)) }()
		if err := run(other, "CREATE TABLE other (x)"); err != nil {
			return err
		}
		backup, err := sqlite.NewBackup(conn, "temp", other, "main")
		if err != nil {
			return err
		}
		_, err = backup.Step(-1)
		return errors.Join(err, backup.Close())
	}, []FindingKind{FoundTemp}},
	{"an authorizer", func(conn *Conn) error {
		return conn.SetAuthorizer(sqlite.AuthorizeFunc(func(sqlite.Action) sqlite.AuthResult { return sqlite.AuthResultOK }))
	}, []FindingKind{FoundAuthorizer}},
	{"no authorizer", func(conn *Conn) error { return conn.SetAuthorizer(nil) }, []FindingKind{FoundAuthorizer}},
	{"many statements", func(conn *Conn) error {
		for i := range 11 {
			if _, err := conn.Prepare("SELECT " + string(rune('a'+i)) + " FROM (SELECT 1 a, 1 b, 1 c, 1 d, 1 e, 1 f, 1 g, 1 h, 1 i, 1 j, 1 k)"); err != nil {
				return err
			}
		}
		return nil
	}, []FindingKind{FoundStatements}},
}

// table is a fresh connection with a table t.
func table(t testing.TB, options Options) *connection {
	s := construct(t, path(t), Writer, options)
	do(t, s.conn, "CREATE TABLE t (id INTEGER PRIMARY KEY, x); INSERT INTO t (x) VALUES (zeroblob(9)), (2), (3)")
	require.NoError(t, s.reset(t.Context()))
	require.Equal(t, Found{}, s.database.found.load())
	return s
}

// baseline asserts that a connection is as the next borrower expects it.
func baseline(t testing.TB, s *connection) {
	assert.True(t, s.conn.AutocommitEnabled())
	assert.True(t, s.Idle())
	assert.Empty(t, s.conn.CheckReset())
	assert.Equal(t, s.limits, s.Handle.Limits())
	assert.Equal(t, s.settings, s.Handle.Settings())
	assert.True(t, s.HasBusyHandler())
	assert.False(t, s.interrupter.Load().triggered())
	for _, pragma := range s.database.options.pragmas() {
		assert.NoError(t, s.verifyPragma(context.Background(), pragma))
	}
	for _, sql := range []string{"SELECT count(*) FROM sqlite_temp_schema", "SELECT count(*) FROM pragma_database_list WHERE name NOT IN ('main', 'temp')"} {
		value, err := first(s.conn, sql)
		assert.NoError(t, err)
		assert.Equal(t, "0", value, sql)
	}
}

// Whatever was done on a reader, one that its reset calls good passes the probe that a clean one is spared.
func TestReset_AGoodReaderPassesTheProbe(t *testing.T) {
	written := table(t, Options{})
	spared := 0
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			s := construct(t, written.database.path, Reader, Options{MaxStatements: 10})
			s.watch(t.Context())
			failed := c.do(s.conn)
			if s.isClean(nil, s.ErrorCode()) {
				spared++
			}
			if s.reset(t.Context()) != nil {
				return
			}
			assert.NoError(t, s.Probe(), "%v", failed)
			baseline(t, s)
			if c.name == "a blob" {
				_ = s.close(t.Context()) // it was never closed
			}
		})
	}
	assert.NotZero(t, spared)
}

// Rows 4 and 5: the next borrower always finds the baseline, else the connection is retired.
// Answers jackc/pgx#279, brianc/node-postgres#391, mattn/go-sqlite3#1330.
func TestReset_StateNeverLeaks(t *testing.T) {
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			var told []FindingKind
			s := table(t, Options{MaxStatements: 10, OnFinding: func(_ context.Context, finding Finding) { told = append(told, finding.Kind) }})
			s.watch(t.Context())
			require.NoError(t, c.do(s.conn))
			err := s.reset(t.Context())
			assert.Equal(t, c.find, told)
			for _, kind := range c.find {
				assert.EqualValues(t, 1, s.database.found[kind].Load(), kind)
			}
			if last := len(c.find) - 1; last >= 0 && !c.find[last].recoverable() {
				require.ErrorContains(t, err, c.find[last].String())
				return
			}
			require.NoError(t, err)
			baseline(t, s)
			do(t, sibling(t, s, Writer).conn, "BEGIN IMMEDIATE; COMMIT") // nothing is locked
			if c.name == "a blob" {
				require.ErrorAs(t, s.close(t.Context()), new(*UnfinalizedError), "it was never closed")
			}
		})
	}
}

// Answers jackc/pgx#279, brianc/node-postgres#391, mattn/go-sqlite3#1330.
func TestReset_StateNeverLeaksFuzzed(t *testing.T) {
	d := newDatabase(path(t), Options{MaxStatements: 10})
	rapid.Check(t, func(t *rapid.T) {
		s, err := d.open(context.Background(), Writer)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.close(context.Background()) }()
		if err := run(s.conn, "DROP TABLE IF EXISTS t; CREATE TABLE t (id INTEGER PRIMARY KEY, x); INSERT INTO t (x) VALUES (zeroblob(9)), (2)"); err != nil {
			t.Fatal(err)
		}
		if err := s.reset(context.Background()); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 4).Draw(t, "leases") {
			ctx, cancel := context.WithCancel(context.Background())
			s.watch(ctx)
			did := false
			mends := true
			for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(all)-1), 0, 5).Draw(t, "done") {
				if all[i].do(s.conn) == nil { // some fail after others
					did = did || len(all[i].find) > 0
					mends = mends && (len(all[i].find) == 0 || all[i].find[len(all[i].find)-1].recoverable())
				}
			}
			if rapid.Bool().Draw(t, "cancel") {
				cancel()
			}
			err := s.reset(context.Background())
			cancel()
			if !mends && err == nil {
				t.Fatal("it must not come back")
			}
			if !did && err != nil {
				t.Fatalf("a clean connection ended: %v", err)
			}
			if err != nil {
				return
			}
			if !s.Idle() || s.Handle.Limits() != s.limits || s.Handle.Settings() != s.settings || !s.HasBusyHandler() || s.interrupter.Load().triggered() {
				t.Fatal("not the baseline")
			}
			for _, pragma := range d.options.pragmas() {
				if err := s.verifyPragma(context.Background(), pragma); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// The lock of a write in the middle of its rows is gone with the release, though the statement is not.
func TestLeakedReturningHoldsNoLock(t *testing.T) {
	for _, cached := range []bool{true, false} {
		s := table(t, Options{})
		var details []string
		s.database.options.OnFinding = func(_ context.Context, finding Finding) { details = append(details, finding.Detail) }
		const sql = "INSERT INTO t (x) VALUES (4), (5) RETURNING id"
		require.NoError(t, stepOnce(s.conn, cached, sql))
		other := sibling(t, s, Writer)
		other.database.options.BusyTimeout = -1
		assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(run(other.conn, "BEGIN IMMEDIATE")).ToPrimary(), "as long as it is held")

		require.NoError(t, s.reset(t.Context()))
		assert.Equal(t, []string{sql}, details, "the careless statement is named")
		do(t, other.conn, "BEGIN IMMEDIATE; INSERT INTO t (x) VALUES (6); COMMIT")
		do(t, s.conn, "INSERT INTO t (x) VALUES (7)")
		if !cached {
			err := s.close(t.Context())
			var unfinalized *UnfinalizedError
			require.ErrorAs(t, err, &unfinalized)
			assert.Equal(t, []string{sql}, unfinalized.Texts)
			do(t, other.conn, "BEGIN IMMEDIATE; COMMIT")
		}
	}
}

// Destroy is no cure for a leaked statement, unless it is reset first.
func TestLeakedReturningHoldsNoLockAfterDestroy(t *testing.T) {
	s := table(t, Options{})
	require.NoError(t, stepOnce(s.conn, false, "INSERT INTO t (x) VALUES (4), (5) RETURNING id"))
	other := sibling(t, s, Writer)
	require.Error(t, s.close(t.Context()), "no Reset came before")
	other.database.options.BusyTimeout = -1
	do(t, other.conn, "BEGIN IMMEDIATE; COMMIT")
}

// A connection whose close fails keeps its file open: counted, reported, never silent.
// Answers andersmurphy/sqlite4clj#24.
func TestReset_ACloseThatFailsIsReported(t *testing.T) {
	s := table(t, Options{})
	_, _, err := s.conn.PrepareTransient("SELECT 'never finalized'")
	require.NoError(t, err)
	require.NoError(t, s.reset(t.Context()), "it hurts nobody yet")
	err = s.close(t.Context())
	var unfinalized *UnfinalizedError
	require.ErrorAs(t, err, &unfinalized)
	assert.Equal(t, 1, unfinalized.Count)
	assert.ErrorContains(t, err, "never finalized")
	assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(err))
	assert.EqualValues(t, 1, s.database.found[FoundUnfinalized].Load())
}

// A release never panics, whatever is left.
// Answers zombiezen/go-sqlite#72.
func TestReset_ClosedByItsBorrower(t *testing.T) {
	s := table(t, Options{})
	file := s.database.path
	require.Equal(t, descriptorsShow, descriptors(t, file) > 0)
	s.watch(t.Context())
	_ = s.conn.Close() // fails, for the statements that are ours
	require.ErrorIs(t, s.reset(t.Context()), errClosed)
	assert.EqualValues(t, 1, s.database.found[FoundClosed].Load())
	require.NoError(t, s.close(t.Context()))
	assert.Zero(t, descriptors(t, file), "nothing is left open")
}

// A Conn that its borrower closed while a statement was open is open still, below.
func TestClosedByItsBorrowerHoldsNoLock(t *testing.T) {
	for _, careless := range []string{"INSERT INTO t (x) VALUES (4), (5) RETURNING id", "SELECT * FROM t"} {
		s := table(t, Options{BusyTimeout: -1})
		do(t, s.conn, "BEGIN IMMEDIATE")
		require.NoError(t, stepOnce(s.conn, false, careless))
		_ = s.conn.Close() // fails
		other := sibling(t, s, Writer)
		assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(run(other.conn, "BEGIN IMMEDIATE")).ToPrimary(), "as long as it is held")
		require.ErrorIs(t, s.reset(t.Context()), errClosed)
		require.ErrorAs(t, s.close(t.Context()), new(*UnfinalizedError))
		do(t, other.conn, "BEGIN IMMEDIATE; COMMIT")
		assert.Equal(t, "3", get(t, other.conn, "SELECT count(*) FROM t"))
	}
}

// An authorizer that forbids everything forbids the ROLLBACK as well, and a Close that fails does not roll back.
func TestAnAuthorizerKeepsNoLock(t *testing.T) {
	for _, reset := range []bool{true, false} {
		s := table(t, Options{BusyTimeout: -1})
		do(t, s.conn, "BEGIN IMMEDIATE")
		require.NoError(t, stepOnce(s.conn, false, "INSERT INTO t (x) VALUES (4), (5) RETURNING id"))
		require.NoError(t, s.conn.SetAuthorizer(sqlite.AuthorizeFunc(func(sqlite.Action) sqlite.AuthResult { return sqlite.AuthResultDeny })))
		other := sibling(t, s, Writer)
		if reset {
			require.ErrorContains(t, s.reset(t.Context()), "authorizer")
			do(t, other.conn, "BEGIN IMMEDIATE; COMMIT")
		}
		require.ErrorAs(t, s.close(t.Context()), new(*UnfinalizedError))
		do(t, other.conn, "BEGIN IMMEDIATE; COMMIT")
	}
}

// A backup into the connection writes while it is in autocommit, and one from it keeps it from closing.
func TestBackupsKeepNoLock(t *testing.T) {
	s := table(t, Options{BusyTimeout: -1})
	from, err := raw.Open(":memory:", sqlite.OpenReadWrite)
	require.NoError(t, err)
	do(t, from, "CREATE TABLE u (x)")
	into, err := raw.Open(":memory:", sqlite.OpenReadWrite)
	require.NoError(t, err)
	writes, err := sqlite.NewBackup(s.conn, "main", from, "main")
	require.NoError(t, err)
	_, err = writes.Step(0)
	require.NoError(t, err)
	reads, err := sqlite.NewBackup(into, "main", s.conn, "main")
	require.NoError(t, err)
	other := sibling(t, s, Writer)
	assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(run(other.conn, "BEGIN IMMEDIATE")).ToPrimary(), "as long as it is held")

	require.ErrorContains(t, s.reset(t.Context()), "wedged")
	require.ErrorAs(t, s.close(t.Context()), new(*UnfinalizedError))
	do(t, other.conn, "BEGIN IMMEDIATE; COMMIT")
	require.NoError(t, reads.Close())
	require.NoError(t, raw.Close(into))
}

// A connection that never served is closed, too; what can't be closed for a backup is part of why it could not be opened.
func TestBackupsThatSetupLeavesAreReported(t *testing.T) {
	from, err := raw.Open(":memory:", sqlite.OpenReadWrite)
	require.NoError(t, err)
	var left []*sqlite.Backup
	failure := errors.New("no")
	_, err = Open(t.Context(), path(t), Options{Setup: func(_ context.Context, conn *Conn) error {
		backup, err := sqlite.NewBackup(from, "main", conn, "main")
		left = append(left, backup)
		return errors.Join(err, failure)
	}})
	assert.ErrorIs(t, err, failure)
	assert.ErrorAs(t, err, new(*OpenError))
	assert.ErrorAs(t, err, new(*UnfinalizedError))
	for _, backup := range left {
		require.NoError(t, backup.Close())
	}
	require.NoError(t, raw.Close(from))
}

// To destroy the connection would not undo what is set for the whole process.
func TestPragmasOfTheWholeProcessAreRefused(t *testing.T) {
	s := table(t, Options{Setup: func(_ context.Context, conn *Conn) error { return run(conn, "PRAGMA soft_heap_limit=0") }})
	for name := range processWidePragmas {
		err := run(s.conn, "PRAGMA Main."+strings.ToUpper(name)+"='1'")
		assert.Equal(t, sqlite.ResultAuth, sqlite.ErrCode(err), name)
		do(t, s.conn, "PRAGMA "+name)
	}
	require.NoError(t, s.reset(t.Context()))
}

func TestSetupIsTheBaseline(t *testing.T) {
	s := table(t, Options{Setup: func(_ context.Context, conn *Conn) error {
		conn.Limit(sqlite.LimitVariableNumber, 99)
		return run(conn, "ATTACH ':memory:' AS mine; CREATE TABLE mine.m (x); CREATE TEMP TABLE tt (x)")
	}})
	s.conn.Limit(sqlite.LimitVariableNumber, 1)
	require.NoError(t, s.reset(t.Context()))
	assert.EqualValues(t, 99, s.conn.Limit(sqlite.LimitVariableNumber, -1))
	do(t, s.conn, "INSERT INTO mine.m VALUES (1); SELECT * FROM tt")
	require.NoError(t, s.reset(t.Context()))
}

// So are the rows of its temporary tables: those that a borrower writes cost the connection, and no other borrower sees them.
func TestSetupIsTheBaseline_OfRowsInTemporaryTables(t *testing.T) {
	for _, mode := range []Mode{Writer, Reader} {
		for _, write := range []string{"INSERT INTO session VALUES ('alice')", "UPDATE session SET who='alice'", "DELETE FROM temp.session"} {
			t.Run(mode.String()+", "+write, func(t *testing.T) {
				db := open(t, false, Options{Readers: 1, Setup: func(_ context.Context, conn *Conn) error {
					return run(conn, "CREATE TEMP TABLE session (who); INSERT INTO session VALUES ('nobody')")
				}})
				use := db.Write
				if mode == Reader {
					use = db.Read
				}
				see := func() {
					require.NoError(t, use(t.Context(), func(_ context.Context, conn *Conn) error {
						assert.Equal(t, "nobody", get(t, conn, "SELECT group_concat(who) FROM session"))
						return nil
					}))
				}
				see()
				require.NoError(t, use(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, write) }))
				see()
				found := db.Stats().Found
				assert.EqualValues(t, 1, found[FoundTemp])
			})
		}
	}
}

// The statement cache is bounded.
// Answers crystal-lang/crystal-db#114, oven-sh/bun#28911.
func TestReset_TheStatementCacheIsBounded(t *testing.T) {
	s := table(t, Options{MaxStatements: 3})
	for i := range 4 {
		require.NoError(t, s.reset(t.Context()))
		_, err := s.conn.Prepare("SELECT " + string(rune('0'+i)))
		require.NoError(t, err)
	}
	require.ErrorContains(t, s.reset(t.Context()), "4 cached")
}

func TestResetOfACleanConnectionAllocatesNothing(t *testing.T) {
	s := table(t, Options{})
	for i := range 100 {
		s.conn.Prep("SELECT " + strconv.Itoa(i))
	}
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		if err := s.reset(ctx); err != nil {
			t.Fatal(err)
		}
	}))
}

// Reset serves a connection that is not ours, as far as it can know it.
func TestResetOfAForeignConnection(t *testing.T) {
	conn, err := sqlite.OpenConn(path(t))
	require.NoError(t, err)
	do(t, conn, "CREATE TABLE t (id INTEGER PRIMARY KEY, x); INSERT INTO t (x) VALUES (1), (2)")
	require.NoError(t, stepOnce(conn, true, "SELECT * FROM t"))
	do(t, conn, "BEGIN; INSERT INTO t (x) VALUES (3)")
	fired := make(chan struct{})
	close(fired)
	conn.SetInterrupt(fired)
	require.NoError(t, Reset(t.Context(), conn))
	assert.True(t, conn.AutocommitEnabled())
	assert.Empty(t, conn.CheckReset())
	assert.Equal(t, "2", get(t, conn, "SELECT count(*) FROM t"))
	require.NoError(t, conn.Close(), "nothing of ours is left on it")
	require.ErrorIs(t, Reset(t.Context(), conn), errClosed)
}

func TestResetOfOurs(t *testing.T) {
	s := table(t, Options{})
	do(t, s.conn, "CREATE TEMP TABLE a (x)")
	require.ErrorContains(t, Reset(t.Context(), s.conn), "temp (a)")
}

func BenchmarkReset(b *testing.B) {
	s := table(b, Options{})
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := s.reset(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPointRead(b *testing.B) {
	s := table(b, Options{})
	stmt := s.conn.Prep("SELECT x FROM t WHERE id=?")
	read := func() {
		stmt.BindInt64(1, 2)
		if _, err := sqlitex.ResultInt(stmt); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			read()
		}
	})
	b.Run("armed and reset", func(b *testing.B) {
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		b.ReportAllocs()
		for b.Loop() {
			s.watch(ctx)
			read()
			if err := s.reset(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}
