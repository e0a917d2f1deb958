package stdlib

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
)

func TestName_Keys(t *testing.T) {
	s, err := parse("file:///data/my%20app.db?name=orders&mode=ro&readers=8&max_readers=90&max_waiters=5&max_statements=20&max_batch=10&max_batch_time=3ms&acquire_timeout=2s" +
		"&busy_timeout=1500&leak_after=1m&idle_in_tx=off&cache_size=8MiB&mmap_size=1GiB&journal_size_limit=4096&synchronous=FULL&foreign_keys=off&defensive=0&cell_size_check=no" +
		"&batch=off&trusted_schema=on&temp_in_memory=on&file_mode=0640&time_format=unix_milli&pragma=automatic_index(off)&pragma=threads=2")
	require.NoError(t, err)
	assert.Equal(t, "/data/my app.db", s.path)
	assert.Equal(t, sqlite.Options{Name: "orders", ReadOnly: true, Readers: 8, MaxReaders: 90, MaxWaiters: 5, MaxStatements: 20, MaxBatch: 10, MaxBatchTime: 3 * time.Millisecond,
		AcquireTimeout: 2 * time.Second, BusyTimeout: 1500 * time.Millisecond, LeakAfter: time.Minute, CacheSize: 8 << 20, MmapSize: 1 << 30, JournalSizeLimit: 4096,
		Synchronous: sqlite.SyncFull, NoForeignKeys: true, NoDefensive: true, NoCellSizeCheck: true, TrustedSchema: true, TempInMemory: true, FileMode: 0o640,
		Pragmas: []sqlite.Pragma{{Name: "automatic_index", Value: "off"}, {Name: "threads", Value: "2"}}}, s.database)
	assert.Equal(t, Options{NoBatch: true, TimeFormat: TimeUnixMilli, IdleInTx: -1}, s.options)
}

func TestName_BadKeysAreNamed(t *testing.T) {
	for name, want := range map[string]string{
		"":                                "no path",
		"?readers=8":                      "no path",
		"app.db?reader=8":                 `"reader"`,
		"app.db?readers=0":                `"readers" is "0"`,
		"app.db?readers=many":             `"readers" is "many"`,
		"app.db?readers=1&readers=2":      "given 2 times",
		"app.db?busy_timeout=-1s":         `"busy_timeout" is "-1s"`,
		"app.db?max_batch_time=off":       `"max_batch_time" is "off"`,
		"app.db?leak_after=0":             "or off",
		"app.db?busy_timeout=1e30":        `"busy_timeout" is "1e30"`,
		"app.db?readers=9&max_readers=2":  "Options.MaxReaders is 2",
		"app.db?pragma=foreign_keys(off)": "Options.NoForeignKeys",
		"app.db?cache_size=8MB":           `"cache_size" is "8MB"`,
		"app.db?cache_size=MiB":           `"cache_size" is "MiB"`,
		"app.db?synchronous=sometimes":    `"synchronous" is "sometimes"`,
		"app.db?foreign_keys=perhaps":     `"foreign_keys" is "perhaps"`,
		"app.db?file_mode=999":            `"file_mode" is "999"`,
		"app.db?time_format=rfc":          `"time_format" is "rfc"`,
		"app.db?mode=memory":              `"mode" is "memory"`,
		"app.db?pragma=x":                 `"pragma" is "x"`,
		"app.db?pragma=x(1":               `"pragma" is "x(1"`,
		"app.db?_busy_timeout=5":          `use "busy_timeout"`,
		"app.db?_pragma=foreign_keys(1":   `use "pragma"`,
		"app.db?_journal_mode=WAL":        "leave it out",
		"app.db?_txlock=immediate":        "leave it out",
		"app.db?cache=shared":             "leave it out",
		"file://host/app.db":              `"host"`,
		"file:%zz":                        "path",
		"app.db?a=%zz":                    "keys",
	} {
		_, err := sql.Open("headpond", name)
		require.ErrorContains(t, err, want, name)
	}
}

func TestName_Off(t *testing.T) {
	db, err := sql.Open("headpond", filepath.Join(t.TempDir(), "app.db")+"?acquire_timeout=off&busy_timeout=off&leak_after=off&idle_in_tx=off")
	require.NoError(t, err)
	assert.NoError(t, db.Ping())
	require.NoError(t, db.Close())
}

