package sqlite

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

// What fails in these tests fails in another process, one that strace runs: it makes system calls return EIO without having done
// anything, or kills the process at one. The process says on its output what it was told of each row, in these words.
const (
	toldDone    = "done"    // a call returned nil
	toldFailed  = "failed"  // a call returned an error
	toldUnknown = "unknown" // a call returned ErrOutcomeUnknown
)

// diskCalls are the system calls that write, by which strace knows them. SQLite is built with or without fdatasync.
const diskCalls = "fsync,fdatasync,pwrite64,ftruncate"

func init() {
	// disk FILE SYNCHRONOUS WAY ROWS: write rows, in a way, and close.
	children["disk"] = func(args []string) error {
		runtime.LockOSThread() // strace counts the calls of each thread by itself
		defer runtime.UnlockOSThread()
		rows, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		synchronous := SyncNormal
		if args[1] == "full" {
			synchronous = SyncFull
		}
		var output sync.Mutex
		say := func(row int, err error) {
			word := toldDone
			switch {
			case errors.Is(err, ErrOutcomeUnknown):
				word = toldUnknown
			case err != nil:
				word = toldFailed
			}
			output.Lock()
			defer output.Unlock()
			fmt.Println(word, row, err)
		}
		ctx := context.Background()
		if args[2] == "pool" {
			return diskPool(ctx, args[0], synchronous, rows, say)
		}
		if args[2] == "open" {
			return diskOpen(ctx, args[0], synchronous)
		}
		db, err := Open(ctx, args[0], Options{Synchronous: synchronous, BusyTimeout: 50 * time.Millisecond, AcquireTimeout: time.Minute})
		if err != nil {
			return err
		}
		put := func(row int) func(context.Context, *Conn) error {
			return func(_ context.Context, conn *Conn) error {
				return sqlitex.Execute(conn, "INSERT INTO work (id, filler) VALUES (?, zeroblob(3000))", &sqlitex.ExecOptions{Args: []any{row}})
			}
		}
		switch args[2] {
		case "write":
			for row := range rows {
				say(row, db.Write(ctx, put(row)))
			}
		case "batch": // alone
			for row := range rows {
				say(row, db.Batch(ctx, put(row)))
			}
		case "batches":
			var all sync.WaitGroup
			for worker := range 8 {
				all.Go(func() {
					for row := worker; row < rows; row += 8 {
						say(row, db.Batch(ctx, put(row)))
					}
				})
			}
			all.Wait()
		case "checkpoint":
			for row := range rows {
				say(row, db.Write(ctx, put(row)))
				if row%3 == 0 {
					_, err := db.Checkpoint(ctx)
					fmt.Println("checkpoint", err)
				}
			}
		case "backup":
			for row := range rows {
				say(row, db.Write(ctx, put(row)))
				if row%4 == 0 {
					fmt.Println("backup", db.Backup(ctx, fmt.Sprintf("%s.backup.%d", args[0], row), nil))
				}
			}
		case "borrow":
			for row := range rows {
				say(row, db.Writer().Do(ctx, func(ctx context.Context, conn *Conn) error { return put(row)(ctx, conn) }))
			}
		}
		closing, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		fmt.Println("close", db.Close(closing))
		return nil
	}
}

// diskPool writes with a Pool, from one goroutine.
func diskPool(ctx context.Context, file string, synchronous Synchronous, rows int, say func(int, error)) error {
	p, err := NewPool(file, Options{Synchronous: synchronous, BusyTimeout: 50 * time.Millisecond})
	if err != nil {
		return err
	}
	write := func(row int) (err error) {
		conn, err := p.Take(ctx)
		if err != nil {
			return err
		}
		defer p.Put(conn)
		defer sqlitex.Transaction(conn)(&err)
		return sqlitex.Execute(conn, "INSERT INTO work (id, filler) VALUES (?, zeroblob(3000))", &sqlitex.ExecOptions{Args: []any{row}})
	}
	for row := range rows {
		say(row, write(row))
	}
	closing, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	fmt.Println("close", p.CloseContext(closing))
	return nil
}

