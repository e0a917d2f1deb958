// Command benchmarks measures headpond beside what a user would pick in its place, on the same work.
//
//	go -C internal/benchmarks run .                     about 10 minutes; writes results.md and charts
//	go -C internal/benchmarks run . -short              about 1 minute; prints the tables
//	go -C internal/benchmarks run . -only 'write|mixed' some groups; prints the tables
//
// How it measures:
//
//   - All in one process, built by the Go that runs it, on what the machine has.
//   - In every contest the entrants take turns: A B C, B C A, C A B and so on, 7 rounds.
//     A turn repeats the work for a fixed time and counts. What is shown is the median of the rounds,
//     with the least and the greatest; a ratio is the median of the ratios within each round,
//     so that a slow phase of the machine weighs on both sides.
//   - Before the first round each entrant has a shorter turn that does not count; before each turn the garbage is collected;
//     and a turn begins to count when each of its goroutines has done an operation.
//   - Every goroutine has a cancellable ctx, as the handler of a request has.
//     It costs some entrants more than others, and is what a server pays.
//   - Everybody has the settings that its own documentation recommends for the work; the tables state them.
//     The work is the same function wherever the entrants share a type, and the same SQL everywhere.
//   - Databases are files on a real disk, and are counted at the end:
//     the run fails if an acknowledged write is missing.
//   - Allocations are those of the process during the turn.
//
// main.go has the order and the flags, rounds.go the turns and medians,
// pools.go and growth.go the pools, stores.go the ways to use SQLite, sqlite.go the work that they do,
// report.go the Markdown, chart.go the SVG.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"
)

func main() {
	var (
		short    = flag.Bool("short", false, "3 rounds of short turns: a look, not a measurement")
		only     = flag.String("only", "", "hold only the groups whose name matches this regular `expression`")
		dir      = flag.String("dir", os.TempDir(), "`directory` for the databases, on a real disk")
		out      = flag.String("out", "", "write results.md and the charts to this `directory` (default: the current one, after a full run)")
		memoryOf = flag.String("connection-memory-of", "", "measure the connections of one `store` and exit; for the program itself")
	)
	flag.Parse()
	in := directory(*dir)
	if *memoryOf != "" {
		printConnectionMemory(in, *memoryOf)
		return
	}
	wanted, err := regexp.Compile(*only)
	check(err)
	if *out == "" && !*short && *only == "" {
		*out = "."
	}

	began := time.Now()
	rounds, shortened := 7, time.Duration(1)
	if *short {
		rounds, shortened = 3, 4
	}
	report := newReport(*out, rounds, environment(in))
	for _, g := range groups(in) {
		if !wanted.MatchString(g.name) {
			continue
		}
		var results []result
		for _, c := range g.contests {
			fmt.Fprintf(os.Stderr, "%s: %s\n", g.name, c.name)
			results = append(results, c.hold(rounds, c.turn/shortened))
		}
		report.add(g, results)
	}
	report.finish(time.Since(began))
}

func groups(in directory) []group {
	all := []group{pools(), observed(), reads(in), writes(in, "FULL"), writes(in, "NORMAL"), mixed(in), engines(in), sqlWrites(in, "FULL"), sqlWrites(in, "NORMAL"), sqlReads(in), opens(in), manyTenants(in), sizes(), waiters(), poolMemory()}
	if _, err := os.Stat("/proc/self/statm"); err == nil {
		all = append(all, connectionMemory(in))
	}
	return all
}