func TestName_OneDatabaseOfAFile(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "app.db")
	openName := func(name string) *sql.DB {
		db, err := sql.Open("headpond", name)
		require.NoError(t, err)
		return db
	}
	one := openName(path + "?readers=2&synchronous=full")
	do(t, one, "CREATE TABLE t (x)")
	names := []string{"file:" + path + "?synchronous=full&readers=2&batch=off"}
	link := filepath.Join(directory, "link.db")
	_ = os.Symlink(path, link)
	if _, err := os.Lstat(link); err == nil { // wine says that it has made one
		names = append(names, link+"?readers=2&synchronous=full")
	}
	for _, name := range names {
		two := openName(name)
		do(t, two, "INSERT INTO t VALUES (1)")
		files.mu.Lock()
		assert.Len(t, files.all, 1, name)
		files.mu.Unlock()
		require.NoError(t, two.Close())
	}
	other := openName(path + "?readers=3&synchronous=full")
	err := other.PingContext(t.Context())
	require.ErrorContains(t, err, `"readers" "2"`)
	require.ErrorContains(t, err, `"3"`)
	require.NoError(t, other.Close())
	assert.Equal(t, len(names), value[int](t, one, "SELECT count(*) FROM t"))
	require.NoError(t, one.Close())
	files.mu.Lock()
	assert.Empty(t, files.all)
	files.mu.Unlock()
	_, err = os.Stat(path + "-wal")
	require.ErrorIs(t, err, os.ErrNotExist, "the last one closed it")
	require.ErrorContains(t, one.Ping(), "closed")
}

func TestName_OpenedByManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.db")
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			db, err := sql.Open("headpond", path)
			if !assert.NoError(t, err) {
				return
			}
			_, err = db.Exec("CREATE TABLE IF NOT EXISTS t (x); INSERT INTO t VALUES (1)")
			assert.NoError(t, err)
			assert.NoError(t, db.Close())
		})
	}
	group.Wait()
	db, err := sql.Open("headpond", path)
	require.NoError(t, err)
	defer db.Close()
	assert.Equal(t, 16, value[int](t, db, "SELECT count(*) FROM t"))
}

// A file that another connection has to itself takes the busy timeout to open. Nothing but calls for it waits meanwhile,
// each until its own ctx ends.
func TestName_AFileThatIsSlowToOpenHoldsUpNoOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slow.db")
	holder, err := zombiezen.OpenConn(path, zombiezen.OpenReadWrite, zombiezen.OpenCreate)
	require.NoError(t, err)
	require.NoError(t, sqlitex.ExecuteScript(holder, "CREATE TABLE t (x)", nil))
	require.NoError(t, sqlitex.ExecuteTransient(holder, "BEGIN EXCLUSIVE", nil))
	openName := func(path string) *sql.DB {
		db, err := sql.Open("headpond", path+"?busy_timeout=1m")
		require.NoError(t, err)
		return db
	}
	slow := openName(path)
	opened := make(chan error)
	go func() { opened <- slow.PingContext(context.Background()) }()
	for waits := false; !waits; runtime.Gosched() {
		files.mu.Lock()
		waits = len(files.all) == 1
		files.mu.Unlock()
	}

	other := openName(filepath.Join(t.TempDir(), "other.db"))
	do(t, other, "CREATE TABLE t (x)")
	require.NoError(t, other.Close())
	second := openName(path)
	for _, db := range []*sql.DB{slow, second} {
		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		require.ErrorIs(t, db.PingContext(short), context.DeadlineExceeded)
		cancel()
	}

	require.NoError(t, sqlitex.ExecuteTransient(holder, "COMMIT", nil))
	require.NoError(t, holder.Close())
	require.NoError(t, <-opened)
	do(t, second, "INSERT INTO t VALUES (1)")
	files.mu.Lock()
	assert.Len(t, files.all, 1)
	files.mu.Unlock()
	require.NoError(t, errors.Join(slow.Close(), second.Close()))
}

// What was wrong is told to all who waited for one open, and the next one tries again.
func TestName_OfOneOpenThatFailsAllHear(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "app.db")
	db, err := sql.Open("headpond", path)
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() { assert.ErrorIs(t, db.Ping(), sqlite.ErrNoDirectory) })
	}
	group.Wait()
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	require.NoError(t, db.Ping())
	require.NoError(t, db.Close())
}

// A Close in the middle of the open waits for it, and leaves nothing open.
func TestName_ClosedWhileItIsOpened(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "app.db")
		db, err := sql.Open("headpond", path)
		require.NoError(t, err)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() { _ = db.Ping() })
		}
		runtime.Gosched()
		require.NoError(t, db.Close())
		files.mu.Lock()
		assert.Empty(t, files.all)
		files.mu.Unlock()
		group.Wait()
	}
}

