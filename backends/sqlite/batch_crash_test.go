package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

func init() {
	children["batch"] = batchUntilKilled
}

// batchUntilKilled writes pairs of rows from 64 goroutines to the database that its first argument names,
// from the id on that its second one is, and says each id when it is acknowledged. With a third it ends after so many.
func batchUntilKilled(args []string) error {
	from, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	most := int64(1 << 40)
	if len(args) > 2 {
		if most, err = strconv.ParseInt(args[2], 10, 64); err != nil {
			return err
		}
	}
	ctx := context.Background()
	db, err := Open(ctx, args[0], Options{Synchronous: SyncFull, AcquireTimeout: -1})
	if err != nil {
		return err
	}
	if err := db.Write(ctx, func(_ context.Context, conn *Conn) error {
		return sqlitex.ExecuteScript(conn, "CREATE TABLE IF NOT EXISTS work (id INTEGER, half INTEGER)", nil)
	}); err != nil {
		return err
	}
	var next atomic.Int64
	next.Store(from)
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for id := next.Add(1); id <= from+most && err == nil; id = next.Add(1) {
				failed := db.Batch(ctx, func(_ context.Context, conn *Conn) error {
					for half := range 2 {
						if err := sqlitex.Execute(conn, "INSERT INTO work VALUES (?, ?)", &sqlitex.ExecOptions{Args: []any{id, half}}); err != nil {
							return err
						}
					}
					return nil
				})
				if failed != nil {
					fmt.Fprintln(os.Stderr, failed)
					os.Exit(1)
				}
				_, _ = os.Stdout.WriteString(strconv.FormatInt(id, 10) + "\n") // one write: a line is whole
			}
		})
	}
	all.Wait()
	fmt.Fprintln(os.Stderr, "batches:", db.Stats().Batch.Batches, "works:", db.Stats().Batch.Works)
	return db.Close(ctx)
}

// TestBatchSurvivesKill kills a process that writes, again and again, at random moments:
// what was acknowledged is there, nothing is there by half, and the next Open succeeds.
func TestBatchSurvivesKill(t *testing.T) {
	rounds := 8
	if *long {
		rounds = 200
	}
	file := path(t)
	acknowledged := map[int64]bool{}
	for round := range rounds {
		cmd := child(t, "batch", file, strconv.Itoa(round*1_000_000))
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for first := true; lines.Scan(); first = false {
			id, err := strconv.ParseInt(lines.Text(), 10, 64)
			require.NoError(t, err)
			acknowledged[id] = true
			if first {
				time.AfterFunc(time.Duration(rand.IntN(50_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
			}
		}
		require.Error(t, cmd.Wait(), "it was killed")
	}
	db, err := Open(t.Context(), file, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	halves := map[int64]int{}
	require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		verdict, err := sqlitex.ResultText(conn.Prep("PRAGMA integrity_check"))
		require.NoError(t, err)
		assert.Equal(t, "ok", verdict)
		stmt := conn.Prep("SELECT id FROM work")
		for {
			row, err := stmt.Step()
			if err != nil || !row {
				return err
			}
			halves[stmt.ColumnInt64(0)]++
		}
	}))
	for id := range acknowledged {
		assert.Equal(t, 2, halves[id], "work %d was acknowledged", id)
	}
	for id, n := range halves {
		assert.Equal(t, 2, n, "work %d is there by half", id)
	}
	t.Logf("%d kills, %d works acknowledged, %d there", rounds, len(acknowledged), len(halves))
	assert.NotEmpty(t, acknowledged)
}

// TestBatchSyncsOncePerBatch counts the syncs of a process that writes 2,000 works with synchronous=FULL.
func TestBatchSyncsOncePerBatch(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace, which counts system calls, is not installed")
	}
	const works = 2000
	inner := child(t, "batch", path(t), "0", strconv.Itoa(works))
	cmd := exec.CommandContext(t.Context(), strace, append([]string{"-f", "-c", "-e", "trace=fdatasync,fsync", inner.Path}, inner.Args[1:]...)...)
	cmd.Env = inner.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Skipf("strace can't trace here: %v: %.300s", err, out)
	}
	number := func(pattern string) int {
		found := regexp.MustCompile(pattern).FindSubmatch(out)
		require.NotNil(t, found, "%s", out)
		n, err := strconv.Atoi(string(found[1]))
		require.NoError(t, err)
		return n
	}
	batches, syncs := number(`batches: (\d+)`), number(`(?m)^ *100.00 +\S+ +\S+ +(\d+) .*total`)
	t.Logf("%d works, %d batches, %d syncs", works, batches, syncs)
	assert.GreaterOrEqual(t, syncs, batches, "every batch is synced before it is acknowledged")
	assert.Less(t, syncs, works/2, "and far fewer than works are")
}
