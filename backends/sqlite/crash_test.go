package sqlite

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

// crashOptions are those of a process that is about to be killed. A work is a pair of rows, and is counted.
var crashOptions = Options{Synchronous: SyncFull, AcquireTimeout: -1, Schema: &sqlitemigration.Schema{Migrations: []string{`
	CREATE TABLE work (at INTEGER PRIMARY KEY, id INTEGER, half INTEGER);
	CREATE TABLE works (n INTEGER);
	INSERT INTO works VALUES (0);
`}}}

// pair is the work of that id.
func pair(id int64) func(ctx context.Context, conn *Conn) error {
	return func(_ context.Context, conn *Conn) error {
		for half := range 2 {
			if err := sqlitex.Execute(conn, "INSERT INTO work (id, half) VALUES (?, ?)", &sqlitex.ExecOptions{Args: []any{id, half}}); err != nil {
				return err
			}
		}
		return sqlitex.Execute(conn, "UPDATE works SET n=n+1", nil)
	}
}

// fatal ends a child if err is not nil.
func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func init() {
	// The arguments are a file, the id after which those of its works begin, and a directory for backups, or nothing.
	children["crash"] = func(args []string) error {
		from, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		ctx := context.Background()
		db, err := Open(ctx, args[0], crashOptions)
		if err != nil {
			return err
		}
		say := func(words ...any) { _, _ = os.Stdout.WriteString(fmt.Sprintln(words...)) } // one write: a line is whole
		var next atomic.Int64
		next.Store(from)
		for i := range 32 {
			call := db.Batch
			if i%8 == 0 {
				call = db.Write
			}
			go func() {
				for {
					id := next.Add(1)
					fatal(call(ctx, pair(id)))
					say("work", id)
				}
			}()
		}
		if args[2] != "" {
			go func() {
				for {
					_, err := db.Checkpoint(ctx)
					fatal(err)
				}
			}()
			go func() {
				for i := 0; ; i++ {
					name := fmt.Sprint(from, "-", i, ".db")
					say("begin", name)
					fatal(db.Backup(ctx, filepath.Join(args[2], name), nil))
					say("done", name)
				}
			}()
		}
		select {}
	}
}

// crash is a database whose process is killed again and again.
type crash struct {
	file    string
	backups string         // a directory of their own
	acked   map[int64]bool // works
	begun   map[string]int // backups, and how many works had been acknowledged before; those of an earlier process are not in it
	order   []int64        // acked, as it came
	done    map[string]bool

	complete, absent, early, leftovers int
}

// kill starts a process and kills it at some moment: early, before it says anything, most likely,
// or within 50 ms from when it has said that a call was acknowledged, or with backups, that one begins.
func (c *crash) kill(t *testing.T, from int64, backups, early bool) {
	directory, sign := "", "work"
	if backups {
		directory, sign = c.backups, "begin"
	}
	cmd := child(t, "crash", c.file, strconv.FormatInt(from, 10), directory)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	require.NoError(t, cmd.Start())
	killIn := func(most time.Duration) { time.AfterFunc(rand.N(most), func() { _ = cmd.Process.Kill() }) }
	if early {
		killIn(40 * time.Millisecond)
	}
	silent, doomed := true, early
	for lines := bufio.NewScanner(out); lines.Scan(); silent = false {
		what, name, _ := strings.Cut(lines.Text(), " ")
		if what == sign && !doomed {
			killIn(50 * time.Millisecond)
			doomed = true
		}
		switch what {
		case "work":
			id, err := strconv.ParseInt(name, 10, 64)
			require.NoError(t, err)
			c.acked[id] = true
			c.order = append(c.order, id)
		case "begin":
			c.begun[name] = len(c.order)
		case "done":
			c.done[name] = true
		}
	}
	require.Error(t, cmd.Wait(), "it was killed")
	require.Empty(t, complaints.String(), "and nothing else had ended it")
	if silent {
		c.early++
	}
}

