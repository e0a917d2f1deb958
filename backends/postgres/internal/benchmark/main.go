// Measures a pool of this module beside pgxpool, in one run against one server: a PostgreSQL that it starts, over its Unix socket.
//
//	go run ./internal/benchmark
//
// The two take turns, round by round; what is printed are medians over the rounds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/headpond/headpond/backends/postgres"
	"github.com/headpond/headpond/backends/postgres/internal/server"
	"github.com/headpond/headpond/pool"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const conns = 4

func main() {
	rounds := flag.Int("rounds", 15, "rounds of each")
	length := flag.Duration("length", 300*time.Millisecond, "how long a round lasts")
	flag.Parse()
	if err := run(context.Background(), *rounds, *length); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, rounds int, length time.Duration) (err error) {
	s, err := server.New(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Remove(), server.RemoveTemplate()) }()
	if err := s.Start(ctx); err != nil {
		return err
	}
	peer, err := newPeer(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer peer.Close()
	ours, err := newOurs(s.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.Close(ctx)) }()
	fmt.Fprintf(os.Stdout, "%s, %d cores, %d connections, %d rounds of %v\n\n", runtime.Version(), runtime.NumCPU(), conns, rounds, length)
	fmt.Println("| | goroutines | pgxpool | headpond | ratio | longest wait, pgxpool | headpond | ratio | allocations, pgxpool | headpond |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
	select1 := func(ctx context.Context, conn *pgx.Conn) error {
		var one int
		return conn.QueryRow(ctx, "SELECT 1").Scan(&one)
	}
	nothing := func(context.Context, *pgx.Conn) error { return nil }
	for _, c := range []struct {
		name       string
		goroutines int
		use        func(ctx context.Context, conn *pgx.Conn) error
	}{
		{"acquire, release", 1, nothing},
		{"acquire, release", 32, nothing},
		{"acquire, SELECT 1, release", 1, select1},
		{"acquire, SELECT 1, release", 32, select1},
	} {
		pair := [2]func(acquired func()) error{
			func(acquired func()) error {
				conn, err := peer.Acquire(ctx)
				if err != nil {
					return err
				}
				acquired()
				err = c.use(ctx, conn.Conn())
				conn.Release()
				return err
			},
			func(acquired func()) error {
				lease, err := ours.Acquire(ctx)
				if err != nil {
					return err
				}
				acquired()
				err = c.use(ctx, lease.Value())
				lease.Release()
				return err
			},
		}
		var took, longest, allocations [2][]float64
		for round := range rounds {
			for i := range 2 {
				which := (round + i) % 2 // who is first takes turns
				result, err := measure(pair[which], c.goroutines, length)
				if err != nil {
					return err
				}
				took[which] = append(took[which], result.took)
				longest[which] = append(longest[which], result.longest)
				allocations[which] = append(allocations[which], result.allocations)
			}
		}
		fmt.Printf("| %s | %d | %.3g µs | %.3g µs | %.2f | %.2f ms | %.2f ms | %.2f | %.2f | %.2f |\n", c.name, c.goroutines, median(took[0])*1e6, median(took[1])*1e6,
			ratio(took), median(longest[0])*1e3, median(longest[1])*1e3, ratio(longest), median(allocations[0]), median(allocations[1]))
	}
	return nil
}

func newPeer(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = conns
	return pgxpool.NewWithConfig(ctx, config)
}

func newOurs(url string) (*pool.Pool[*pgx.Conn], error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	return pool.New(postgres.Hooks(config, postgres.Options{}), pool.Options{MaxSize: conns})
}

// result is of one round.
type result struct {
	took        float64 // seconds for one operation, on average over all goroutines: length / operations
	longest     float64 // seconds that the longest wait for a connection took
	allocations float64 // for one operation
}

// measure runs operation on so many goroutines for so long.
func measure(operation func(acquired func()) error, goroutines int, length time.Duration) (result, error) {
	counts, slowest, errs := make([]int, goroutines), make([]time.Duration, goroutines), make([]error, goroutines)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin := time.Now()
	var group sync.WaitGroup
	for i := range goroutines {
		group.Go(func() {
			last := time.Now()
			acquired := func() { slowest[i] = max(slowest[i], time.Since(last)) }
			for last.Sub(begin) < length && errs[i] == nil {
				errs[i] = operation(acquired)
				last = time.Now()
				counts[i]++
			}
		})
	}
	group.Wait()
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	total := 0
	for _, count := range counts {
		total += count
	}
	return result{
		took:        took.Seconds() / float64(total),
		longest:     slices.Max(slowest).Seconds(),
		allocations: float64(after.Mallocs-before.Mallocs) / float64(total),
	}, errors.Join(errs...)
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// ratio is the median of the ratios of the rounds.
func ratio(both [2][]float64) float64 {
	ratios := make([]float64, len(both[0]))
	for i := range ratios {
		ratios[i] = both[1][i] / both[0][i]
	}
	return median(ratios)
}
