package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

const elsewhereVariable = "HEADPOND_TEST_ELSEWHERE"

var stillRoot error // why the process of elsewhere is root's still, as in a container that knows no other user

func init() {
	if os.Getenv(elsewhereVariable) != "" && os.Getuid() == 0 { // whom no permission stops
		const nobody = 65534
		stillRoot = errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody))
	}
}

// elsewhere runs the test that calls it in a process of its own, as nobody if this one is root's.
// It reports whether this is that process.
func elsewhere(t *testing.T) bool {
	t.Helper()
	if os.Getenv(elsewhereVariable) != "" {
		if stillRoot != nil {
			t.Skipf("root can't become nobody here: %v", stillRoot)
		}
		return true
	}
	binary, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), binary, "-test.v", "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), elsewhereVariable+"=1", "TMPDIR=/tmp") // another one may be closed to nobody
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	if _, why, skipped := strings.Cut(string(output), "--- SKIP: "); skipped {
		t.Skip(why)
	}
	require.Contains(t, string(output), "--- PASS: "+t.Name()+" ", "it did run")
	return false
}

// mode changes the modes of paths; undo gives files and directories back what they had.
func mode(t *testing.T, mode fs.FileMode, paths ...string) (undo func()) {
	t.Helper()
	was := map[string]fs.FileMode{}
	for _, path := range paths {
		info, err := os.Stat(path)
		require.NoError(t, err)
		was[path] = info.Mode()
		require.NoError(t, os.Chmod(path, mode))
	}
	return func() {
		for path, mode := range was {
			require.NoError(t, os.Chmod(path, mode))
		}
	}
}

// TestFaultsOfPermission takes permissions away from a database that is open.
func TestFaultsOfPermission(t *testing.T) {
	if !elsewhere(t) {
		return
	}
	denied := func(says string) verdict { return verdict{is: fs.ErrPermission, step: "look", says: says} }
	noWrite := denied("this process can't read and write app.db: permission denied")
	noWriteLog := denied("this process can't read and write app.db-wal: permission denied")
	noSearch := denied("permission denied")
	for _, f := range []fault{
		{
			name: "the file may not be written",
			do: func(t *testing.T, file string) func() {
				undo := mode(t, 0o400, file)
				return func() {
					undo() // and its log, if a reader has made a new one meanwhile, with the mode of the file
					for _, suffix := range []string{"-wal", "-shm"} {
						require.NoError(t, os.Chmod(file+suffix, 0o600))
					}
				}
			},
			freshWrites: noWrite, open: noWrite,
		},
		{
			name:  "the file may not be read",
			do:    func(t *testing.T, file string) func() { return mode(t, 0, file) },
			fresh: denied("this process can't read app.db: permission denied"), freshWrites: noWrite, open: noWrite,
		},
		{
			name: "its log may not be written",
			do: func(t *testing.T, file string) func() {
				held := keep(t, file) // else the last to close takes the log away
				undo := mode(t, 0o400, file+"-wal")
				return func() { undo(); held() }
			},
			freshWrites: noWriteLog, open: noWriteLog,
		},
		{
			name: "its log may not be read",
			do: func(t *testing.T, file string) func() {
				held := keep(t, file)
				undo := mode(t, 0, file+"-wal")
				return func() { undo(); held() }
			},
			fresh: denied("this process can't read app.db-wal: permission denied"), freshWrites: noWriteLog, open: noWriteLog,
		},
		{
			name: "its directory may not be written", // which SQLite needs only when the log is made, and taken away
			do:   func(t *testing.T, file string) func() { return mode(t, 0o500, filepath.Dir(file)) },
		},
		{
			name: "its directory may not be entered",
			do:   func(t *testing.T, file string) func() { return mode(t, 0, filepath.Dir(file)) },
			old:  noSearch, oldWrite: noSearch, fresh: noSearch, freshWrites: noSearch, open: noSearch,
			retires: true,
		},
	} {
		t.Run(f.name, func(t *testing.T) {
			directory := filepath.Join(t.TempDir(), "data")
			require.NoError(t, os.Mkdir(directory, 0o700))
			f.befall(t, filepath.Join(directory, "app.db"))
		})
	}
}

// keep has another DB keep the database open.
func keep(t *testing.T, file string) (end func()) {
	db, err := Open(t.Context(), file, Options{ReadOnly: true})
	require.NoError(t, err)
	return func() { require.NoError(t, db.Close(context.Background())) }
}

