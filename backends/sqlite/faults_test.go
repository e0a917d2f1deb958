package sqlite

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// verdict is what becomes of a call. The zero verdict is success.
type verdict struct {
	is   error             // to errors.Is
	code sqlite.ResultCode // SQLite's
	step string            // of the OpenError; empty: there is none
	says string            // the part of the text that says what to do
}

func (v verdict) of(t *testing.T, what string, err error) {
	t.Helper()
	if v == (verdict{}) {
		require.NoError(t, err, what)
		return
	}
	require.Error(t, err, what)
	if v.is != nil {
		assert.ErrorIs(t, err, v.is, what)
	}
	if v.code != 0 {
		assert.Equal(t, v.code, sqlite.ErrCode(err), "%s: %v", what, err)
	}
	assert.ErrorContains(t, err, v.says, what)
	var failed *OpenError
	if errors.As(err, &failed); v.step == "" {
		assert.Nil(t, failed, "%s: %v", what, err)
	} else if assert.NotNil(t, failed, "%s: %v", what, err) {
		assert.Equal(t, v.step, failed.Step, "%s: %v", what, err)
	}
}

// fault is something that befalls the files of a database that is open.
type fault struct {
	name    string
	settled bool // the log was emptied before
	renames bool // something that is open
	do      func(t *testing.T, file string) (undo func())

	old         verdict // of a Read with the connection that was open
	quiet       bool    // no Write before the connections are opened anew: it would hide the fault
	oldWrite    verdict // of a Write and a Batch with the connection that was open
	retires     bool    // that ends both connections
	replaces    bool    // that replaces the writer: it failed to overwrite what a COMMIT that failed had left in the log
	impatient   bool    // BusyTimeout is short: what fails is tried for that long
	fresh       verdict // of a Read with a new connection
	freshWrites verdict // of a Write and a Batch with a new connection
	open        verdict // of another Open
	noOpen      bool    // which is not tried
}

// What is done to a database under a fault.
var (
	countRows = func(ctx context.Context, conn *Conn) error { _, err := rows(conn); return err }
	addRow    = func(_ context.Context, conn *Conn) error {
		return run(conn, "INSERT INTO filler (x) VALUES (zeroblob(3900))")
	}
)

// rows counts them, and reads all of their pages.
func rows(conn *Conn) (int64, error) {
	n, err := first(conn, "SELECT count(*) FROM filler WHERE length(CAST(x AS TEXT)) >= 0")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(n, 10, 64)
}

// faulty opens a database whose connections are checked at every acquire, with 256 rows in its log, and reads them.
// On a machine that is slow no checkpoint of its own accord comes in between, and nobody's wait ends.
func faulty(t *testing.T, file string) *DB { return faultyFor(t, file, time.Minute) }

func faultyFor(t *testing.T, file string, busyTimeout time.Duration) *DB {
	t.Helper()
	always := resource.Policy{CheckAfterIdle: -1}
	db, err := Open(t.Context(), file, Options{
		ReaderPolicy: always, WriterPolicy: always, Readers: 1, AcquireTimeout: time.Minute, BusyTimeout: busyTimeout,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	db.checkpointer.stop()
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, backedUp) }))
	fill(t, db, 1)
	require.NoError(t, db.Read(t.Context(), countRows))
	return db
}

// sound asserts that the database has so many rows, and is whole.
func sound(t *testing.T, db *DB, want int64) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		assert.Equal(t, "ok", get(t, conn, "PRAGMA integrity_check"))
		n, err := rows(conn)
		assert.Equal(t, want, n)
		return err
	}))
}

// opens asserts that an Open succeeds, and finds so many rows.
func opens(t *testing.T, file string, want int64) {
	t.Helper()
	db, err := Open(t.Context(), file, Options{OnFinding: func(_ context.Context, finding Finding) { assert.Fail(t, finding.String()) }})
	require.NoError(t, err)
	sound(t, db, want)
	require.NoError(t, db.Close(context.Background()))
}

// free asserts that every slot of both pools is.
func free(t *testing.T, db *DB) {
	t.Helper()
	for _, p := range db.pools() {
		require.Eventually(t, func() bool { s := p.Stats(); return s.Held+s.Constructing+s.Destroying+s.Waiting == 0 }, 10*time.Second, time.Millisecond)
		assert.Zero(t, p.Stats().Abandoned)
		assert.Zero(t, p.Stats().DestroyFailed)
	}
}

func destroyed(db *DB) (readers, writers uint64) {
	stats := db.Stats()
	for reason := range resource.Reasons {
		readers += stats.Readers.Destroyed[reason]
		writers += stats.Writer.Destroyed[reason]
	}
	return readers, writers
}

