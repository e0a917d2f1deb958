package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
)

// A pragma reaches every connection.
// Answers mattn/go-sqlite3#1058, zombiezen/go-sqlite#54.
func TestOpen_PragmasReachEveryConnection(t *testing.T) {
	s := construct(t, path(t), Writer, Options{
		Synchronous: SyncExtra, NoForeignKeys: true, TrustedSchema: true, NoCellSizeCheck: true, NoDefensive: true,
		CacheSize: 1 << 20, MmapSize: 1 << 16, JournalSizeLimit: -9, BusyTimeout: time.Second,
		Pragmas: []Pragma{{"temp_store", "MEMORY"}, {"Recursive_Triggers", "on"}, {"page_size", "8192"}, {"auto_vacuum", "incremental"}},
	})
	for _, mode := range []Mode{Writer, Reader} {
		c := sibling(t, s, mode).conn
		for pragma, want := range map[string]string{
			"synchronous": "3", "foreign_keys": "0", "trusted_schema": "1", "cell_size_check": "0", "cache_size": "-1024",
			"mmap_size": "65536", "journal_size_limit": "-1", "temp_store": "2", "recursive_triggers": "1",
			"page_size": "8192", "auto_vacuum": "2", "journal_mode": "wal",
		} {
			assert.Equal(t, want, get(t, c, "PRAGMA "+pragma), "%v of a %v", pragma, mode)
		}
	}
}

func TestDefaultsAreRightForAServer(t *testing.T) {
	s := construct(t, path(t), Writer, Options{})
	for _, mode := range []Mode{Writer, Reader} {
		c := sibling(t, s, mode).conn
		for pragma, want := range map[string]string{
			"synchronous": "1", "foreign_keys": "1", "trusted_schema": "0", "cell_size_check": "1", "cache_size": "-2000",
			"mmap_size": "0", "journal_size_limit": "67108864", "journal_mode": "wal",
		} {
			assert.Equal(t, want, get(t, c, "PRAGMA "+pragma), "%v of a %v", pragma, mode)
		}
		assert.Error(t, run(c, "PRAGMA writable_schema=1; UPDATE sqlite_schema SET sql=''"), "defensive")
	}
	err := run(sibling(t, s, Reader).conn, "CREATE TABLE t (x)")
	assert.Equal(t, sqlite.ResultReadOnly, sqlite.ErrCode(err), "a reader is read-only")
}

func TestFileModes(t *testing.T) {
	for mode, options := range map[fs.FileMode]Options{0o600: {}, 0o640: {FileMode: 0o640}} {
		s := construct(t, path(t), Writer, options)
		do(t, s.conn, "CREATE TABLE t (x)")
		assert.Equal(t, []string{"app.db", "app.db-shm", "app.db-wal"}, files(t, s.database.path), "no trace of its making")
		for _, suffix := range []string{"", "-wal", "-shm"} {
			file, err := os.Stat(s.database.path + suffix)
			require.NoError(t, err)
			assert.Equal(t, shown(mode), file.Mode(), suffix)
		}
	}
}