// closed makes a database of 256 rows that nobody has open, and has no log.
func closed(t *testing.T, file string) {
	t.Helper()
	require.NoError(t, faulty(t, file).Close(context.Background()))
	require.NoFileExists(t, file+"-wal")
}

// A database that is opened in a directory that may not be written.
func TestFaultAtOpenOfPermission(t *testing.T) {
	if !elsewhere(t) {
		return
	}
	file := path(t)
	closed(t, file)
	undo := mode(t, 0o500, filepath.Dir(file))
	for step, options := range map[string]Options{"journal mode": {}, "pragmas": {ReadOnly: true}} {
		_, err := Open(t.Context(), file, options)
		verdict{
			is: fs.ErrPermission, code: sqlite.ResultReadOnlyDirectory, step: step,
			says: "this process can't write " + filepath.Dir(file) + ", where SQLite makes the -wal and -shm files: permission denied",
		}.of(t, "Open", err)
	}
	_, err := Open(t.Context(), filepath.Join(filepath.Dir(file), "new.db"), Options{})
	verdict{is: fs.ErrPermission, step: "create"}.of(t, "Open of a new one", err)
	assert.Zero(t, descriptors(t, file))
	undo()
	opens(t, file, 256)
}

// A writer that was opened at the moment when its log could not be written ends with its first use.
func TestFaultAWriterThatCantWriteEnds(t *testing.T) {
	if !elsewhere(t) {
		return
	}
	s := table(t, Options{})
	undo := mode(t, 0o400, s.database.path+"-wal")
	other, err := s.database.connect(t.Context(), s.database.path, Writer, s.file) // past the look at the modes
	require.NoError(t, err)
	endWith(t, other)
	require.Equal(t, sqlite.ResultReadOnly, sqlite.ErrCode(run(other.conn, "BEGIN IMMEDIATE")))
	assert.ErrorContains(t, other.reset(t.Context()), "the writer can't write")
	assert.NoError(t, s.reset(t.Context()), "which is no matter of the others")
	undo()
}

// TestFaultNoDescriptors uses up all descriptors but some: what fails says so, what is open goes on, and nothing is lost of it.
func TestFaultNoDescriptors(t *testing.T) {
	if !elsewhere(t) {
		return
	}
	file := path(t)
	db := faulty(t, file)
	rows := int64(256)
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	failures := 0
	for left := range 5 { // a connection needs one, two or three
		low := limit
		low.Cur = 64
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low))
		var all []int
		for {
			fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
			if err != nil {
				break
			}
			all = append(all, fd)
		}
		for range left {
			require.NoError(t, syscall.Close(all[0]))
			all = all[1:]
		}
		try := func(what string, err error) {
			t.Helper()
			if err != nil {
				failures++
				assert.ErrorIs(t, err, syscall.EMFILE, "%d left: %s", left, what)
				assert.ErrorContains(t, err, "too many open files")
			}
		}
		require.NoError(t, db.Read(t.Context(), countRows), "what is open goes on")
		require.NoError(t, db.Write(t.Context(), addRow))
		rows++
		for _, to := range []string{"new.db", "app.db"} {
			other, err := Open(t.Context(), filepath.Join(filepath.Dir(file), to), Options{AcquireTimeout: -1})
			try("Open", err)
			if err == nil {
				try("Read", other.Read(t.Context(), func(context.Context, *Conn) error { return nil }))
				require.NoError(t, other.Close(context.Background()))
			}
		}
		try("Backup", db.Backup(t.Context(), filepath.Join(t.TempDir(), "copy.db"), nil))
		for _, p := range db.pools() {
			p.Evict()
		}
		free(t, db)
		try("Read", db.Read(t.Context(), countRows))
		free(t, db)
		for _, fd := range all {
			require.NoError(t, syscall.Close(fd))
		}
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
		require.NoError(t, db.Read(t.Context(), countRows), "it heals")
		require.NoError(t, db.Write(t.Context(), addRow))
		rows++
		free(t, db)
	}
	assert.Greater(t, failures, 5)
	sound(t, db, rows)
	require.NoError(t, db.Close(context.Background()))
	opens(t, file, rows)
}