// befall does a fault to an open database, sees what becomes of its calls, and that it heals without being closed
// when the fault is undone, with every row that was acknowledged.
func (f fault) befall(t *testing.T, file string) {
	busyTimeout := time.Minute
	if f.impatient {
		busyTimeout = 50 * time.Millisecond
	}
	db := faultyFor(t, file, busyTimeout)
	acknowledged := int64(256)
	if f.settled {
		done, err := db.Checkpoint(t.Context())
		require.NoError(t, err)
		require.True(t, done.Complete)
	}
	writes := func(v verdict, what string) {
		t.Helper()
		v.of(t, what+" Write", db.Write(t.Context(), addRow))
		v.of(t, what+" Batch", db.Batch(t.Context(), addRow))
		if v == (verdict{}) {
			acknowledged += 2
		}
	}
	undo := f.do(t, file)

	f.old.of(t, "Read", db.Read(t.Context(), countRows))
	if !f.quiet {
		writes(f.oldWrite, "old")
	}
	switch {
	case f.retires:
		require.Eventually(t, func() bool { r, w := destroyed(db); return r > 0 && w > 0 }, 10*time.Second, time.Millisecond)
	case f.replaces:
		require.Eventually(t, func() bool { r, w := destroyed(db); return r == 0 && w > 0 }, 10*time.Second, time.Millisecond)
	default:
		r, w := destroyed(db)
		assert.Zero(t, r+w, "no connection had to end")
	}
	for _, p := range db.pools() {
		p.Evict()
	}
	free(t, db)
	f.fresh.of(t, "fresh Read", db.Read(t.Context(), countRows))
	if !f.quiet {
		writes(f.freshWrites, "fresh")
	} else {
		f.freshWrites.of(t, "fresh Write", db.Write(t.Context(), func(context.Context, *Conn) error { return nil }))
	}
	if !f.noOpen {
		other, err := Open(t.Context(), file, Options{})
		f.open.of(t, "Open", err)
		if err == nil {
			require.NoError(t, other.Close(context.Background()))
		}
	}
	free(t, db)

	undo()
	require.NoError(t, db.Read(t.Context(), countRows), "it heals")
	writes(verdict{}, "healed")
	sound(t, db, acknowledged)
	free(t, db)
	require.NoError(t, db.Close(context.Background()))
	opens(t, file, acknowledged)
	assert.Zero(t, descriptors(t, file))
}

// copyAside copies a file in another process, since one that opens and closes it here drops the locks on it,
// and returns what copies it back in place.
func copyAside(t *testing.T, file string) (back func()) {
	aside := file + ".aside"
	require.NoError(t, outputOf(child(t, "copy", file, aside)))
	return func() { require.NoError(t, outputOf(child(t, "copy", aside, file))) }
}

