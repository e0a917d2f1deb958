package tenants_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// scale is how large a test of many tenants is. With -long it is that of a service.
type scale struct{ tenants, maxOpen, goroutines, calls int }

func scaleOf() scale {
	if *long {
		return scale{tenants: 10_000, maxOpen: 200, goroutines: 64, calls: 150_000}
	}
	return scale{tenants: 60, maxOpen: 10, goroutines: 16, calls: 480}
}

// TestScale uses many tenants, some much more often than others, through few places. Each database answers with its own name,
// every write that was acknowledged is there, and neither places nor descriptors ever exceed their bound.
//
// `go test -race ./backends/sqlite/tenants -run TestScale -long -timeout 30m` has 10,000 tenants, 200 places and 64 goroutines.
func TestScale(t *testing.T) {
	s := scaleOf()
	_ = openFiles() // the runtime's own descriptors are there from the first use on
	base := openFiles()
	goroutines := runtime.NumGoroutine()
	// AcquireTimeout is not what is tested: a busy machine may take its time. Nor is IdleAfter: on a slow one it would close all before the cap does.
	p := open(t, tenants.Options{MaxOpen: s.maxOpen, AcquireTimeout: -1})
	stop := make(chan struct{})
	var sampler sync.WaitGroup
	mostFiles, samples := 0, 0
	sampler.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			stats := p.Stats()
			assert.LessOrEqual(t, stats.Open+stats.Opening+stats.Closing, s.maxOpen)
			mostFiles = max(mostFiles, openFiles())
			samples++
		}
	})
	written := make([]atomic.Int64, s.tenants)
	var all sync.WaitGroup
	for g := range s.goroutines {
		all.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(g), 7))
			zipf := rand.NewZipf(dice, 1.1, 1, uint64(s.tenants-1))
			for range s.calls / s.goroutines {
				n := zipf.Uint64()
				tenant := fmt.Sprint("tenant-", n)
				var err error
				switch dice.IntN(4) {
				case 0:
					if err = sign(t.Context(), p, tenant); err == nil {
						written[n].Add(1)
					}
				case 1:
					err = p.Batch(t.Context(), tenant, func(_ context.Context, conn *sqlite.Conn) error {
						return sqlitex.Execute(conn, "INSERT INTO owner (name) VALUES (?)", &sqlitex.ExecOptions{Args: []any{tenant}})
					})
					if err == nil {
						written[n].Add(1)
					}
				default:
					before := written[n].Load()
					var name string
					var rows int
					name, rows, err = owners(t.Context(), p, tenant)
					if rows > 0 {
						assert.Equal(t, tenant, name)
					}
					assert.GreaterOrEqual(t, int64(rows), before)
				}
				if !assert.NoError(t, err) {
					return
				}
			}
		})
	}
	all.Wait()
	close(stop)
	sampler.Wait()
	stats := p.Stats()
	t.Logf("%d hits, %d opens, %d evictions, mean open %v, mean close %v; at most %d descriptors in %d samples",
		stats.Hits, stats.Opened, stats.Evicted, mean(stats.OpenTime, stats.Opened), mean(stats.CloseTime, stats.Opened), mostFiles-base, samples)
	assert.Greater(t, stats.Evicted, uint64(s.tenants/10))
	if base > 0 {
		// Five for each place, and one for the directory that is synced when a database is made.
		assert.LessOrEqual(t, mostFiles-base, 5*s.maxOpen+4+10, "descriptors")
	}
	for n := range s.tenants {
		if want := written[n].Load(); want > 0 {
			name, rows, err := owners(t.Context(), p, fmt.Sprint("tenant-", n))
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprint("tenant-", n), name)
			assert.EqualValues(t, want, rows)
		}
	}
	require.NoError(t, p.Close(t.Context()))
	for began := time.Now(); openFiles() > base || runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(began), 10*time.Second, "%d descriptors of %d, %d goroutines of %d are back",
			openFiles(), base, runtime.NumGoroutine(), goroutines)
	}
}