// TestFaultBrokenDisk has every write to the log fail, as on a broken disk: by a limit on the size of files, past which the log is.
func TestFaultBrokenDisk(t *testing.T) {
	if !elsewhere(t) {
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	broken := verdict{code: sqlite.ResultIOErrWrite, says: "its pages in the log can't be overwritten"}
	fault{
		name: "broken disk",
		do: func(t *testing.T, file string) func() {
			var limit syscall.Rlimit
			require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
			low := limit
			low.Cur = 1 << 16
			require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &low))
			return func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)) }
		},
		oldWrite: broken, replaces: true, impatient: true, freshWrites: broken, noOpen: true, // it succeeds, and its Close can't empty the log
	}.befall(t, path(t))
}

// fillUp leaves no room on the disk of a directory.
func fillUp(t *testing.T, directory string) (undo func()) {
	t.Helper()
	ballast := filepath.Join(directory, "ballast")
	file, err := os.Create(ballast)
	require.NoError(t, err)
	for page := make([]byte, 4096); err == nil; {
		_, err = file.Write(page)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, file.Close())
	return func() { require.NoError(t, os.Remove(ballast)) }
}

// TestFaultFullDisk fills the disk under a database: reads go on, and with room so do writes, on the connections that there are.
func TestFaultFullDisk(t *testing.T) {
	full := verdict{code: sqlite.ResultFull, says: "database or disk is full"}
	fault{
		name: "full disk",
		do:   func(t *testing.T, file string) func() { return fillUp(t, filepath.Dir(file)) },

		oldWrite: full, freshWrites: full,
	}.befall(t, filepath.Join(diskOf(t, "4m"), "app.db"))
}

// A checkpoint and a Close on a full disk leave the log as it is, and the next Open takes it up.
func TestFaultFullDiskAtTheEnd(t *testing.T) {
	directory := diskOf(t, "4m")
	file := filepath.Join(directory, "app.db")
	db := faulty(t, file)
	undo := fillUp(t, directory)
	_, err := db.Checkpoint(t.Context())
	verdict{code: sqlite.ResultFull, says: "checkpoint"}.of(t, "Checkpoint", err)
	require.NoError(t, db.Read(t.Context(), countRows))
	require.NoError(t, db.Close(context.Background()))
	assert.FileExists(t, file+"-wal")
	opens(t, file, 256)
	undo()
	opens(t, file, 256)
	assert.NoFileExists(t, file+"-wal")
}

// An Open on a full disk, of a database without a log and of a new one.
func TestFaultFullDiskAtOpen(t *testing.T) {
	directory := diskOf(t, "4m")
	file := filepath.Join(directory, "app.db")
	closed(t, file)
	undo := fillUp(t, directory)
	_, err := Open(t.Context(), file, Options{})
	verdict{code: sqlite.ResultIOErrSHMSize, step: "journal mode", says: "the -shm file can't grow, as on a full disk"}.of(t, "Open", err)
	_, err = Open(t.Context(), filepath.Join(directory, "new.db"), Options{})
	verdict{code: sqlite.ResultFull, step: "journal mode", says: "full"}.of(t, "Open of a new one", err)
	assert.NotContains(t, strings.Join(files(t, file), " "), "new.db")
	assert.NotContains(t, strings.Join(files(t, file), " "), ".headpond")
	undo()
	opens(t, file, 256)
}

// A disk that is mounted read-only.
func TestFaultReadOnlyDisk(t *testing.T) {
	directory := diskOf(t, "4m")
	file := filepath.Join(directory, "app.db")
	closed(t, file)
	remount := func(flags uintptr) {
		require.NoError(t, syscall.Mount("", directory, "", syscall.MS_REMOUNT|flags, ""))
	}
	remount(syscall.MS_RDONLY)
	_, err := Open(t.Context(), file, Options{})
	verdict{is: syscall.EROFS, step: "look", says: "this process can't read and write app.db: read-only file system"}.of(t, "Open", err)
	_, err = Open(t.Context(), file, Options{ReadOnly: true})
	verdict{is: syscall.EROFS, step: "pragmas", code: sqlite.ResultCantOpen, says: "where SQLite makes the -wal and -shm files: read-only file system"}.of(t, "Open", err)
	_, err = Open(t.Context(), filepath.Join(directory, "new.db"), Options{})
	verdict{is: syscall.EROFS, step: "create"}.of(t, "Open of a new one", err)
	remount(0)
	opens(t, file, 256)
}