// diskSchema is what the child migrates to.
var diskSchema = sqlitemigration.Schema{Migrations: []string{
	"CREATE TABLE work (id INTEGER, filler BLOB)", "INSERT INTO work (id) VALUES (0)", "INSERT INTO work (id) VALUES (1)",
}}

// diskOpen opens a database whose schema is not up to date, or that is not there yet.
func diskOpen(ctx context.Context, file string, synchronous Synchronous) error {
	db, err := Open(ctx, file, Options{Synchronous: synchronous, BusyTimeout: 50 * time.Millisecond, Schema: &diskSchema})
	word := toldDone
	switch {
	case errors.Is(err, ErrOutcomeUnknown):
		word = toldUnknown
	case err != nil:
		word = toldFailed
	}
	fmt.Println("open", word, err)
	if err != nil {
		return nil
	}
	closing, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	fmt.Println("close", db.Close(closing))
	return nil
}

// diskRun is one run of a child under strace.
type diskRun struct {
	file        string
	synchronous string // full or normal
	way         string // of the child
	rows        int
	inject      []string // as strace's option has it, such as fsync:error=EIO:when=3
	killed      bool     // it may be killed

	told  map[int]string
	other []string // lines
	trace string   // file
}

func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	if output, err := exec.CommandContext(t.Context(), "strace", "-f", "-e", "inject=fsync:error=EIO", "true").CombinedOutput(); err != nil {
		t.Skipf("strace can't trace here: %v: %s", err, output)
	}
}

// worktable makes a database for the child.
func worktable(t *testing.T, file string) {
	t.Helper()
	db, err := Open(t.Context(), file, Options{})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return run(conn, "CREATE TABLE work (id INTEGER, filler BLOB)")
	}))
	require.NoError(t, db.Close(context.Background()))
}

// run runs the child.
func (r *diskRun) run(t *testing.T) {
	t.Helper()
	r.trace = filepath.Join(t.TempDir(), "trace")
	args := []string{"-f", "-qq", "-o", r.trace, "-e", "trace=" + diskCalls + ",write,unlink,unlinkat"}
	for _, inject := range r.inject {
		args = append(args, "-e", "inject="+inject)
	}
	binary, err := os.Executable()
	require.NoError(t, err)
	args = append(args, binary, r.file, r.synchronous, r.way, strconv.Itoa(r.rows))
	cmd := exec.CommandContext(t.Context(), "strace", args...)
	cmd.Env = append(os.Environ(), "HEADPOND_TEST_CHILD=disk")
	var output, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &failure
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		require.True(t, r.killed, "killed: %s", failure.String())
	} else if err != nil {
		require.Contains(t, failure.String(), "headpond/sqlite: open", "%v", err) // the child's own failure to open
		require.NotContains(t, failure.String(), "panic")
	}
	r.told = make(map[int]string)
	for lines := bufio.NewScanner(&output); lines.Scan(); {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		number, why, _ := strings.Cut(rest, " ")
		row, err := strconv.Atoi(number)
		if err != nil {
			r.other = append(r.other, lines.Text())
			continue
		}
		r.told[row] = word
		if word != toldDone {
			r.other = append(r.other, word+" "+why)
		}
	}
}

// judge opens what the child left, and compares it with what it told.
func (r *diskRun) judge(t *testing.T) (failed, unknown int) {
	t.Helper()
	db, err := Open(t.Context(), r.file, Options{Readers: 1})
	require.NoError(t, err, "%+v", r)
	found := make(map[int]int)
	require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		assert.Equal(t, "ok", get(t, conn, "PRAGMA integrity_check"))
		return sqlitex.Execute(conn, "SELECT id, count(*) FROM work GROUP BY id", &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			found[stmt.ColumnInt(0)] = stmt.ColumnInt(1)
			return nil
		}})
	}))
	require.NoError(t, db.Close(context.Background()))
	for row := range r.rows {
		count := found[row]
		switch r.told[row] {
		case toldDone:
			assert.Equal(t, 1, count, "row %d was acknowledged: %+v", row, r)
		case toldFailed:
			failed++
			assert.Zero(t, count, "row %d had failed: %+v", row, r)
		case toldUnknown:
			unknown++
			fallthrough
		default:
			assert.LessOrEqual(t, count, 1, "row %d: %+v", row, r)
		}
	}
	return failed, unknown
}
