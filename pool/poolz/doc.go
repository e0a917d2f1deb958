// Package poolz shows pools on a live page, as net/http/pprof shows a program.
//
//	page := poolz.New()
//	http.Handle("/debug/poolz", page)
//	p, err := pool.New(hooks, pool.Options{Name: "orders", Observer: page.Observer()})
//
// # What is on it
//
// Every pool that was made with the page's Observer, by name: what is held, idle, being built and free;
// who waits and for how long; who holds what since when, the 100 that hold the longest;
// the last 20 slow acquires, slow statements, errors and leaks; counters, options in force, a backend's own figures,
// and the 10 statements that took the most time, if the backend sees them. What is of several pools together, as the log
// of a database and its statements are of its readers and its writer, is on one of their cards: see pool.Options.Owner.
// Where a lease was acquired is known with pool.Options.LeakAfter.
// With ?format=json it says the same to programs; durations are in seconds.
//
// A pool leaves the page when it is closed and nothing of it is left;
// while leases of a closed pool are out, it stays, marked as closed.
//
// # Where to put it
//
// The page only reads. But it shows file names, function names and the texts of errors:
// it belongs on an internal port, never on the public one.
//
// It is one document without external assets. It works without JavaScript,
// and refreshes itself either way; with JavaScript what was opened stays open.
//
// # What it costs
//
// An observed lease pays a few additions and no allocation.
// A request takes the Stats, Holders and Figures of every pool, and holds none of them up.
// With 40 pools, those of 20 databases with all of their figures and ten statements each, it took 9 ms of one core
// and 260 KiB: one viewer, whose page asks every two seconds, costs half a percent of a core. Beside that, each pool's Stats
// are taken once a second. A lease of a pool on the page allocates nothing, with a viewer or without. In a copy of the repository:
//
//	go test ./pool/poolz -run - -bench FortyPools
package poolz
