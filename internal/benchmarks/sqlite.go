package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// A directory is where the files of databases lie.
type directory string

// create makes a file with the schema, in a directory of its own,
// and returns its path and a function that deletes it.
func (in directory) create() (path string, remove func()) {
	own, err := os.MkdirTemp(string(in), "headpond-benchmarks-")
	check(err)
	path = filepath.Join(own, "benchmark.db")
	conn, err := sqlite.OpenConn(path)
	check(err)
	check(sqlitex.ExecuteScript(conn, schema, nil))
	check(conn.Close())
	return path, func() { check(os.RemoveAll(own)) }
}

// A work is what one goroutine does at a time, with an open database.
type work func(db database, ctx context.Context) error

func pointRead(db database, ctx context.Context) error { return db.point(ctx, rand.IntN(people)) }
func rangeScan(db database, ctx context.Context) error { return db.scan(ctx, rand.IntN(people-20)) }
func writeOne(db database, ctx context.Context) error  { return db.write(ctx, rand.IntN(accounts)) }
func readTenOnce(db database, ctx context.Context) error {
	return db.snapshot(ctx, tenIDs(), func() {})
}

func readTen(db database, ctx context.Context) error {
	for _, id := range tenIDs() {
		if err := db.point(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func mix(db database, ctx context.Context) error {
	if rand.IntN(10) == 0 {
		return writeOne(db, ctx)
	}
	return pointRead(db, ctx)
}

func tenIDs() (ids [10]int) {
	for i := range ids {
		ids[i] = rand.IntN(people)
	}
	return ids
}

// named returns s under another name.
func (s store) named(name string) store {
	s.name = name
	return s
}

// under returns the entrant whose turns put a file of its own under a load.
// At its end the file is counted: no write that was acknowledged may be missing, none may be there by half.
func (s store) under(l load, in directory, synchronous string, readers, writers int, do work) entrant {
	return entrant{s.name, s.settings, func() (func(time.Duration) figures, func()) {
		path, remove := in.create()
		db := s.open(path, synchronous, readers, writers)
		var acknowledged, failed atomic.Int64
		write := db.write
		db.write = func(ctx context.Context, account int) error {
			err := write(ctx, account)
			if err == nil {
				acknowledged.Add(1)
			} else {
				failed.Add(1)
			}
			return err
		}
		turn := func(d time.Duration) figures {
			return l.run(d, func(ctx context.Context, _ int) error { return do(db, ctx) })
		}
		return turn, func() {
			db.close()
			audit(s.name, path, acknowledged.Load(), failed.Load())
			remove()
		}
	}}
}

// audit ends the run if the file at path does not hold what was acknowledged.
// What an entrant reported as failed may be there or not, but not by half.
func audit(name, path string, acknowledged, failed int64) {
	conn, err := sqlite.OpenConn(path)
	check(err)
	defer conn.Close()
	count := func(query string) int64 {
		stmt, err := conn.Prepare(query)
		check(err)
		n, err := sqlitex.ResultInt64(stmt)
		check(err)
		return n
	}
	inserted, updated := count("SELECT count(*) FROM entries"), count("SELECT sum(balance) FROM accounts")
	if inserted != updated || inserted < acknowledged || inserted > acknowledged+failed {
		panic(fmt.Sprintf("%s: %d writes acknowledged, %d failed, but %d inserts and %d updates are in the file",
			name, acknowledged, failed, inserted, updated))
	}
}

func reads(in directory) group {
	cores := runtime.GOMAXPROCS(0)
	readers := max(4, cores)
	through := func(readers, goroutines int, do work, more ...store) (entrants []entrant) {
		for _, s := range slices.Concat(stores, more) {
			entrants = append(entrants, s.under(load{goroutines: goroutines}, in, "NORMAL", readers, 1, do))
		}
		return entrants
	}
	under := func(goroutines int, do work, more ...store) []entrant {
		return through(readers, goroutines, do, more...)
	}
	const turn = 150 * time.Millisecond
	return group{
		name:  "read",
		title: "SQLite: reading",
		about: fmt.Sprintf("A table of 10,000 people, in every page cache; %d connections for reading, unless it says otherwise. "+
			"A point read is one row by a random key; the scan is of 20 rows and all 4 columns; the snapshot is 10 point reads in one transaction.", readers),
		columns: []column{{name: "time", show: duration}, {name: "allocs", show: few}},
		base:    "sqlitex.Pool",
		chart:   bars,
		contests: []contest{
			{"point read", turn, under(1, pointRead, headpondRead, bare)},
			{"point read, a goroutine per core", turn, under(cores, pointRead, headpondRead)},
			{"point read, 16 goroutines on 2 readers", turn, through(2, 16, pointRead, headpondRead)},
			{"scan of 20 rows", turn, under(1, rangeScan, headpondRead, bare)},
			{"snapshot of 10 reads", turn, append(under(1, readTenOnce, bare),
				sqlitexPool.named("sqlitex.Pool, ten separate reads").under(load{goroutines: 1}, in, "NORMAL", readers, 1, readTen))},
		},
	}
}

// percentiles are the columns of works whose waits matter.
var percentiles = []column{
	{name: "rate", show: commas}, {name: "p50", show: duration}, {name: "p99", show: duration},
	{name: "longest wait", show: duration, over: slices.Max[[]float64]},
	{name: "least", show: commas}, {name: "most", show: commas}, {name: "failed", show: commas, over: sum},
}

func writes(in directory, synchronous string) group {
	g := group{
		name:  "write-" + strings.ToLower(synchronous),
		title: "SQLite: writing, synchronous=" + synchronous,
		about: "Each goroutine writes transactions of its own, one after another: an insert and an update of one of 1,000 rows. " +
			"`rate` is transactions a second; `longest wait` the longest that one took, from call to commit, in any round; " +
			"`least` and `most` what the least and the most served goroutine got done in one turn.",
		columns: percentiles,
		base:    "sqlitex.Pool, 1 connection",
		chart:   lines("goroutines", "transactions a second"),
	}
	for _, goroutines := range []int{1, 16, 64, 256} {
		turn := 250 * time.Millisecond
		if goroutines == 64 {
			turn = 700 * time.Millisecond // long enough to see who starves
		}
		under := func(s store, writers int) entrant {
			return s.under(load{goroutines: goroutines, timed: true}, in, synchronous, 1, writers, writeOne)
		}
		c := contest{commas(float64(goroutines)), turn, []entrant{
			under(headpondBatch, 1),
			under(headpondDB.named("headpond, Write"), 1),
			under(sqlitexPool.named("sqlitex.Pool, 1 connection"), 1),
			under(mattn.named("mattn, 1 connection"), 1),
			under(modernc.named("modernc, 1 connection"), 1),
		}}
		if goroutines == 1 {
			c.entrants = append(c.entrants, under(bare, 1))
		} else {
			c.entrants = append(c.entrants,
				under(sqlitexPool.named("sqlitex.Pool, 16 connections"), 16),
				under(mattn.named("mattn, 16 connections"), 16))
		}
		g.contests = append(g.contests, c)
	}
	return g
}

func mixed(in directory) group {
	under := func(s store, writers int) entrant {
		return s.under(load{goroutines: 16, timed: true}, in, "NORMAL", 16, writers, mix)
	}
	return group{
		name:  "mixed",
		title: "SQLite: nine reads and one write",
		about: "16 goroutines; each operation is with 9 chances of 10 a point read, else a transaction as above; synchronous=NORMAL; " +
			"16 connections for reading, and 1 or 16 for writing. The figures are of all operations together.",
		columns: percentiles,
		base:    "sqlitex.Pool, 1 writer",
		chart:   bars,
		contests: []contest{{"operations a second", 600 * time.Millisecond, []entrant{
			under(headpondBatch, 1),
			under(headpondDB.named("headpond, Write"), 1),
			under(sqlitexPool.named("sqlitex.Pool, 1 writer"), 1),
			under(sqlitexPool.named("sqlitex.Pool, 16 writers"), 16),
			under(mattn.named("mattn, 1 writer"), 1),
			under(mattn.named("mattn, 16 writers"), 16),
			under(modernc.named("modernc, 1 writer"), 1),
		}}},
	}
}

// engines has no pool in it: it says what of the other figures is SQLite's, as Go and as C.
func engines(in directory) group {
	under := func(s store, do work) entrant { return s.under(load{goroutines: 1}, in, "NORMAL", 1, 1, do) }
	const turn = 250 * time.Millisecond
	return group{
		name:  "engines",
		title: "SQLite: as Go and as C",
		about: "The same statements by one goroutine, on connections that no pool and no database/sql has: one reads, and one writes; synchronous=NORMAL. " +
			"`nine reads and one write` is the work of the contest above.",
		columns: []column{{name: "time", show: duration}},
		base:    bareC.name,
		contests: []contest{
			{"point read", turn, []entrant{under(bare, pointRead), under(bareC, pointRead)}},
			{"write", turn, []entrant{under(bare, writeOne), under(bareC, writeOne)}},
			{"nine reads and one write", turn, []entrant{under(bare, mix), under(bareC, mix)}},
		},
	}
}

func opens(in directory) group {
	opening := func(s store, writers int) entrant {
		return entrant{s.name, s.settings, func() (func(time.Duration) figures, func()) {
			path, remove := in.create()
			turn := func(d time.Duration) figures {
				return load{goroutines: 1}.run(d, func(ctx context.Context, _ int) error {
					db := s.open(path, "NORMAL", 1, writers)
					defer db.close()
					if writers == 0 {
						return pointRead(db, ctx)
					}
					return errors.Join(writeOne(db, ctx), pointRead(db, ctx))
				})
			}
			return turn, remove
		}}
	}
	const turn = 150 * time.Millisecond
	g := group{
		name:     "open",
		title:    "SQLite: opening and closing",
		about:    "Open an existing file, use it once, close it: for a point read alone, with one connection; and for a write and a read, with one for each.",
		columns:  []column{{name: "time", show: duration}, {name: "allocs", show: few}},
		base:     "sqlitex.Pool",
		contests: []contest{{name: "to read", turn: turn}, {name: "to write and read", turn: turn}},
	}
	for _, s := range stores {
		g.contests[0].entrants = append(g.contests[0].entrants, opening(s, 0))
		g.contests[1].entrants = append(g.contests[1].entrants, opening(s, 1))
	}
	return g
}

// connections is how many of them the memory of one is measured by.
const connections = 64

// connectionMemory measures each store in processes of its own,
// because what SQLite allocates is not on Go's heap, and comes back to the process only.
func connectionMemory(in directory) group {
	g := group{
		name:  "connection-memory",
		title: "SQLite: the memory of a connection",
		about: fmt.Sprintf("Resident memory that each of %d connections for reading adds, after 10 point reads on each, "+
			"all at once; every round in a new process. Page caches are small here, and as large as SQLite's default (2 MB) allows in the long run.", connections),
		columns: []column{{name: "memory", show: bytes}},
		base:    "sqlitex.Pool",
	}
	c := contest{name: "per connection"}
	for _, s := range stores {
		c.entrants = append(c.entrants, entrant{s.name, s.settings, func() (func(time.Duration) figures, func()) {
			return func(time.Duration) figures {
				self, err := os.Executable()
				check(err)
				out, err := exec.Command(self, "-dir", string(in), "-connection-memory-of", s.name).Output()
				check(err)
				memory, err := strconv.ParseFloat(string(out), 64)
				check(err)
				return figures{"memory": memory}
			}, func() {}
		}})
	}
	g.contests = []contest{c}
	return g
}

// printConnectionMemory is what the new process does: it opens one connection, then many, and prints what each added.
func printConnectionMemory(in directory, name string) {
	for _, s := range stores {
		if s.name == name {
			path, remove := in.create()
			defer remove()
			one := s.open(path, "NORMAL", 1, 0)
			defer one.close()
			check(pointRead(one, context.Background()))
			before := resident()
			many := s.open(path, "NORMAL", connections, 0)
			defer many.close()
			var reading, done sync.WaitGroup
			reading.Add(connections)
			for range connections {
				done.Go(func() {
					check(many.snapshot(context.Background(), tenIDs(), func() { reading.Done(); reading.Wait() }))
				})
			}
			done.Wait()
			fmt.Print((resident() - before) / connections)
		}
	}
}

// resident returns the resident memory of this process in bytes.
func resident() float64 {
	debug.FreeOSMemory()
	fields, err := os.ReadFile("/proc/self/statm") // of Linux: pages in all, pages resident, ...
	check(err)
	pages, err := strconv.Atoi(strings.Fields(string(fields))[1])
	check(err)
	return float64(pages * os.Getpagesize())
}
