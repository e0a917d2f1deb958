package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// otherSQLite is another SQLite in a process of its own: the sqlite3 program, or Python's module.
// Its methods are called by one goroutine; kill may be called by any.
type otherSQLite struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Scanner
	asked int
	dead  context.Context // ends with kill
	kill  func()          // ends the process as SIGKILL does: it does not close the database
}

// python does what the sqlite3 program does with the lines that it is given here.
const python = `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
for line in sys.stdin:
    if line.startswith(".print "):
        print(line[7:].strip(), flush=True)
        continue
    try:
        for row in db.execute(line.strip()):
            print("|".join(map(str, row)))
    except sqlite3.Error as error:
        print("Error:", error)
`

// startOther opens the file with another SQLite. If there is none, it skips the test.
func startOther(t *testing.T, file string) *otherSQLite {
	t.Helper()
	var cmd *exec.Cmd
	if program, err := exec.LookPath("sqlite3"); err == nil {
		cmd = exec.CommandContext(t.Context(), program, "-batch", "-cmd", ".timeout 10000", file)
	} else if program, err := exec.LookPath("python3"); err == nil && exec.Command(program, "-c", "import sqlite3").Run() == nil {
		cmd = exec.CommandContext(t.Context(), program, "-c", python, file)
	} else {
		t.Skip("there is no other SQLite here: neither sqlite3 nor python3 with its module")
	}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	read, write, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = write, write
	require.NoError(t, cmd.Start())
	require.NoError(t, write.Close())
	o := &otherSQLite{cmd: cmd, in: in, out: bufio.NewScanner(read)}
	dead, cancel := context.WithCancel(context.Background())
	o.dead, o.kill = dead, func() {
		_ = cmd.Process.Kill()
		cancel()
	}
	// A version before 3.51.3 can break a log that it checkpoints while another process writes: this one leaves that to others.
	_, err = o.run("PRAGMA wal_autocheckpoint=0;")
	require.NoError(t, err)
	return o
}

// errKilled says that the process ended before it answered.
var errKilled = errors.New("killed")

var otherError = regexp.MustCompile(`^(Runtime error|Parse error|Error)\b`)

// run runs one statement, in one line, and returns its rows.
func (o *otherSQLite) run(sql string) (rows []string, err error) {
	o.asked++
	end := fmt.Sprint("end of ", o.asked)
	if _, err := fmt.Fprintf(o.in, "%s\n.print %s\n", sql, end); err != nil {
		return nil, errKilled
	}
	for o.out.Scan() {
		switch line := o.out.Text(); {
		case line == end:
			return rows, err
		case otherError.MatchString(line):
			err = fmt.Errorf("%s: %s", sql, line)
		default:
			rows = append(rows, line)
		}
	}
	return nil, errKilled
}

// transact runs statements in a transaction that writes, and calls inside, which may be nil, before the COMMIT.
func (o *otherSQLite) transact(inside func(), statements ...string) error {
	if _, err := o.run("BEGIN IMMEDIATE;"); err != nil {
		return err
	}
	if inside != nil {
		inside()
	}
	for _, sql := range append(statements, "COMMIT;") {
		if _, err := o.run(sql); err != nil {
			_, _ = o.run("ROLLBACK;")
			return err
		}
	}
	return nil
}

func (o *otherSQLite) locked(err error) bool {
	return strings.Contains(err.Error(), "database is locked")
}

// pause sleeps for that long, or until kill.
func (o *otherSQLite) pause(long time.Duration) {
	select {
	case <-time.After(long):
	case <-o.dead.Done():
	}
}

// wait is called when kill was.
func (o *otherSQLite) wait() {
	for o.out.Scan() {
	}
	_ = o.cmd.Wait()
	_ = o.in.Close()
}