func TestOptionsAreNamed(t *testing.T) {
	for want, options := range map[string]Options{
		"Options.Readers is -1":                                       {Readers: -1},
		"Options.Synchronous is 4":                                    {Synchronous: 4},
		"Options.CacheSize is -1":                                     {CacheSize: -1},
		"Options.CacheSize is 64":                                     {CacheSize: 64},
		"Options.MmapSize is -1":                                      {MmapSize: -1},
		"Options.FileMode is d":                                       {FileMode: fs.ModeDir | 0o600},
		"Options.FileMode is -r--":                                    {FileMode: 0o400},
		"Options.MaxStatements is -1":                                 {MaxStatements: -1},
		"Options.Schema is set":                                       {ReadOnly: true, Schema: &sqlitemigration.Schema{}},
		`Options.Pragmas[0].Name is "x;y"`:                            {Pragmas: []Pragma{{"x;y", "1"}}},
		`Options.Pragmas[1].Name is "Busy_Timeout": set Options.Busy`: {Pragmas: []Pragma{{"temp_store", "1"}, {"Busy_Timeout", "1"}}},
		`Options.Pragmas[0].Value is "\x00"`:                          {Pragmas: []Pragma{{"temp_store", "\x00"}}},
		`Options.Schema.Migrations[1] contains NUL: "SELECT 1;\x00"`:  {Schema: &sqlitemigration.Schema{Migrations: []string{"SELECT 1", "SELECT 1;\x00"}}},
		`Options.Schema.RepeatableMigration contains NUL: "\x00"`:     {Schema: &sqlitemigration.Schema{RepeatableMigration: "\x00"}},
		"SQLite " + sqlite.Version + " does not know it":              {Pragmas: []Pragma{{"temp_stroe", "1"}}},
		"PRAGMA threads is 0, not many":                               {Pragmas: []Pragma{{"threads", "many"}}},
		"Setup: no thanks":                                            {Setup: func(context.Context, *Conn) error { return errors.New("no thanks") }},
		"Setup: a transaction or a statement was left open":           {Setup: func(_ context.Context, conn *Conn) error { return run(conn, "BEGIN") }},
		"Setup: the connection was closed":                            {Setup: func(_ context.Context, conn *Conn) error { return conn.Close() }},
		"migrate: ":                                                   {Schema: &sqlitemigration.Schema{Migrations: []string{"nonsense"}}},
	} {
		file := path(t)
		_, err := newDatabase(file, options).open(t.Context(), Writer)
		assert.ErrorContains(t, err, want)
		assert.ErrorAs(t, err, new(*OpenError))
		assert.Empty(t, files(t, file), "%s: nothing is created", want)
		assert.Zero(t, descriptors(t, file), "%s: nothing is open", want)
	}
}

func TestOpenSaysWhatAndWhere(t *testing.T) {
	open := func(file string, mode Mode, options Options) error {
		before := descriptors(t, filepath.Dir(file))
		_, err := newDatabase(file, options).open(t.Context(), mode)
		assert.ErrorAs(t, err, new(*OpenError))
		if before == 0 { // else SQLite keeps a descriptor for as long as another one has locks
			assert.Zero(t, descriptors(t, filepath.Dir(file)))
		}
		return err
	}
	t.Run("in memory", func(t *testing.T) {
		for _, file := range []string{"", ":memory:", "file::memory:?cache=shared", "file:x?mode=memory", "file:/x?vfs=memdb"} {
			assert.ErrorIs(t, open(file, Writer, Options{}), ErrInMemory, file)
		}
	})
	t.Run("an URI", func(t *testing.T) {
		assert.ErrorContains(t, open("file:app.db?mode=ro", Writer, Options{}), "URIs are not interpreted")
	})
	t.Run("NUL", func(t *testing.T) {
		file := path(t)
		assert.ErrorContains(t, open(file+"\x00", Writer, Options{}), "contains NUL")
		assert.Empty(t, files(t, file))
	})
	t.Run("no directory", func(t *testing.T) {
		err := open(filepath.Join(path(t), "app.db"), Writer, Options{})
		assert.ErrorIs(t, err, ErrNoDirectory)
		assert.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("a file for a directory", func(t *testing.T) {
		file := path(t)
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		for _, below := range []string{"app.db", "no/app.db"} {
			err := open(filepath.Join(file, filepath.FromSlash(below)), Writer, Options{})
			assert.ErrorIs(t, err, ErrNoDirectory)
			assert.ErrorIs(t, err, fs.ErrNotExist)
		}
		assert.ErrorContains(t, open(filepath.Join(file, "app.db"), Writer, Options{}), file+" is no directory")
	})
	t.Run("a directory", func(t *testing.T) {
		assert.ErrorIs(t, open(t.TempDir(), Writer, Options{}), ErrNotFile)
	})
	t.Run("no file for a reader", func(t *testing.T) {
		file := path(t)
		err := open(file, Reader, Options{})
		assert.ErrorIs(t, err, ErrNoFile)
		assert.ErrorIs(t, err, fs.ErrNotExist)
		assert.Empty(t, files(t, file))
	})
	t.Run("a writer, read-only", func(t *testing.T) {
		assert.ErrorIs(t, open(path(t), Writer, Options{ReadOnly: true}), ErrReadOnly)
	})
	t.Run("not a database", func(t *testing.T) {
		file := path(t)
		require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("no database ", 1000)), 0o600))
		for _, mode := range []Mode{Writer, Reader} {
			err := open(file, mode, Options{})
			assert.ErrorIs(t, err, ErrNotDatabase)
			assert.Equal(t, sqlite.ResultNotADB, sqlite.ErrCode(err))
		}
	})
	t.Run("another page size", func(t *testing.T) {
		s := table(t, Options{})
		assert.ErrorContains(t, open(s.database.path, Writer, Options{Pragmas: []Pragma{{"page_size", "8192"}}}), "when the file is created")
	})
	t.Run("an ended ctx", func(t *testing.T) {
		s := table(t, Options{})
		do(t, s.conn, "BEGIN IMMEDIATE")
		file := s.database.path
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("enough")
		cancel(cause)
		_, err := newDatabase(file, Options{Setup: func(_ context.Context, conn *Conn) error { return run(conn, "BEGIN IMMEDIATE") }}).open(ctx, Writer)
		assert.ErrorIs(t, err, context.Canceled)
		assert.ErrorIs(t, err, cause)
		do(t, s.conn, "ROLLBACK")
	})
}

