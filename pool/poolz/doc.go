// Package poolz shows pools on a live page, as net/http/pprof shows a program.
//
//	page := poolz.New()
//	http.Handle("/debug/poolz", page)
//	p, err := pool.New(hooks, pool.Options{Name: "orders", Observer: page.Observer()})
//
// Every pool that was made with the page's Observer is on it: what is held, idle, being built and free,
// who waits and for how long, who holds what since when, the last slow acquires and errors,
// counters, options in force, and a backend's own figures. With ?format=json it says the same to programs.
//
// The page only reads. But it shows file names, function names and the texts of errors:
// it belongs on an internal port, never on the public one.
//
// It is one document without external assets. It works without JavaScript,
// and refreshes itself either way; with JavaScript what was opened stays open.
//
// A pool leaves the page when it is closed and nothing of it is left;
// while leases of a closed pool are out, it stays, marked as closed.
package poolz