func TestName_Memory(t *testing.T) {
	one, err := sql.Open("headpond", ":memory:")
	require.NoError(t, err)
	defer one.Close()
	two, err := sql.Open("headpond", ":memory:?foreign_keys=off")
	require.NoError(t, err)
	defer two.Close()
	do(t, one, "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")
	assert.Equal(t, 1, value[int](t, one, "SELECT x FROM t"))
	_, err = two.Exec("SELECT * FROM t")
	require.Error(t, err, "each is a database of its own")
}

func TestName_ThatCannotBeOpened(t *testing.T) {
	db, err := sql.Open("headpond", filepath.Join(t.TempDir(), "none", "app.db"))
	require.NoError(t, err)
	defer db.Close()
	require.ErrorIs(t, db.Ping(), sqlite.ErrNoDirectory)
	_, err = db.Exec("SELECT 1")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestOptions_OutOfRange(t *testing.T) {
	db, err := sqlite.OpenMemory(t.Context(), sqlite.Options{})
	require.NoError(t, err)
	defer func() { _ = db.Close(context.Background()) }()
	assert.PanicsWithError(t, "headpond/sqlite/stdlib: Options.TimeFormat is 9: it must be TimeText, TimeUnix, TimeUnixMilli or TimeUnixNano", func() { OpenDB(db, Options{TimeFormat: 9}) })
	sqlDB := sql.OpenDB(NewConnector(db, Options{TimeFormat: 9}))
	defer sqlDB.Close()
	require.ErrorContains(t, sqlDB.Ping(), "TimeFormat")
}

func TestErrors_OfDatabaseSQL(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	tx, err := db.Begin()
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	_, err = tx.Exec("SELECT 1")
	require.ErrorIs(t, err, sql.ErrTxDone)
	require.ErrorIs(t, tx.Commit(), sql.ErrTxDone)
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	_, err = conn.ExecContext(t.Context(), "SELECT 1")
	require.ErrorIs(t, err, sql.ErrConnDone)
	require.ErrorIs(t, db.QueryRow("SELECT x FROM t").Scan(new(int)), sql.ErrNoRows)
	_, err = db.Prepare("SELECT nonsense FROM t")
	require.ErrorContains(t, err, "nonsense")
	var failed *Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, 1, failed.Code)
	for _, text := range []string{"SELECT nonsense", "INSERT INTO none VALUES (1)", "nonsense", "SELECT 1; nonsense", "INSERT INTO t VALUES (1, 2)"} {
		_, err = db.Exec(text)
		require.ErrorAs(t, err, &failed, text)
		assert.Equal(t, 1, failed.Code, text)
		_, err = db.Query(text)
		require.Error(t, err, text)
	}
	settled(t, under)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = db.ExecContext(ended, "INSERT INTO t VALUES (1)")
	require.ErrorIs(t, err, context.Canceled)
	closed, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "b.db"), sqlite.Options{})
	require.NoError(t, err)
	require.NoError(t, closed.Close(t.Context()))
	late := OpenDB(closed, Options{})
	defer late.Close()
	for _, text := range []string{"SELECT 1", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)"} {
		_, err = late.Exec(text)
		require.ErrorIs(t, err, pool.ErrClosed, text)
	}
}

func TestPreparedStatements(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, x)")
	insert, err := db.Prepare("INSERT INTO t (x) VALUES (?)")
	require.NoError(t, err)
	defer insert.Close()
	get, err := db.Prepare("SELECT x FROM t WHERE id=?")
	require.NoError(t, err)
	defer get.Close()
	var group sync.WaitGroup
	for n := range 20 {
		group.Go(func() {
			result, err := insert.Exec(n)
			if !assert.NoError(t, err) {
				return
			}
			id, _ := result.LastInsertId()
			var x int
			assert.NoError(t, get.QueryRow(id).Scan(&x))
			assert.Equal(t, n, x)
		})
	}
	group.Wait()
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = tx.Stmt(insert).Exec("in a transaction")
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	assert.Equal(t, 20, value[int](t, db, "SELECT count(*) FROM t"))
	assert.Zero(t, under.Stats().Found)
}

