package raw

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// open opens a connection to a new file, with all hooks. It ends with the test.
func open(t testing.TB) *Handle {
	t.Helper()
	return attach(t, filepath.Join(t.TempDir(), "app.db"), new(witness))
}

// attach opens a connection to the file, with all hooks. It ends with the test.
func attach(t testing.TB, file string, events Events) *Handle {
	t.Helper()
	require.NoError(t, Supported())
	conn, err := Open(file, sqlite.OpenReadWrite|sqlite.OpenCreate)
	require.NoError(t, err)
	h := New(conn)
	require.NoError(t, h.Attach(events))
	h.SetBusyHandler()
	require.NoError(t, h.Install())
	do(t, conn, "PRAGMA foreign_keys=on")
	t.Cleanup(func() {
		require.NoError(t, h.Uninstall())
		require.NoError(t, Close(conn))
	})
	return &h
}

// do runs a script.
func do(t testing.TB, conn *sqlite.Conn, script string) {
	t.Helper()
	require.NoError(t, run(conn, script))
}

// run runs a script, without the savepoint that sqlitex puts around one.
func run(conn *sqlite.Conn, script string) error {
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

// get returns the first column of the only row.
func get(t testing.TB, conn *sqlite.Conn, sql string) string {
	t.Helper()
	value, err := sqlitex.ResultText(conn.Prep(sql))
	require.NoError(t, err)
	return value
}
