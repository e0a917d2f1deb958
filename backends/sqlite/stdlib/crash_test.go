package stdlib

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headpond/headpond/backends/sqlite"
)

// writeForEver is another process: it writes pairs of rows from 16 goroutines, in transactions and by statements of their own
// that a trigger doubles, and says on its output what it was told of each. It ends at an id, if the environment names one.
func writeForEver(file string) {
	last, err := strconv.ParseInt(os.Getenv("HEADPOND_TEST_LAST"), 10, 64)
	if err != nil {
		last = 1 << 62
	}
	db, err := sql.Open("headpond", file+"?synchronous=full&acquire_timeout=60s&busy_timeout=50ms")
	if err == nil {
		err = db.Ping()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	from, err := strconv.ParseInt(os.Getenv("HEADPOND_TEST_FROM"), 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var next atomic.Int64
	next.Store(from)
	done := make(chan struct{})
	for range 16 {
		go func() {
			defer func() { done <- struct{}{} }()
			for id := next.Add(1); id <= last; id = next.Add(1) {
				word := "done"
				switch err := writePair(db, id); {
				case errors.Is(err, sqlite.ErrOutcomeUnknown):
					word = "unknown"
				case err != nil:
					word = "failed"
				}
				_, _ = os.Stdout.WriteString(fmt.Sprintln(word, id)) // one write: a line is whole
			}
		}()
	}
	for range 16 {
		<-done
	}
	os.Exit(0)
}

// writePair writes the two rows of an id.
func writePair(db *sql.DB, id int64) error {
	if id%3 > 0 {
		_, err := db.Exec("INSERT INTO half (id) VALUES (?)", id)
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var count int
	if err := tx.QueryRow("SELECT count(*) FROM work WHERE id=?", id).Scan(&count); err != nil {
		return err
	}
	for half := range 2 {
		if _, err := tx.Exec("INSERT INTO work (id, half) VALUES (?, ?)", id, half); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// workfile makes a database for the other process.
func workfile(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "app.db")
	db, err := sql.Open("headpond", file)
	require.NoError(t, err)
	do(t, db, `CREATE TABLE work (id INTEGER NOT NULL, half INTEGER NOT NULL, PRIMARY KEY (id, half));
		CREATE TABLE half (id INTEGER PRIMARY KEY);
		CREATE TRIGGER pairs AFTER INSERT ON half BEGIN INSERT INTO work VALUES (new.id, 0); INSERT INTO work VALUES (new.id, 1); END`)
	require.NoError(t, db.Close())
	return file
}

// told runs the other process to its end, and adds to words what it said of each id.
func told(t *testing.T, words map[int64]string, from int64, file string, cmd *exec.Cmd, said func()) error {
	t.Helper()
	cmd.Env = append(cmd.Environ(), "HEADPOND_TEST_CHILD="+file, "HEADPOND_TEST_FROM="+strconv.FormatInt(from, 10))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	for lines := bufio.NewScanner(out); lines.Scan(); said() {
		word, number, _ := strings.Cut(lines.Text(), " ")
		id, err := strconv.ParseInt(number, 10, 64)
		require.NoError(t, err, lines.Text())
		words[id] = word
	}
	return cmd.Wait()
}

// judge asserts that the file has the pairs that were acknowledged, none that failed, and none by half.
func judge(t *testing.T, file string, words map[int64]string) (acknowledged int) {
	t.Helper()
	db, err := sql.Open("headpond", file)
	require.NoError(t, err)
	defer db.Close()
	assert.Equal(t, "ok", value[string](t, db, "PRAGMA integrity_check"))
	assert.Zero(t, value[int](t, db, "SELECT count(*) FROM (SELECT 1 FROM work GROUP BY id HAVING count(*)<>2)"), "half a pair")
	rows, err := db.Query("SELECT DISTINCT id FROM work")
	require.NoError(t, err)
	defer rows.Close()
	there := make(map[int64]bool)
	for rows.Next() {
		var id int64
		require.NoError(t, rows.Scan(&id))
		there[id] = true
	}
	require.NoError(t, rows.Err())
	for id, word := range words {
		switch word {
		case "done":
			acknowledged++
			assert.True(t, there[id], "%d was acknowledged, and is lost", id)
		case "failed":
			assert.False(t, there[id], "%d failed, and is there", id)
		}
	}
	return acknowledged
}

func TestKill(t *testing.T) {
	binary, err := os.Executable()
	require.NoError(t, err)
	file, words := workfile(t), make(map[int64]string)
	for round := range 5 {
		cmd := exec.CommandContext(t.Context(), binary)
		var killer *time.Timer
		err := told(t, words, int64(round)*1_000_000, file, cmd, func() {
			if killer == nil {
				killer = time.AfterFunc(rand.N(50*time.Millisecond), func() { _ = cmd.Process.Kill() })
			}
		})
		require.Error(t, err, "it was killed")
		assert.NotZero(t, judge(t, file, words))
	}
}

// A sync fails now and then: what an Exec or a Commit failed with is not there, what they acknowledged is.
func TestDisk_ASyncThatFails(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("strace is of Linux")
	}
	binary, err := os.Executable()
	require.NoError(t, err)
	if out, err := exec.CommandContext(t.Context(), "strace", "-f", "-e", "inject=fsync:error=EIO", "true").CombinedOutput(); err != nil {
		t.Skipf("strace can't trace here: %v: %s", err, out)
	}
	for _, when := range []string{"3+4", "5..7"} {
		file, words := workfile(t), make(map[int64]string)
		cmd := exec.CommandContext(t.Context(), "strace", "-f", "-qq", "-o", os.DevNull, "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO:when="+when, binary)
		cmd.Env = append(os.Environ(), "HEADPOND_TEST_LAST=120")
		require.NoError(t, told(t, words, 0, file, cmd, func() {}))
		require.Len(t, words, 120)
		acknowledged := judge(t, file, words)
		t.Logf("%s: %d of %d acknowledged", when, acknowledged, len(words))
		assert.NotZero(t, acknowledged)
		assert.Less(t, acknowledged, len(words), "no sync failed")
	}
}