func init() {
	// The arguments are files that four goroutines open at once, one after the other.
	children["openers"] = func(args []string) error {
		errs := make(chan error, 4)
		for i := range 4 {
			go func() {
				errs <- func() error {
					for _, file := range args {
						d := newDatabase(file, Options{
							Schema:      &sqlitemigration.Schema{Migrations: []string{"CREATE TABLE t (x)"}},
							BusyTimeout: time.Minute, // each waits for 15 others, and for the disk
						})
						mode := Mode(i % 2)
						s, err := d.open(context.Background(), Writer)
						if err != nil {
							return err
						}
						if mode == Reader {
							r, err := d.open(context.Background(), Reader)
							if err != nil {
								return err
							}
							if _, err := first(r.conn, "SELECT count(*) FROM t"); err != nil {
								return err
							}
							if err := r.close(context.Background()); err != nil {
								return err
							}
						}
						if err := run(s.conn, "INSERT INTO t VALUES (1)"); err != nil {
							return err
						}
						if err := s.close(context.Background()); err != nil {
							return err
						}
					}
					return nil
				}()
			}()
		}
		return errors.Join(<-errs, <-errs, <-errs, <-errs)
	}
}

// 4 processes x 4 goroutines open a fresh file at once, 100 times: no failure.
// Answers crawshaw/sqlite#113.
func TestOpen_ManyOpenOneFreshFile(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	dir := t.TempDir()
	var all []string
	for i := range rounds {
		all = append(all, filepath.Join(dir, fmt.Sprint("app", i, ".db")))
	}
	var group sync.WaitGroup
	for range 4 {
		cmd := child(t, "openers", all...)
		group.Go(func() { assert.NoError(t, outputOf(cmd)) })
	}
	group.Wait()
	for _, file := range all {
		s := construct(t, file, Writer, Options{})
		require.Equal(t, "16", get(t, s.conn, "SELECT count(*) FROM t"), "one file, and nobody's write was lost")
	}
}

func outputOf(cmd *exec.Cmd) error {
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}

// A database that somebody else made, in another journal mode and with another mode, becomes WAL and keeps its file.
func TestAnExistingDatabase(t *testing.T) {
	file := path(t)
	conn, err := sqlite.OpenConn(file, sqlite.OpenReadWrite|sqlite.OpenCreate)
	require.NoError(t, err)
	do(t, conn, "CREATE TABLE t (x); INSERT INTO t VALUES (1)")
	require.NoError(t, conn.Close())
	r := construct(t, file, Reader, Options{ReadOnly: true})
	assert.Equal(t, "delete", get(t, r.conn, "PRAGMA journal_mode"), "read-only changes nothing")
	s := construct(t, file, Writer, Options{})
	assert.Equal(t, "1", get(t, s.conn, "SELECT x FROM t"))
	assert.Equal(t, "1", get(t, r.conn, "SELECT x FROM t"))
}