func init() {
	// The arguments are a file and one that gets its content.
	children["copy"] = func(args []string) error {
		from, err := os.Open(args[0])
		if err != nil {
			return err
		}
		to, err := os.OpenFile(args[1], os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(to, from)
		return errors.Join(err, to.Close(), from.Close())
	}
	// The arguments are a file, an offset and a length, which is overwritten with nonsense.
	children["scribble"] = func(args []string) error {
		file, err := os.OpenFile(args[0], os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		at, _ := strconv.ParseInt(args[1], 10, 64)
		length, _ := strconv.Atoi(args[2])
		nonsense := make([]byte, length)
		for i := range nonsense {
			nonsense[i] = 0xA5
		}
		_, err = file.WriteAt(nonsense, at)
		return errors.Join(err, file.Close())
	}
}

// TestFaults has the faults of every system; docs/faults.md is about them.
func TestFaults(t *testing.T) {
	gone := verdict{is: ErrReplaced, step: "look", says: "put it back, or close, and open again"}
	corrupt := verdict{code: sqlite.ResultCorrupt, says: "malformed"}
	notDatabase := verdict{is: ErrNotDatabase, code: sqlite.ResultNotADB, step: "pragmas"}
	move := func(from, to string) func() {
		return func() { _ = os.Rename(from, to) }
	}
	for _, f := range []fault{
		{
			name: "the file is renamed", renames: true,
			do: func(t *testing.T, file string) func() {
				require.NoError(t, os.Rename(file, file+".old"))
				return move(file+".old", file)
			},
			old: gone, oldWrite: gone, retires: true, fresh: gone, freshWrites: gone, noOpen: true,
		},
		{
			name: "its directory is renamed, as where a disk is unmounted", renames: true,
			do: func(t *testing.T, file string) func() {
				require.NoError(t, os.Rename(filepath.Dir(file), filepath.Dir(file)+".old"))
				return move(filepath.Dir(file)+".old", filepath.Dir(file))
			},
			old: gone, oldWrite: gone, retires: true, fresh: gone, freshWrites: gone,
			open: verdict{is: ErrNoDirectory, step: "look"},
		},
		{
			name: "a directory is in its place", renames: true,
			do: func(t *testing.T, file string) func() {
				require.NoError(t, os.Rename(file, file+".old"))
				require.NoError(t, os.Mkdir(file, 0o700))
				return func() { require.NoError(t, os.Remove(file)); move(file+".old", file)() }
			},
			old: verdict{is: ErrNotFile, step: "look"}, oldWrite: verdict{is: ErrNotFile, step: "look"}, retires: true,
			fresh: verdict{is: ErrNotFile, step: "look"}, freshWrites: verdict{is: ErrNotFile, step: "look"}, open: verdict{is: ErrNotFile, step: "look"},
		},
		{
			name: "the file is emptied", settled: true,
			do: func(t *testing.T, file string) func() {
				back := copyAside(t, file)
				require.NoError(t, os.Truncate(file, 0))
				return back
			},
			old:   verdict{is: ErrReplaced, step: "look", says: "it is empty now: put its content back"},
			quiet: true, retires: true, noOpen: true, // Open takes an empty file for a new database
			fresh:       verdict{is: ErrReplaced, step: "look", says: "it is empty now: put its content back"},
			freshWrites: verdict{is: ErrReplaced, step: "look", says: "it is empty now: put its content back"},
		},
		{
			name: "the file is cut in half", settled: true,
			do: func(t *testing.T, file string) func() {
				back := copyAside(t, file)
				require.NoError(t, os.Truncate(file, 100*4096))
				return back
			},
			old: corrupt, quiet: true, retires: true,
			fresh:       verdict{code: sqlite.ResultCorrupt, step: "pragmas", says: "malformed"},
			freshWrites: verdict{code: sqlite.ResultCorrupt, step: "journal mode", says: "malformed"},
			open:        verdict{code: sqlite.ResultCorrupt, step: "journal mode", says: "malformed"},
		},
		{
			name: "its pages are overwritten", settled: true,
			do: func(t *testing.T, file string) func() {
				back := copyAside(t, file)
				require.NoError(t, outputOf(child(t, "scribble", file, "8192", "1000000")))
				return back
			},
			old: corrupt, quiet: true, retires: true, fresh: corrupt,
		},
		{
			name: "its header is overwritten", settled: true,
			do: func(t *testing.T, file string) func() {
				back := copyAside(t, file)
				require.NoError(t, outputOf(child(t, "scribble", file, "0", "100")))
				return back
			},
			old: verdict{code: sqlite.ResultNotADB}, quiet: true, retires: true,
			fresh: notDatabase, freshWrites: verdict{is: ErrNotDatabase, code: sqlite.ResultNotADB, step: "journal mode"},
			open: verdict{is: ErrNotDatabase, code: sqlite.ResultNotADB, step: "journal mode"},
		},
	} {
		t.Run(f.name, func(t *testing.T) {
			if f.renames {
				needsRenames(t)
			}
			directory := filepath.Join(directory(t), "data")
			require.NoError(t, os.Mkdir(directory, 0o700))
			f.befall(t, filepath.Join(directory, "app.db"))
		})
	}
}

// A connection that finds the file broken, at its opening or later, ends those that were open before, which may not notice.
func TestFaultThatOneFindsEndsAll(t *testing.T) {
	for name, scribble := range map[string][2]string{"its header": {"0", "100"}, "its pages": {"8192", "1000000"}} {
		t.Run(name, func(t *testing.T) {
			db := faulty(t, path(t))
			_, err := db.Checkpoint(t.Context())
			require.NoError(t, err)
			require.NoError(t, outputOf(child(t, "scribble", db.database.path, scribble[0], scribble[1])))
			db.Readers().Evict()
			free(t, db)
			_, before := destroyed(db)
			require.Error(t, db.Read(t.Context(), countRows))
			require.Eventually(t, func() bool { _, now := destroyed(db); return now == before+1 }, 10*time.Second, time.Millisecond)
			free(t, db)
		})
	}
}

// The file is replaced under a database whose log is not empty. That is ErrReplaced until Close and Open, which find the other file
// as it is: the log went into the file that it belongs to.
func TestFaultReplaced(t *testing.T) {
	needsRenames(t)
	other := func(t *testing.T) string {
		file := filepath.Join(t.TempDir(), "other.db")
		db := faulty(t, file)
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "DELETE FROM filler WHERE id > 100") }))
		require.NoError(t, db.Close(t.Context()))
		return file
	}
	for name, held := range map[string]bool{"idle": false, "under a snapshot": true} {
		t.Run(name, func(t *testing.T) {
			db := faulty(t, path(t))
			file := db.database.path
			restored := other(t)
			written := make(chan error, 1)
			replace := func() {
				require.NoError(t, os.Rename(file, file+".old"))
				require.NoError(t, os.Rename(restored, file))
				go func() { written <- db.Write(context.Background(), addRow) }()
			}
			if held {
				require.NoError(t, db.Read(t.Context(), func(ctx context.Context, conn *Conn) error {
					require.NoError(t, countRows(ctx, conn))
					replace()
					require.Eventually(t, func() bool { // its pages are in the file, and only the snapshot keeps it from being emptied
						old, err := os.Stat(file + ".old")
						return err == nil && old.Size() > 1<<20-1<<16
					}, 10*time.Second, time.Millisecond)
					<-time.After(10 * time.Millisecond)
					return nil
				}))
			} else {
				replace()
			}
			replaced := verdict{is: ErrReplaced, step: "look", says: "another file is at its path now: close, move away"}
			replaced.of(t, "Write", <-written)
			for range 2 {
				replaced.of(t, "Read", db.Read(t.Context(), countRows))
				replaced.of(t, "Write", db.Write(t.Context(), addRow))
				replaced.of(t, "Batch", db.Batch(t.Context(), addRow))
				replaced.of(t, "Backup", db.Backup(t.Context(), filepath.Join(t.TempDir(), "copy.db"), nil))
			}
			free(t, db)
			replaced.of(t, "Close", db.Close(context.Background()))
			assert.Zero(t, descriptors(t, file), "and yet everything is closed")
			opens(t, file, 100)
			for _, suffix := range []string{"-wal", "-shm"} {
				assert.NoFileExists(t, file+".old"+suffix)
			}
			opens(t, file+".old", 256)
		})
	}
}

