package main

var (
	gateAndPool = []string{"./internal/gate", "./pool"}
	ofPool      = []string{"./pool"}
	ofSQLite    = []string{"./backends/sqlite"}
)

// mutants are the places where a mistake would cost the most.
var mutants = []mutant{
	{
		what: "a released value goes to the last in the queue: LIFO", file: "internal/gate/gate.go", tests: gateAndPool,
		old: "g.grant(g.queue.first, Grant[V]{Turn: Value, Value: value, Fresh: fresh})",
		new: "g.grant(g.queue.last, Grant[V]{Turn: Value, Value: value, Fresh: fresh})",
	},
	{
		what: "the value that was idle for the longest time is taken first", file: "internal/gate/gate.go", tests: gateAndPool,
		old: "last := len(g.idle) - 1\n\tvalue := g.idle[last]",
		new: "last := 0\n\tvalue := g.idle[last]",
	},
	{
		what: "who was handed an unfit value queues at the end", file: "internal/gate/gate.go", tests: gateAndPool,
		old: "g.queue.insert(waiter)",
		new: "g.queue.push(waiter)",
	},
	{
		what: "a slot is free before the destructor has returned", file: "internal/gate/gate.go", tests: gateAndPool,
		old: "return g.live < g.max &&",
		new: "return g.live-g.destroying < g.max &&",
	},
	{
		what: "what comes back after the pool shrank is kept", file: "internal/gate/gate.go", tests: gateAndPool,
		old: "case g.live-g.destroying > g.max:",
		new: "case false:",
	},
	{
		what: "Close does not wake those who wait in the queue", file: "internal/gate/gate.go", tests: gateAndPool,
		old: "[]*list[V]{&g.queue, &g.builders}",
		new: "[]*list[V]{&g.builders}",
	},
	{
		what: "who gives up at the moment of his turn to build takes the slot with him", file: "internal/gate/waiter.go", tests: gateAndPool,
		old: "g.giveUp(grant.Builder)",
		new: "",
	},
	{
		what: "a grant at the moment of giving up is left in the channel of a waiter that is used again", file: "internal/gate/waiter.go", tests: gateAndPool,
		old: "if outcome != Granted {\n\t\tselect",
		new: "if false {\n\t\tselect",
	},
	{
		what: "a failed build forgets its slot", file: "internal/gate/builder.go", tests: gateAndPool,
		old: "\tg.vacate()\n\treturn streak, rest",
		new: "\treturn streak, rest",
	},
	{
		what: "no rest after a failed build", file: "internal/gate/gate.go", tests: gateAndPool,
		old: "&& !g.resting &&",
		new: "&&",
	},
	{
		what: "the timer of an old rest ends the present one", file: "internal/gate/builder.go", tests: gateAndPool,
		old: "if rest == g.rests {",
		new: "if true {",
	},
	{
		what: "a lease is ended without looking whose it is", file: "pool/lease.go", tests: ofPool,
		old: "l.entry.held.CompareAndSwap(l.began, free)",
		new: "l.entry.held.Swap(free) != free",
	},
	{
		what: "the compare-and-swap that ends a lease is a look, then a store", file: "pool/lease.go", tests: ofPool, race: true,
		old: "return l.entry != nil && l.entry.held.CompareAndSwap(l.began, free)",
		new: "if l.entry == nil || l.entry.held.Load() != l.began {\n\t\treturn false\n\t}\n\tl.entry.held.Store(free)\n\treturn true",
	},
	{
		what: "two leases of one value that begin at the same time are the same", file: "pool/entry.go", tests: ofPool,
		old: "max(int64(now), e.last+1)",
		new: "int64(now)",
	},
	{
		what: "what was evicted while it was held is kept", file: "pool/release.go", tests: ofPool,
		old: "if p.stale(e) {",
		new: "if false {",
	},
	{
		what: "an Evict while the Reset hook runs is missed", file: "pool/release.go", tests: ofPool,
		old: "if generation != p.generation.Load() {",
		new: "if false && generation != p.generation.Load() {",
	},
	{
		what: "an Evict during a build is missed", file: "pool/build.go", tests: ofPool,
		old: "if generation != p.generation.Load() {",
		new: "if false && generation != p.generation.Load() {",
	},
	{
		what: "a detached value keeps its slot", file: "pool/release.go", tests: ofPool,
		old: "\tp.gate.Detach()\n",
		new: "",
	},
	{
		what: "what an abandoned Construct returns is never destroyed", file: "pool/build.go", tests: ofPool,
		old: "late(o.result)",
		new: "_ = late",
	},
	{
		what: "runtime.Goexit in a hook costs the slot", file: "pool/hook.go", tests: ofPool,
		old: "p.gate.Retire(op != Reset)\n\t\t\tp.destroy(e, resource.Panicked)",
		new: "_ = resource.Panicked",
	},
	{
		what: "the timer of a waiter that is used again is not set", file: "pool/acquire.go", tests: ofPool,
		old: "waiter.Timer.Reset(limit)",
		new: "_ = limit",
	},
	{
		what: "what listens for Close, in the ctx of a hook, is never taken off", file: "pool/build.go", tests: ofPool,
		old: "\t\tstop()\n",
		new: "\t\t_ = stop\n",
	},
	{
		what: "the ctx of a hook goes on after it", file: "pool/hook.go", tests: ofPool,
		old: "\tc.cancel()\n\treturn false",
		new: "\treturn false",
	},
	{
		what: "the commit hook refuses nothing", file: "backends/sqlite/handle.go", tests: ofSQLite,
		old: "return c.refuse\n",
		new: "return 0\n",
	},
	{
		what: "Write lets its function commit", file: "backends/sqlite/transaction.go", tests: ofSQLite,
		old: "s.refuseCommits(true)\n\treturned := false",
		new: "returned := false",
	},
	{
		what: "Batch lets a work commit", file: "backends/sqlite/runner.go", tests: ofSQLite,
		old: "\tr.s.refuseCommits(true)\n\tr.opened",
		new: "\tr.opened",
	},
	{
		what: "a statement of the borrower's that rolled back and began again goes unnoticed in Write", file: "backends/sqlite/transaction.go", tests: ofSQLite,
		old: "case s.lost() != lost || s.autocommit():",
		new: "case s.autocommit():",
	},
	{
		what: "reset does not roll back", file: "backends/sqlite/reset.go", tests: ofSQLite,
		old: "found.add(s, FoundTransaction, \"\")\n\t\t_ = s.run(rollback) // probe looks again",
		new: "found.add(s, FoundTransaction, \"\")",
	},
	{
		what: "reset does not reset busy statements", file: "backends/sqlite/reset.go", tests: ofSQLite,
		old: "found.add(s, FoundStatement, s.busyStatement())\n\t\ts.resetBusy()",
		new: "found.add(s, FoundStatement, s.busyStatement())",
	},
	{
		what: "reset does not restore limits", file: "backends/sqlite/reset.go", tests: ofSQLite,
		old: "\t\ts.setLimits(s.limits)\n",
		new: "",
	},
	{
		what: "reset does not look at flags, functions and sessions", file: "backends/sqlite/reset.go", tests: ofSQLite,
		old: "if now := s.handle.settings(); now != s.settings {",
		new: "if now := s.handle.settings(); false {",
	},
	{
		what: "disarm does not wait for the callback of a ctx that has ended", file: "backends/sqlite/interrupt.go", tests: ofSQLite,
		old: "if !s.stop() {\n\t\t<-s.alarm.Load().rings\n\t}",
		new: "s.stop()",
	},
	{
		what: "an interrupt that SQLite has forgotten does not come again", file: "backends/sqlite/interrupt.go", tests: ofSQLite,
		old: "go a.insist(interrupt)",
		new: "",
	},
	{
		what: "a run of Batch has no mark of its lease", file: "backends/sqlite/runner.go", tests: ofSQLite,
		old: ", marks: r.marks}",
		new: "}",
	},
	{
		what: "a wait for a lock does not hear a cancel", file: "backends/sqlite/interrupt.go", tests: ofSQLite,
		old: "case <-s.alarm.Load().rings:\n\t\treturn false\n\tcase <-s.interrupt(): // the borrower's own, where there is one\n\t\treturn false\n",
		new: "",
	},
	{
		what: "Batch does not roll back to the savepoint of a work that failed", file: "backends/sqlite/runner.go", tests: ofSQLite,
		old: "errors.Join(s.run(rollbackTo), s.run(release))",
		new: "errors.Join(s.run(release))",
	},
	{
		what: "Batch ignores a deferred foreign key that is violated", file: "backends/sqlite/batch_alone.go", tests: ofSQLite,
		old: "if s.deferredViolations() {",
		new: "if false {",
	},
	{
		what: "Batch does not notice that a work ended the shared transaction", file: "backends/sqlite/runner.go", tests: ofSQLite,
		old: "if s.autocommit() || s.lost() != r.lost {",
		new: "if s.autocommit() {",
	},
	{
		what: "Batch says of works whose transaction was lost that they were committed", file: "backends/sqlite/runner.go", tests: ofSQLite,
		old: "r.rollback()\n\tr.runAgain()\n",
		new: "r.rollback()\n\tfor _, w := range r.done {\n\t\tr.finish(w, nil)\n\t}\n",
	},
	{
		what: "Batch says of works that could not be committed that they were", file: "backends/sqlite/runner.go", tests: ofSQLite,
		old: "r.finish(r.done[0], err)",
		new: "r.finish(r.done[0], nil)",
	},
	{
		what: "a file that was replaced goes unnoticed", file: "backends/sqlite/identity.go", tests: ofSQLite,
		old: "case !os.SameFile(opened, now):",
		new: "case !os.SameFile(now, now):",
	},
	{
		what: "under load a file that was replaced goes unnoticed", file: "backends/sqlite/identity.go", tests: ofSQLite,
		old: "if now-last < int64(glances) ||",
		new: "if true || now-last < int64(glances) ||",
	},
	{
		what: "the log of a file that was replaced is left to the next one", file: "backends/sqlite/identity.go", tests: ofSQLite,
		old: "if s.mode != Writer || s.file == nil ||",
		new: "if true || s.mode != Writer || s.file == nil ||",
	},
	{
		what: "a new file is made beside the log of one that is gone", file: "backends/sqlite/create.go", tests: ofSQLite,
		old: "if err := orphaned(path); err != nil {",
		new: "if err := orphaned(path); false && err != nil {",
	},
	{
		what: "a function that was replaced goes unnoticed", file: "backends/sqlite/handle.go", tests: ofSQLite,
		old: "s.registered.add(f.FpUserData, f.FxSFunc)",
		new: "s.registered.add(0, 0)",
	},
	{
		what: "Batch releases the writer before it says whose works run again", file: "backends/sqlite/runner.go", tests: ofSQLite,
		old: "r.last = r.last || r.s.closed() || !r.s.autocommit()",
		new: "if r.s.closed() || !r.s.autocommit() {\n\t\tr.release()\n\t}",
	},
}