// A journal mode that can't change, since somebody else has the file for himself, is waited for.
func TestJournalModeWaits(t *testing.T) {
	file := path(t)
	conn, err := sqlite.OpenConn(file, sqlite.OpenReadWrite|sqlite.OpenCreate)
	require.NoError(t, err)
	defer conn.Close()
	do(t, conn, "CREATE TABLE t (x); BEGIN EXCLUSIVE")
	_, err = newDatabase(file, Options{BusyTimeout: 30 * time.Millisecond}).open(t.Context(), Writer)
	assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(err).ToPrimary())
	opened := make(chan error, 1)
	go func() {
		s, err := newDatabase(file, Options{BusyTimeout: time.Minute}).open(context.Background(), Writer)
		if err == nil {
			err = s.close(context.Background())
		}
		opened <- err
	}()
	do(t, conn, "COMMIT")
	require.NoError(t, <-opened)
}

// A file system that refuses WAL: SQLite's dotfile locks, which have no shared memory, stand for it.
func TestAFileSystemWithoutWAL(t *testing.T) {
	file := path(t)
	conn, err := raw.Open("file:"+file+"?vfs=unix-dotfile", sqlite.OpenReadWrite|sqlite.OpenCreate|sqlite.OpenURI)
	if err != nil {
		t.Skipf("no such VFS here: %v", err)
	}
	defer raw.Close(conn)
	require.NoError(t, supported())
	s := &connection{Handle: raw.New(conn), conn: conn, database: newDatabase(file, Options{})}
	assert.ErrorIs(t, s.useWAL(t.Context()), ErrNoWAL)
}

func TestOpenFollowsLinks(t *testing.T) {
	file := path(t)
	link := filepath.Join(t.TempDir(), "link.db")
	if !symlink(t, file, link) {
		t.Skip("no symbolic links here")
	}
	s := construct(t, link, Writer, Options{})
	do(t, s.conn, "CREATE TABLE t (x)")
	assert.Equal(t, []string{"app.db", "app.db-shm", "app.db-wal"}, files(t, file))
	do(t, construct(t, file, Writer, Options{}).conn, "SELECT * FROM t")
	require.NoError(t, s.verify(t.Context()))

	loop := filepath.Join(t.TempDir(), "loop.db")
	require.True(t, symlink(t, loop, loop))
	_, err := newDatabase(loop, Options{}).open(t.Context(), Writer)
	require.Error(t, err)
}

// A link that leads nowhere yet leads where the system takes it, whatever links are on the way: the file is made there, and nowhere else.
func TestOpen_MakesTheFileWhereALinkLeads(t *testing.T) {
	home := t.TempDir()
	for _, below := range []string{"real/deep", "real/data", "data", "absolute"} {
		require.NoError(t, os.MkdirAll(filepath.Join(home, below), 0o700))
	}
	if onWindows || !symlink(t, "real/deep", filepath.Join(home, "link")) {
		t.Skip("the system takes link/.. for nothing")
	}
	for name, target := range map[string]string{
		"one.db":   "../data/one.db",
		"two.db":   "three.db", // a link to a link
		"three.db": "../data/two.db",
		"four.db":  filepath.Join(home, "link") + "/../data/four.db",
		"five.db":  filepath.Join(home, "absolute", "five.db"),
		"six.db":   "six.new.db",
	} {
		require.True(t, symlink(t, target, filepath.Join(home, "real", "deep", name)))
	}
	for name, want := range map[string]string{
		"one.db": "real/data/one.db", "two.db": "real/data/two.db", "four.db": "real/data/four.db",
		"five.db": "absolute/five.db", "six.db": "real/deep/six.new.db",
	} {
		db, err := Open(t.Context(), filepath.Join(home, "link", name), Options{})
		if !assert.NoError(t, err, name) {
			continue
		}
		assert.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "CREATE TABLE t (x)") }))
		assert.FileExists(t, filepath.Join(home, want))
		require.NoError(t, db.Close(t.Context()))
	}
	assert.Empty(t, files(t, filepath.Join(home, "data", "x")), "where no link leads")
	require.True(t, symlink(t, "nowhere/app.db", filepath.Join(home, "app.db")))
	_, err := Open(t.Context(), filepath.Join(home, "app.db"), Options{})
	assert.ErrorIs(t, err, fs.ErrNotExist)
}