// The file is deleted, with or without its log. Close and Open make a new one.
func TestFaultDeleted(t *testing.T) {
	needsRenames(t)
	for name, suffixes := range map[string][]string{"alone": {""}, "with its log": {"", "-wal", "-shm"}} {
		t.Run(name, func(t *testing.T) {
			db := faulty(t, path(t))
			file := db.database.path
			for _, suffix := range suffixes {
				require.NoError(t, os.Remove(file+suffix))
			}
			for range 2 {
				require.ErrorIs(t, db.Read(t.Context(), countRows), ErrReplaced)
				require.ErrorIs(t, db.Write(t.Context(), addRow), ErrReplaced)
			}
			assert.NoFileExists(t, file, "it does not come back empty")
			require.ErrorIs(t, db.Close(context.Background()), ErrReplaced)
			db, err := Open(t.Context(), file, Options{})
			require.NoError(t, err)
			require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
				assert.Equal(t, "0", get(t, conn, "SELECT count(*) FROM sqlite_schema"), "it has nothing of the old one")
				return nil
			}))
			require.NoError(t, db.Close(context.Background()))
		})
	}
}

// A database under load, whose connections are never idle, notices within a second that its file is gone.
func TestFaultUnderLoad(t *testing.T) {
	needsRenames(t)
	for name, call := range map[string]func(*DB) error{
		"Read":  func(db *DB) error { return db.Read(context.Background(), countRows) },
		"Write": func(db *DB) error { return db.Write(context.Background(), addRow) },
		"Batch": func(db *DB) error { return db.Batch(context.Background(), addRow) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db, err := Open(t.Context(), path(t), Options{})
				require.NoError(t, err)
				require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, backedUp) }))
				require.NoError(t, db.Read(t.Context(), countRows))
				require.NoError(t, os.Rename(db.database.path, db.database.path+".old"))
				began := time.Now()
				for err = nil; err == nil && time.Since(began) < time.Minute; <-time.After(10 * time.Millisecond) {
					err = call(db)
				}
				require.ErrorIs(t, err, ErrReplaced)
				assert.ErrorContains(t, err, "put it back")
				assert.Less(t, time.Since(began), 1500*time.Millisecond, "with the rest after a connection could not be opened")
				require.NoError(t, os.Rename(db.database.path+".old", db.database.path))
				require.NoError(t, call(db), "it heals")
				require.NoError(t, db.Close(context.Background()))
			})
		})
	}
}

