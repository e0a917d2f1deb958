package sqlite

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

var long = flag.Bool("long", false, "run the long versions of tests")

// children are what the test binary does as another process: see child.
var children = map[string]func(args []string) error{}

// TestMain runs the tests, or if the environment asks for it, one of the children.
func TestMain(m *testing.M) {
	name := os.Getenv("HEADPOND_TEST_CHILD")
	if name == "" {
		os.Exit(m.Run())
	}
	if err := children[name](os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child is the command that runs a child in another process.
func child(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), "HEADPOND_TEST_CHILD="+name)
	return cmd
}

// path is one of a database file that does not exist yet.
func path(t testing.TB) string { return filepath.Join(directory(t), "app.db") }

// construct makes a connection that ends with the test.
func construct(t testing.TB, file string, mode Mode, options Options) *connection {
	t.Helper()
	s, err := newDatabase(file, options).open(t.Context(), mode)
	require.NoError(t, err)
	endWith(t, s)
	return s
}

// sibling makes another connection to the database of s.
func sibling(t testing.TB, s *connection, mode Mode) *connection {
	t.Helper()
	other, err := s.database.open(t.Context(), mode)
	require.NoError(t, err)
	endWith(t, other)
	return other
}

func endWith(t testing.TB, s *connection) {
	t.Cleanup(func() {
		if _, open := connectionOf(s.conn); open {
			require.NoError(t, s.close(context.Background()))
		}
	})
}

// do runs a script.
func do(t testing.TB, conn *Conn, script string) {
	t.Helper()
	require.NoError(t, run(conn, script))
}

// get returns the first column of the first row.
func get(t testing.TB, conn *Conn, sql string) string {
	t.Helper()
	value, err := first(conn, sql)
	require.NoError(t, err)
	return value
}

func first(conn *Conn, sql string) (value string, err error) {
	err = sqlitex.ExecuteTransient(conn, sql, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
		if value == "" {
			value = stmt.ColumnText(0)
		}
		return nil
	}})
	return value, err
}

// files are the names in the directory of file.
func files(t testing.TB, file string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// descriptors is how many descriptors of this process are open on file, its -wal and -shm; 0 if the system does not show them.
func descriptors(t testing.TB, file string) (count int) {
	t.Helper()
	if !descriptorsShow {
		return 0
	}
	file = resolved(file) // as /proc has it
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, entry := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.HasPrefix(target, file) {
			count++
		}
	}
	return count
}

// run runs a script, without the savepoint that sqlitex puts around one.
func run(conn *Conn, script string) error {
	for script = strings.TrimSpace(script); script != ""; {
		stmt, rest, err := conn.PrepareTransient(script)
		if err != nil {
			return err
		}
		for more := true; more && err == nil; {
			more, err = stmt.Step()
		}
		_ = stmt.Finalize()
		if err != nil {
			return err
		}
		script = strings.TrimSpace(script[len(script)-rest:])
	}
	return nil
}