func mean(all time.Duration, n uint64) time.Duration {
	return (all / time.Duration(max(n, 1))).Round(time.Microsecond)
}

// openFiles counts the descriptors of this process; 0 if this system does not say.
func openFiles() int {
	if runtime.GOOS != "linux" {
		return 0
	}
	if directory, err := os.Stat("/proc/self/fd"); err == nil && directory.Size() > 0 { // since Linux 6.2 it is their number
		return int(directory.Size())
	}
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

// busyProcessors returns a function that says which part of the processors' time since the call was used, by whatever program.
func busyProcessors(t *testing.T) func() float64 {
	t.Helper()
	times := func() (all, idle float64) { // of https://docs.kernel.org/filesystems/proc.html: user, nice, system, idle, iowait ...
		content, err := os.ReadFile("/proc/stat")
		if err != nil {
			t.Skip("no /proc/stat, which says how busy the processors are")
		}
		line, _, _ := strings.Cut(string(content), "\n")
		for i, field := range strings.Fields(line)[1:] {
			n, err := strconv.ParseFloat(field, 64)
			require.NoError(t, err)
			if i < 8 { // what follows is counted in user and nice as well
				all += n
			}
			if i == 3 || i == 4 {
				idle += n
			}
		}
		return all, idle
	}
	all, idle := times()
	return func() float64 {
		allNow, idleNow := times()
		return 1 - (idleNow-idle)/(allNow-all)
	}
}

// TestFairness compares the waits of ordinary tenants beside one that a thousand callers use with those without it.
// It takes seconds, and a machine that is otherwise idle: so it needs -long. On one whose processors are busy for 70 % of the time
// it would measure them, and fails.
func TestFairness(t *testing.T) {
	if !*long {
		t.Skip("it needs -long and an idle machine")
	}
	p := open(t, tenants.Options{MaxOpen: 50, AcquireTimeout: -1})
	for n := range 30 {
		require.NoError(t, sign(t.Context(), p, fmt.Sprint("tenant-", n)))
	}
	// The others call at a fixed rate, whatever their answers take: what waits is counted from when it was due.
	ordinary := func() []time.Duration {
		busy := busyProcessors(t)
		defer func() { assert.Less(t, busy(), 0.7, "of the processors' time: it is no measure of fairness then") }()
		var mu sync.Mutex
		var took []time.Duration
		var all sync.WaitGroup
		began := time.Now()
		for i := range 4000 {
			due := began.Add(time.Duration(i) * 2 * time.Millisecond)
			time.Sleep(time.Until(due))
			all.Go(func() {
				_, _, err := owners(t.Context(), p, fmt.Sprint("tenant-", i%30))
				assert.NoError(t, err)
				mu.Lock()
				defer mu.Unlock()
				took = append(took, time.Since(due))
			})
		}
		all.Wait()
		slices.Sort(took)
		return took
	}
	percentile := func(took []time.Duration) time.Duration { return took[len(took)*99/100] }
	var without, with []time.Duration
	for range 3 {
		without = append(without, percentile(ordinary()))
		ctx, cancel := context.WithCancel(t.Context())
		var hot sync.WaitGroup
		for range 1000 {
			hot.Go(func() {
				for ctx.Err() == nil {
					// It is held for a while without using the processor, so that a thousand callers do not fill it.
					_ = p.Read(ctx, "hot", func(ctx context.Context, conn *sqlite.Conn) error {
						err := sqlitex.Execute(conn, "SELECT count(*) FROM owner", &sqlitex.ExecOptions{ResultFunc: func(*zombiezen.Stmt) error { return nil }})
						time.Sleep(2 * time.Millisecond)
						return err
					})
				}
			})
		}
		for p.Stats().Calls < 1000 {
			time.Sleep(time.Millisecond)
		}
		with = append(with, percentile(ordinary()))
		cancel()
		hot.Wait()
	}
	slices.Sort(without)
	slices.Sort(with)
	t.Logf("99th percentile of the others, medians of 3: %v without the hot tenant, %v with it", without[1], with[1])
	assert.LessOrEqual(t, with[1], 2*without[1])
}
