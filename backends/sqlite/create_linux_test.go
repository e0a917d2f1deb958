package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

func init() {
	// The arguments are those of a file and of its backup.
	children["create"] = func(args []string) error {
		ctx := context.Background()
		db, err := Open(ctx, args[0], crashOptions)
		if err != nil {
			return err
		}
		if err := db.Write(ctx, pair(1)); err != nil {
			return err
		}
		if err := db.Backup(ctx, args[1], nil); err != nil {
			return err
		}
		return db.Close(ctx)
	}
}

// traced runs the child "create" and returns its system calls that name files or sync them, in order,
// with the paths of descriptors, and what the child said. More are options of strace.
func traced(t *testing.T, file, copied string, more ...string) (calls []string, said string) {
	t.Helper()
	return tracedChild(t, child(t, "create", file, copied), more...)
}

// tracedChild is traced, for any child.
func tracedChild(t *testing.T, inner *exec.Cmd, more ...string) (calls []string, said string) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace, which shows system calls, is not installed")
	}
	trace := filepath.Join(t.TempDir(), "trace")
	args := append([]string{"-f", "-y", "-qq", "-s", "0", "-o", trace, "-e", "trace=?open,?link,linkat,?rename,renameat,?renameat2,openat,fsync,fdatasync"}, more...)
	cmd := exec.CommandContext(t.Context(), strace, append(append(args, inner.Path), inner.Args[1:]...)...)
	cmd.Env = inner.Env
	out, runErr := cmd.CombinedOutput()
	lines, err := os.ReadFile(trace)
	if err != nil || len(lines) == 0 {
		t.Skipf("strace can't trace here: %v: %.300s", runErr, out)
	}
	return strings.Split(string(lines), "\n"), string(out)
}

// position is that of the first call that has all of the parts, after that of index after.
func position(t *testing.T, calls []string, after int, parts ...string) int {
	t.Helper()
next:
	for i := after + 1; i < len(calls); i++ {
		for _, part := range parts {
			if !strings.Contains(calls[i], part) {
				continue next
			}
		}
		return i
	}
	require.Fail(t, "no such call", "%q after %d in\n%s", parts, after, strings.Join(calls, "\n"))
	return -1
}

// TestCreationOutlivesALossOfPower looks at the order of system calls: a new file is synced before it gets its name,
// and the directory after that, before anything is synced in the log; so is a backup's.
func TestCreationOutlivesALossOfPower(t *testing.T) {
	for name, test := range map[string]struct {
		link    bool // the path is that of a symbolic link that leads to another directory
		noLinks bool // hard links fail, as on some file systems
	}{
		"by a hard link":          {},
		"through a link":          {link: true},
		"without links":           {noLinks: true},
		"without, through a link": {noLinks: true, link: true},
	} {
		t.Run(name, func(t *testing.T) {
			at, copied := path(t), filepath.Join(t.TempDir(), "copy.db")
			file := at
			if test.link {
				file = filepath.Join(t.TempDir(), "target.db")
				require.NoError(t, os.Symlink(file, at))
			}
			var more []string
			if test.noLinks {
				more = []string{"-e", "inject=linkat:error=EPERM"}
			}
			calls, said := traced(t, at, copied, more...)
			require.Empty(t, said)

			directory := "<" + filepath.Dir(file) + ">"
			first := position(t, calls, -1, "linkat(", file)
			if test.noLinks {
				first = position(t, calls, first, "openat(", file+`"`, "O_CREAT|O_EXCL")
			} else {
				synced := position(t, calls, -1, "sync(", ".headpond-")
				assert.Less(t, synced, first, "the file before its name")
			}
			named := position(t, calls, first, "fsync(", directory)
			logged := position(t, calls, -1, "sync(", file+"-wal>")
			assert.Less(t, named, logged, "its name before the log")

			copiedTo := "linkat("
			if test.noLinks {
				copiedTo = "rename"
			}
			published := position(t, calls, logged, copiedTo, copied)
			synced := position(t, calls, logged, "fsync(", filepath.Dir(copied)+"/.headpond-")
			assert.Less(t, synced, published)
			position(t, calls, published, "fsync(", "<"+filepath.Dir(copied)+">")
		})
	}
}

// A writer makes the name of a file last before it commits: what made the file may have been killed before it did so.
func TestTheNameLastsBeforeAWriterCommits(t *testing.T) {
	file := path(t)
	db, err := Open(t.Context(), file, crashOptions)
	require.NoError(t, err)
	require.NoError(t, db.Close(context.Background()))
	calls, said := traced(t, file, filepath.Join(t.TempDir(), "copy.db"))
	require.Empty(t, said)
	logged := position(t, calls, -1, "sync(", file+"-wal>")
	named := position(t, calls, -1, "fsync(", "<"+filepath.Dir(file)+">")
	assert.Less(t, named, logged)
}