func TestConn(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	insert := func(c *sqlite.Conn) error {
		stmt, err := c.Prepare("INSERT INTO t VALUES (1)")
		if err == nil {
			_, err = stmt.Step()
		}
		return err
	}
	require.NoError(t, Conn(t.Context(), conn, insert))
	assert.Equal(t, 1, value[int](t, db, "SELECT count(*) FROM t"))
	tx, err := conn.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, Conn(t.Context(), conn, func(c *sqlite.Conn) error {
		assert.False(t, c.AutocommitEnabled(), "inside the transaction")
		return insert(c)
	}))
	require.NoError(t, tx.Rollback())
	assert.Equal(t, 1, value[int](t, db, "SELECT count(*) FROM t"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err = Conn(ctx, conn, func(c *sqlite.Conn) error {
		stmt, err := c.Prepare("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT sum(i) FROM n")
		if err == nil {
			_, err = stmt.Step()
		}
		return err
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	failed := errors.New("its own")
	require.Equal(t, failed, Conn(t.Context(), conn, func(*sqlite.Conn) error { return failed }))
	require.NoError(t, conn.Close())
	settled(t, under)
	require.ErrorIs(t, Conn(t.Context(), conn, insert), sql.ErrConnDone)
}

func TestConn_ThatClosesTheConnection(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	do(t, db, "CREATE TABLE t (x)")
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	tx, err := conn.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_ = Conn(t.Context(), conn, func(c *sqlite.Conn) error { return c.Close() })
	_, err = tx.Exec("INSERT INTO t VALUES (1)")
	require.ErrorIs(t, err, sqlite.ErrRolledBack)
	require.Error(t, tx.Commit())
	do(t, db, "INSERT INTO t VALUES (1)")
	assert.EqualValues(t, 1, under.Stats().Found[sqlite.FoundClosed])
}

func TestPanicsOfFunctionsLoseNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the connection of a function that panicked keeps its file open, and the directory of a test can't be removed")
	}
	db, under := open(t, sqlite.Options{Setup: func(_ context.Context, conn *sqlite.Conn) error {
		return conn.CreateFunction("fails", &zombiezen.FunctionImpl{NArgs: 0, Scalar: func(zombiezen.Context, []zombiezen.Value) (zombiezen.Value, error) {
			panic("on purpose")
		}})
	}}, Options{})
	func() {
		defer func() { _ = recover() }()
		_, _ = db.Exec("SELECT fails()")
	}()
	assert.Equal(t, 1, value[int](t, db, "SELECT 1"))
	settled(t, under)
}

func TestClose_NamesWhatIsOpen(t *testing.T) {
	under, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "app.db"), sqlite.Options{LeakAfter: time.Hour})
	require.NoError(t, err)
	db := OpenDB(under, Options{})
	numbers(t, db, 1000)
	rows, err := db.Query("SELECT * FROM t")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = under.Close(ctx)
	require.ErrorContains(t, err, "driver_test.go:")
	require.NoError(t, rows.Close())
	require.NoError(t, db.Close())
	require.NoError(t, under.Close(t.Context()))
}

func TestPrepare_WhatCantBeCompiledIsAnErrorAtOnce(t *testing.T) {
	for name, db := range both(t) {
		t.Run(name, func(t *testing.T) {
			for _, text := range []string{"nonsense", "SELECT * FROM missing", "INSERT INTO missing VALUES (1)", "CREATE INDEX i ON missing (x)", "SELEC 1"} {
				_, err := db.Prepare(text)
				var failed *Error
				require.ErrorAs(t, err, &failed, text)
				assert.Equal(t, 1, failed.Code, text)
			}
		})
	}
}

func TestPrepare_LeavesNothingOnTheConnection(t *testing.T) {
	db, under := open(t, sqlite.Options{}, Options{})
	for _, text := range []string{"CREATE TABLE t (x)", "CREATE TEMP TABLE s (x)", "ATTACH ':memory:' AS other", "VACUUM", "PRAGMA cache_size=7", "PRAGMA foreign_keys=off", "BEGIN", ""} {
		for range 2 {
			statement, err := db.Prepare(text)
			require.NoError(t, err, text)
			require.NoError(t, statement.Close())
		}
	}
	assert.Zero(t, value[int](t, db, "SELECT count(*) FROM sqlite_schema"))
	assert.Equal(t, 1, value[int](t, db, "PRAGMA foreign_keys"))
	settled(t, under)
	assert.Zero(t, under.Stats().Found)
	statement, err := db.Prepare("CREATE TABLE t (x)")
	require.NoError(t, err)
	defer statement.Close()
	_, err = statement.Exec()
	require.NoError(t, err)
	_, err = statement.Exec()
	require.ErrorContains(t, err, "already exists")
}