// audit opens the database after a kill, and looks at it and at the backups.
func (c *crash) audit(t *testing.T) {
	options := crashOptions
	options.OnFinding = func(_ context.Context, finding Finding) { assert.Fail(t, finding.String()) }
	db, err := Open(t.Context(), c.file, options)
	require.NoError(t, err)
	there := audited(t, db)
	for id := range c.acked {
		if there[id] == 0 {
			t.Fatalf("work %d was acknowledged, and is lost", id)
		}
	}
	for name, before := range c.begun {
		copied := filepath.Join(c.backups, name)
		if _, err := os.Stat(copied); errors.Is(err, fs.ErrNotExist) {
			assert.False(t, c.done[name], "%s was acknowledged", name)
			c.absent++
			continue
		}
		c.complete++
		backup, err := Open(t.Context(), copied, Options{})
		require.NoError(t, err)
		part := audited(t, backup)
		require.NoError(t, backup.Close(t.Context()))
		for id, at := range part {
			if there[id] != at {
				t.Fatalf("work %d is at %d in %s, and at %d in the database", id, at, name, there[id])
			}
		}
		for _, id := range c.order[:before] {
			if part[id] == 0 {
				t.Fatalf("%s was begun after work %d was acknowledged, which it has not", name, id)
			}
		}
		require.NoError(t, os.Remove(copied))
	}
	clear(c.begun)
	require.NoError(t, db.Close(context.Background()))

	for _, directory := range []string{filepath.Dir(c.file), c.backups} {
		entries, err := os.ReadDir(directory)
		require.NoError(t, err)
		for _, entry := range entries {
			if entry.Name() != filepath.Base(c.file) {
				require.True(t, strings.HasPrefix(entry.Name(), ".headpond-"), "%s is left", entry.Name())
				require.NoError(t, os.Remove(filepath.Join(directory, entry.Name())))
				c.leftovers++
			}
		}
	}
}

// audited asserts that a database is whole, without gaps and without half a call, and returns where the first row of each call is.
func audited(t *testing.T, db *DB) (found map[int64]int64) {
	t.Helper()
	found = map[int64]int64{}
	require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		require.Equal(t, "ok", get(t, conn, "PRAGMA integrity_check"))
		works := get(t, conn, "SELECT n FROM works")
		rows := 0
		err := sqlitex.Execute(conn, "SELECT at, id, half FROM work ORDER BY at", &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
			at, id, half := stmt.ColumnInt64(0), stmt.ColumnInt64(1), stmt.ColumnInt(2)
			if rows++; at != int64(rows) || half != (rows-1)%2 || half == 1 && found[id] != at-1 {
				return fmt.Errorf("half a call, or a gap: row %d is half %d of work %d, at %d", rows, half, id, at)
			}
			if half == 0 {
				found[id] = at
			}
			return nil
		}})
		if err != nil {
			return err
		}
		require.Equal(t, strconv.Itoa(len(found)), works)
		require.Equal(t, 2*len(found), rows, "none is there twice")
		return nil
	}))
	return found
}

// TestKill kills a process that writes with Write and Batch, in half of the runs under a Checkpoint and a Backup, at random moments.
// The next Open succeeds and finds nothing wrong: every work that was acknowledged, none by half, and of the backups
// those that were acknowledged; one that is there is complete, and the database as it was at a moment after it began.
func TestKill(t *testing.T) {
	kills, each := 10, 10 // of each database
	if *long {
		kills, each = 500, 20
	}
	began := time.Now()
	var total crash
	var c *crash
	var acknowledged int
	for round := range kills {
		if round%each == 0 {
			c = &crash{file: path(t), backups: t.TempDir(), acked: map[int64]bool{}, begun: map[string]int{}, done: map[string]bool{}}
		}
		was := len(c.acked)
		c.kill(t, int64(round)*1_000_000, round%2 == 1, round%5 == 3) // 3 and 8 of each 10: one with backups, one without
		acknowledged += len(c.acked) - was
		c.audit(t)
		if round%each == each-1 {
			total.complete += c.complete
			total.absent += c.absent
			total.early += c.early
			total.leftovers += c.leftovers
			require.NoError(t, os.Remove(c.file))
		}
	}
	t.Logf("%d kills, %d of them before the first word; %d calls acknowledged; %d backups complete, %d absent; %d temporary files left; %.0f s",
		kills, total.early, acknowledged, total.complete, total.absent, total.leftovers, time.Since(began).Seconds())
	assert.NotZero(t, acknowledged)
	assert.NotZero(t, total.complete+total.absent)
}
