package sqlite

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

// filling is how a process fills a database.
type filling struct {
	File       string
	Limit      int64 // Options.JournalSizeLimit
	Goroutines int
	Readers    int           // goroutines that read for 20 ms each, one after the other
	Size       int           // of a row
	Pause      time.Duration // between two writes of a goroutine
	Lasts      time.Duration
}

// filled is what became of it.
type filled struct {
	Writes  int64
	Busy    int64         // that got no turn among the processes, which wait in no order, within the busy timeout
	Longest time.Duration // of all
	Pinned  []string      // what Options.OnPinned was told
	WAL     WAL
}

func init() {
	children["fill"] = func(args []string) error {
		var how filling
		if err := json.Unmarshal([]byte(args[0]), &how); err != nil {
			return err
		}
		ctx := context.Background()
		var mu sync.Mutex // of what
		var what filled
		db, err := Open(ctx, how.File, Options{JournalSizeLimit: how.Limit, PinnedAfter: time.Second, OnPinned: func(pinned Pinned) {
			mu.Lock()
			defer mu.Unlock()
			what.Pinned = append(what.Pinned, pinned.String())
		}})
		if err != nil {
			return err
		}
		var all sync.WaitGroup
		var writes, busy atomic.Int64
		for range how.Readers {
			all.Go(func() {
				<-time.After(rand.N(20 * time.Millisecond)) // never all at once
				for began := time.Now(); time.Since(began) < how.Lasts; {
					fatal(readFor(ctx, db, 20*time.Millisecond))
				}
			})
		}
		for range how.Goroutines {
			all.Go(func() {
				for began := time.Now(); time.Since(began) < how.Lasts; <-time.After(how.Pause) {
					asked := time.Now()
					err := db.Write(ctx, func(_ context.Context, conn *Conn) error {
						return sqlitex.Execute(conn, "INSERT INTO work (x) VALUES (randomblob(?))", &sqlitex.ExecOptions{Args: []any{how.Size}})
					})
					if ErrCode(err).ToPrimary() == ResultBusy {
						busy.Add(1)
					} else {
						fatal(err)
						writes.Add(1)
					}
					mu.Lock()
					what.Longest = max(what.Longest, time.Since(asked))
					mu.Unlock()
				}
			})
		}
		all.Wait()
		mu.Lock()
		defer mu.Unlock()
		what.Writes, what.Busy, what.WAL = writes.Load(), busy.Load(), db.Stats().WAL
		return json.NewEncoder(os.Stdout).Encode(what)
	}
}

// fill lets four processes fill a database at the same time, and returns the largest size of its log meanwhile.
func (how filling) fill(t *testing.T) (largest int64, all [4]filled) {
	how.File = path(t)
	db, err := Open(t.Context(), how.File, Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return run(conn, "CREATE TABLE work (id INTEGER PRIMARY KEY, x)")
	}))
	asked, err := json.Marshal(how)
	require.NoError(t, err)
	var processes sync.WaitGroup
	for i := range all {
		var out, complaints strings.Builder
		cmd := child(t, "fill", string(asked))
		cmd.Stdout, cmd.Stderr = &out, &complaints
		processes.Go(func() {
			if assert.NoError(t, cmd.Run(), "%s", &complaints) {
				assert.NoError(t, json.Unmarshal([]byte(out.String()), &all[i]))
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		processes.Wait()
	}()
	for tick := time.NewTicker(time.Millisecond); ; {
		select {
		case <-tick.C:
			if log, err := os.Stat(how.File + "-wal"); err == nil {
				largest = max(largest, log.Size())
			}
		case <-done:
			tick.Stop()
			return largest, all
		}
	}
}

// Four processes that do nothing but write keep the log within 8 times its limit, and within twice that limit
// if each pauses for a millisecond. Nobody reads for long, and no process is told of a snapshot.
// A machine that stalls has three tries: a process that stalls with a lock keeps the others from truncating the log.
func TestJournalSizeLimit_WithSeveralProcesses(t *testing.T) {
	const limit = 4 << 20
	lasts := 1500 * time.Millisecond
	if *long {
		lasts = 10 * time.Second
	}
	for _, c := range []struct {
		name  string
		how   filling
		times int64 // the limit
	}{
		{"large rows", filling{Goroutines: 1, Size: 40_000}, 8},
		{"queues", filling{Goroutines: 16, Size: 4000}, 8},
		{"overlapping readers", filling{Goroutines: 1, Readers: 4, Size: 4000}, 8},
		{"queues with pauses", filling{Goroutines: 16, Size: 4000, Pause: time.Millisecond}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.how.Limit, c.how.Lasts = limit, lasts
			kept := false
			for try := 0; try < 3 && !kept; try++ {
				largest, all := c.how.fill(t)
				t.Logf("the log was %.2f times the limit at most", float64(largest)/limit)
				kept = largest < c.times*limit
				truncated := uint64(0)
				for _, process := range all {
					t.Logf("%d writes and %d that were busy, of at most %v; %d checkpoints that truncated the log, %d that could not, %d locked; readers waited for %v",
						process.Writes, process.Busy, process.Longest, process.WAL.Truncated, process.WAL.Incomplete, process.WAL.Locked, process.WAL.HeldBack)
					assert.Empty(t, process.Pinned)
					assert.Less(t, process.Longest, 5*time.Second+20*time.Millisecond)
					truncated += process.WAL.Truncated
				}
				if kept && truncated == 0 {
					t.Skip("the machine is too slow to reach the limit in time")
				}
			}
			assert.True(t, kept)
		})
	}
}