// A disk that fails in one of the syncs of a creation, or from one of them on: a file that was not synced gets no name,
// nothing is left of it, and the error says so.
// If SQLite synced in a second attempt, or passed over a directory, the file is complete.
func TestCreationOnADiskThatFails(t *testing.T) {
	for name, when := range map[string]string{"once": "", "from then on": "+"} {
		t.Run(name, func(t *testing.T) {
			failed := 0
			for n := 1; ; n++ {
				require.Less(t, n, 100)
				file := path(t)
				calls, said := traced(t, file, filepath.Join(t.TempDir(), "copy.db"), "-e", fmt.Sprintf("inject=fsync,fdatasync:error=EIO:when=%d%s", n, when))
				at := slices.IndexFunc(calls, func(call string) bool { return strings.Contains(call, "INJECTED") })
				if at < 0 || strings.Contains(calls[at], "/app.db") { // the file is there
					break
				}
				injected := calls[at]
				opened := !strings.Contains(said, "open "+file+" as writer: ") // strace counts the calls of each thread: another may fail later
				if !opened {
					failed++
					assert.Regexp(t, "input/output error|disk I/O error|as on a disk that fails", said, injected)
				}
				if !strings.Contains(strings.Join(calls, "\n"), "linkat(") {
					assert.False(t, opened, injected)
					assert.Empty(t, files(t, file), injected)
					continue
				}
				require.FileExists(t, file, injected)
				made := construct(t, file, Reader, Options{})
				assert.Equal(t, "ok", get(t, made.conn, "PRAGMA integrity_check"), injected)
				assert.Equal(t, "1", get(t, made.conn, "PRAGMA user_version"), injected)
			}
			assert.GreaterOrEqual(t, failed, 3)
		})
	}
}

// A backup whose directory can't be synced, so that its name may not last, is an error, and is not there.
func TestBackupWhoseDirectoryFails(t *testing.T) {
	copied := filepath.Join(t.TempDir(), "copy.db")
	calls, said := traced(t, path(t), copied, "-P", filepath.Dir(copied), "-e", "inject=fsync:error=EIO")
	require.Contains(t, strings.Join(calls, "\n"), "INJECTED")
	assert.Contains(t, said, "backup to "+copied)
	assert.Contains(t, said, "input/output error")
	assert.Empty(t, files(t, copied))
}

func init() {
	// The argument is a file that is there: it is opened, read and closed.
	children["look"] = func(args []string) error {
		ctx := context.Background()
		db, err := Open(ctx, args[0], crashOptions)
		if err != nil {
			return err
		}
		err = db.Read(ctx, func(_ context.Context, conn *Conn) error { return run(conn, "SELECT * FROM sqlite_schema") })
		return errors.Join(err, db.Close(ctx))
	}
}

// A process that only reads waits for no disk: of many databases most are only read.
func TestReadingSyncsNothing(t *testing.T) {
	file := path(t)
	db, err := Open(t.Context(), file, crashOptions)
	require.NoError(t, err)
	require.NoError(t, db.Close(context.Background()))
	calls, said := tracedChild(t, child(t, "look", file))
	require.Empty(t, said)
	position(t, calls, -1, "open", file)
	assert.NotContains(t, strings.Join(calls, "\n"), "sync(")
}

// A commit whose directory can't be synced is refused, whatever way it comes.
func TestNothingIsCommittedBeforeTheNameLasts(t *testing.T) {
	file := path(t)
	db, err := Open(t.Context(), file, Options{})
	require.NoError(t, err)
	require.NoError(t, db.Close(context.Background()))
	db, err = Open(t.Context(), file, Options{})
	require.NoError(t, err)
	defer func() { assert.NoError(t, db.Close(context.Background())) }()
	lease, err := db.Writer().Acquire(t.Context())
	require.NoError(t, err)
	c, _ := connectionOf(lease.Value())
	require.True(t, c.nameMayGo)
	there := c.database.path
	c.database.path = filepath.Join(filepath.Dir(file), "gone", "app.db")
	require.Equal(t, sqlite.ResultConstraintCommitHook, sqlite.ErrCode(run(lease.Value(), "CREATE TABLE t (x)")))
	lease.Release()
	for name, call := range map[string]func(context.Context, func(context.Context, *Conn) error) error{"Write": db.Write, "Batch": db.Batch} {
		err = call(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "CREATE TABLE t (x)") })
		require.ErrorContains(t, err, "sync the directory, so that the name of the file lasts", name)
	}
	c.database.path = there
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "CREATE TABLE t (x)") }))
	assert.False(t, c.nameMayGo)
}
