package sqlite

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func init() {
	// The arguments are a file and how many works 64 goroutines write to it.
	children["batch"] = func(args []string) error {
		most, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		ctx := context.Background()
		db, err := Open(ctx, args[0], crashOptions)
		if err != nil {
			return err
		}
		var next atomic.Int64
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				for id := next.Add(1); id <= most; id = next.Add(1) {
					fatal(db.Batch(ctx, pair(id)))
				}
			})
		}
		all.Wait()
		fmt.Fprintln(os.Stderr, "batches:", db.Stats().Batch.Batches, "works:", db.Stats().Batch.Calls)
		return db.Close(ctx)
	}
}

// TestBatchSyncsOncePerBatch counts the syncs of a process that writes 2,000 works with synchronous=FULL.
func TestBatchSyncsOncePerBatch(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace, which counts system calls, is not installed")
	}
	const works = 2000
	inner := child(t, "batch", path(t), strconv.Itoa(works))
	cmd := exec.CommandContext(t.Context(), strace, append([]string{"-f", "-c", "-e", "trace=fdatasync,fsync", inner.Path}, inner.Args[1:]...)...)
	cmd.Env = inner.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Skipf("strace can't trace here: %v: %.300s", err, out)
	}
	sum := func(pattern string) (sum int) {
		for _, found := range regexp.MustCompile(pattern).FindAllSubmatch(out, -1) {
			n, err := strconv.Atoi(string(found[1]))
			require.NoError(t, err)
			sum += n
		}
		require.NotZero(t, sum, "%s", out)
		return sum
	}
	batches := sum(`batches: (\d+)`)
	syncs := sum(`(?m)^ *\S+ +\S+ +\S+ +(\d+) .*\bf(?:data)?sync$`) // % time, seconds, usecs/call, calls, errors, syscall
	t.Logf("%d calls, %d batches, %d syncs", works, batches, syncs)
	assert.GreaterOrEqual(t, syncs, batches, "every batch is synced before it is acknowledged")
	assert.Less(t, syncs, works/2, "and far fewer than works are")
}