// The log is deleted under a database: the first connection that is opened finds that it does not fit,
// and ends those that have the deleted one open. The writer moves it into the file, whoever else has it open. Nothing is lost.
func TestFaultLogDeleted(t *testing.T) {
	needsRenames(t)
	for name, held := range map[string]bool{"idle": false, "under a snapshot": true} {
		t.Run(name, func(t *testing.T) {
			db := faulty(t, path(t))
			require.NoError(t, db.Readers().Resize(2))
			require.NoError(t, os.Remove(db.database.path+"-wal"))
			find := func() {
				require.NoError(t, db.Write(t.Context(), addRow))
				verdict{code: sqlite.ResultIOErrShortRead, step: "pragmas"}.of(t, "Read", db.Read(t.Context(), countRows))
			}
			if held {
				require.NoError(t, db.Read(t.Context(), func(ctx context.Context, conn *Conn) error {
					require.NoError(t, countRows(ctx, conn))
					find()
					require.Eventually(t, func() bool { return db.Writer().Stats().Destroying == 1 }, 10*time.Second, time.Millisecond)
					<-time.After(10 * time.Millisecond)
					return nil
				}))
			} else {
				db.Readers().Evict()
				free(t, db)
				find()
			}
			require.Eventually(t, func() bool { return db.Writer().Stats().Live() == 0 }, 10*time.Second, time.Millisecond)
			require.NoError(t, db.Write(t.Context(), addRow))
			sound(t, db, 258)
			require.NoError(t, db.Close(context.Background()))
			opens(t, db.database.path, 258)
		})
	}
}

// The log of another database is beside the file. SQLite can't tell it from its own, and nor can headpond:
// if there is a file, its rows become those of the other. If there is none, none is made.
func TestFaultForeignLog(t *testing.T) {
	foreign := func(t *testing.T, file, suffix string) {
		db := faulty(t, path(t))
		require.NoError(t, outputOf(child(t, "copy", db.database.path+"-wal", file+suffix)))
		require.NoError(t, db.Close(t.Context()))
	}
	t.Run("and a file", func(t *testing.T) {
		file := path(t)
		db := faulty(t, file)
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "DELETE FROM filler") }))
		require.NoError(t, db.Close(t.Context()))
		foreign(t, file, "-wal")
		opens(t, file, 256)
	})
	for _, suffix := range []string{"-wal", "-journal"} {
		t.Run("and no file: "+suffix, func(t *testing.T) {
			file := path(t)
			foreign(t, file, suffix)
			_, err := Open(t.Context(), file, Options{})
			verdict{is: ErrNoFile, step: "create", says: "app.db" + suffix + " is there, the log of a database that is gone: put that back, or move the log away"}.of(t, "Open", err)
			assert.Equal(t, []string{"app.db" + suffix}, files(t, file), "nothing is made, and nothing taken away")
			require.NoError(t, os.Truncate(file+suffix, 0))
			db, err := Open(t.Context(), file, Options{})
			require.NoError(t, err, "one that is empty does no harm")
			require.NoError(t, db.Close(t.Context()))
		})
	}
}

// What the caller of a DB that can't be opened gets names the pool, the file and the step.
func TestFaultsAreReadable(t *testing.T) {
	needsRenames(t)
	db := faulty(t, path(t))
	require.NoError(t, os.Remove(db.database.path))
	err := db.Read(t.Context(), countRows)
	var outer *pool.Error
	require.ErrorAs(t, err, &outer)
	assert.Equal(t, pool.Construct, outer.Op)
	assert.EqualError(t, err, `headpond/pool "app.readers": construct: headpond/sqlite: open `+db.database.path+
		` as reader: look: the database file was deleted, renamed or replaced while it was open: there is no file at its path: put it back, or close, and open again for a new one`)
	_ = db.Close(context.Background())
}

// A writer that ends while the log is empty waits for nobody: there is nothing to be moved.
func TestAWriterThatEndsWaitsForNobody(t *testing.T) {
	s := table(t, Options{BusyTimeout: 20 * time.Second})
	other := sibling(t, s, Writer)
	do(t, s.conn, "PRAGMA wal_checkpoint(TRUNCATE); BEGIN IMMEDIATE")
	began := time.Now()
	require.NoError(t, other.close(t.Context()))
	assert.Less(t, time.Since(began), 10*time.Second, "BusyTimeout is 20 s")
	do(t, s.conn, "ROLLBACK")
}
