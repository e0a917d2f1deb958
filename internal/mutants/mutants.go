package main

var (
	gateAndPool = []string{"./internal/gate", "./pool"}
	ofPool      = []string{"./pool"}
	ofSQLite    = []string{"./backends/sqlite"}
	ofRaw       = []string{"./backends/sqlite/internal/raw", "./backends/sqlite"}
)

// mutants are the places where a mistake would cost the most.
var mutants = []mutant{
	{
		what: "a released value goes to the last in the queue: LIFO", file: "internal/gate/settle.go", tests: gateAndPool,
		old: "g.handOutLocked()\n\t\tgrant := g.grantLocked(w, ",
		new: "g.handOutLocked()\n\t\tfor last := range g.queue.All {\n\t\t\tw = last\n\t\t}\n\t\tgrant := g.grantLocked(w, ",
	},
	{
		what: "the value that was idle for the longest time is taken first", file: "internal/gate/settle.go", tests: gateAndPool,
		old: "last := len(g.idle) - 1\n\tvalue := g.idle[last]",
		new: "last := 0\n\tvalue := g.idle[last]",
	},
	{
		what: "a caller whose value was rejected queues at the end", file: "internal/gate/waiter.go", tests: gateAndPool,
		old: "if w.place == g.places { // it came last",
		new: "if true {",
	},
	{
		what: "a slot is free before the destructor has returned", file: "internal/gate/builder.go", tests: gateAndPool,
		old: "return g.live < g.max &&",
		new: "return g.live-g.destroying < g.max &&",
	},
	{
		what: "what comes back after the pool shrank is kept", file: "internal/gate/settle.go", tests: gateAndPool,
		old: "case g.live-g.destroying > g.max:",
		new: "case false:",
	},
	{
		what: "Close does not wake the callers in the queue", file: "internal/gate/gate.go", tests: gateAndPool,
		old: "for w := g.firstLocked(); w != nil; w = g.firstLocked() {",
		new: "for w := g.builders.First(); w != nil; w = g.builders.First() {",
	},
	{
		what: "a caller that builds does not stand in the queue", file: "internal/gate/settle.go", tests: gateAndPool,
		old: "if queued == nil || builds != nil && builds.place < queued.place {\n\t\treturn builds",
		new: "_ = builds\n\tif queued == nil {\n\t\treturn nil",
	},
	{
		what: "the build that a caller left is forgotten", file: "internal/gate/waiter.go", tests: gateAndPool,
		old: "g.filling++\n\t}\n\tw.builder = nil",
		new: "}\n\tw.builder = nil",
	},
	{
		what: "a caller that was cautious takes a suspect all the same", file: "internal/gate/settle.go", tests: gateAndPool,
		old: "for cautious && i >= 0 &&",
		new: "for false && i >= 0 &&",
	},
	{
		what: "a caller whose build failed does not wait while values are live", file: "internal/gate/builder.go", tests: gateAndPool,
		old: "built > 0 && !w.nested",
		new: "built > 1<<30 && !w.nested",
	},
	{
		what: "while one trial hangs there is no second one", file: "internal/gate/breaker.go", tests: gateAndPool,
		old: "b.allowed = min(2*b.allowed, 1<<20)",
		new: "_ = b.allowed",
	},
	{
		what: "a grant at the moment of giving up is left in the channel of a waiter that is used again", file: "internal/gate/waiter.go", tests: gateAndPool,
		old: "if granted {\n",
		new: "if false {\n",
	},
	{
		what: "a failed build forgets its slot", file: "internal/gate/builder.go", tests: gateAndPool,
		old: "\tg.vacateLocked()\n",
		new: "",
	},
	{
		what: "no backoff after a failed build", file: "internal/gate/breaker.go", tests: gateAndPool,
		old: "allows() bool { return !b.open &&",
		new: "allows() bool { return",
	},
	{
		what: "the timer of an old backoff ends the present one", file: "internal/gate/breaker.go", tests: gateAndPool,
		old: "|| g.config.Now() < g.wakeAt {",
		new: "{",
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
		what: "an Evict while the Reset hook runs is missed", file: "internal/gate/settle.go", tests: ofPool,
		old: "case g.config.Stale(value):",
		new: "case false && g.config.Stale(value):",
	},
	{
		what: "an Evict during a build is missed", file: "internal/gate/builder.go", tests: ofPool,
		old: "case g.config.Stale(value):",
		new: "case false:",
	},
	{
		what: "a detached value keeps its slot", file: "pool/release.go", tests: ofPool,
		old: "\tp.gate.Detach()\n",
		new: "",
	},
	{
		what: "what an abandoned Construct returns is never destroyed", file: "pool/hook.go", tests: ofPool,
		old: "late(o.result)",
		new: "_ = late",
	},
	{
		what: "runtime.Goexit in a hook costs the slot", file: "pool/hook.go", tests: ofPool,
		old: "if ending.Exited() {",
		new: "if false {",
	},
	{
		what: "after one deadline there is no other", file: "internal/gate/deadline.go", tests: gateAndPool,
		old: "\tg.armLocked()\n\tg.settle",
		new: "\tg.settle",
	},
	{
		what: "what listens for Close, in the ctx of a hook, is never taken off", file: "pool/hook_context.go", tests: ofPool,
		old: "\t\tstop()\n",
		new: "\t\t_ = stop\n",
	},
	{
		what: "the ctx of a hook goes on after it", file: "pool/hook_context.go", tests: ofPool,
		old: "\tc.cancel()\n\treturn false",
		new: "\treturn false",
	},
	{
		what: "the commit hook refuses nothing", file: "backends/sqlite/internal/raw/hooks.go", tests: ofRaw,
		old: "return refuse\n",
		new: "return 0\n",
	},
	{
		what: "Write lets its function commit", file: "backends/sqlite/conn_tx.go", tests: ofSQLite,
		old: "c.RefuseCommits(true)\n\treturned := false",
		new: "returned := false",
	},
	{
		what: "Batch lets its function commit", file: "backends/sqlite/batch_session.go", tests: ofSQLite,
		old: "\ts.connection.RefuseCommits(true)\n",
		new: "",
	},
	{
		what: "a statement of the borrower's that rolled back and began again goes unnoticed in Write", file: "backends/sqlite/conn_tx.go", tests: ofSQLite,
		old: "case c.Rollbacks() != rollbacks || c.Autocommit():",
		new: "case c.Autocommit():",
	},
	{
		what: "a writer that is closed waits for locks", file: "backends/sqlite/conn_close.go", tests: ofSQLite,
		old: "\tc.waitsForLocks = false // what follows",
		new: "\t// what follows",
	},
	{
		what: "reset does not roll back", file: "backends/sqlite/conn_reset.go", tests: ofSQLite,
		old: "found.add(c, FoundTransaction, \"\")\n\t\t_ = c.Run(raw.Rollback) // Probe looks again",
		new: "found.add(c, FoundTransaction, \"\")",
	},
	{
		what: "reset does not reset busy statements", file: "backends/sqlite/conn_reset.go", tests: ofSQLite,
		old: "found.add(c, FoundStatement, c.BusyStatement())\n\t\tc.ResetBusy()",
		new: "found.add(c, FoundStatement, c.BusyStatement())",
	},
	{
		what: "reset does not restore limits", file: "backends/sqlite/conn_reset.go", tests: ofSQLite,
		old: "\t\tc.SetLimits(c.limits)\n",
		new: "",
	},
	{
		what: "reset does not look at flags, functions and sessions", file: "backends/sqlite/conn_reset.go", tests: ofSQLite,
		old: "if now := c.Handle.Settings(); now != c.settings {",
		new: "if now := c.Handle.Settings(); false {",
	},
	{
		what: "unwatch does not wait for the callback of a ctx that has ended", file: "backends/sqlite/conn_interrupt.go", tests: ofSQLite,
		old: "if stop := c.watching.forget(); stop != nil && !stop() {\n\t\t<-c.interrupter.Load().done\n\t}",
		new: "if stop := c.watching.forget(); stop != nil {\n\t\tstop()\n\t}",
	},
	{
		what: "an interrupt that SQLite has forgotten does not come again", file: "backends/sqlite/conn_interrupter.go", tests: ofSQLite,
		old: "go i.repeat(interrupt)",
		new: "",
	},
	{
		what: "a run of Batch has no mark of its lease", file: "backends/sqlite/batch_session.go", tests: ofSQLite,
		old: ", marks: s.marks}",
		new: "}",
	},
	{
		what: "a wait for a lock does not hear a cancel", file: "backends/sqlite/conn_busy.go", tests: ofSQLite,
		old: "sleep(min(delay, rest), c.interrupter.Load().done, c.InterruptChannel())",
		new: "sleep(min(delay, rest), nil, nil)",
	},
	{
		what: "Batch does not roll back to the savepoint of a call that failed", file: "backends/sqlite/batch_session.go", tests: ofSQLite,
		old: "errors.Join(c.Run(raw.RollbackTo), c.Run(raw.Release))",
		new: "errors.Join(c.Run(raw.Release))",
	},
	{
		what: "Batch ignores a deferred foreign key that is violated", file: "backends/sqlite/conn_tx.go", tests: ofSQLite,
		old: "if c.DeferredViolations() {",
		new: "if false {",
	},
	{
		what: "Batch does not notice that a call ended the shared transaction", file: "backends/sqlite/batch_session.go", tests: ofSQLite,
		old: "if c.Autocommit() || c.Rollbacks() != s.rollbacks || c.Torn() {",
		new: "if c.Autocommit() || c.Torn() {",
	},
	{
		what: "Batch says of calls whose transaction was lost that they were committed", file: "backends/sqlite/batch_runner.go", tests: ofSQLite,
		old: "r.session.rollBack()\n\t\tr.runAgain()\n",
		new: "r.session.rollBack()\n\t\tfor _, call := range r.done {\n\t\tcall.finish(nil)\n\t}\n",
	},
	{
		what: "Batch says of calls that could not be committed that they were", file: "backends/sqlite/batch_runner.go", tests: ofSQLite,
		old: "for _, call := range r.done {\n\t\tcall.finish(err)\n",
		new: "for _, call := range r.done {\n\t\tcall.finish(nil)\n",
	},
	{
		what: "a file that was replaced goes unnoticed", file: "backends/sqlite/file.go", tests: ofSQLite,
		old: "case !os.SameFile(opened, now):",
		new: "case !os.SameFile(now, now):",
	},
	{
		what: "under load a file that was replaced goes unnoticed", file: "backends/sqlite/conn_identity.go", tests: ofSQLite,
		old: "if now-last < int64(spotCheckEvery) ||",
		new: "if true || now-last < int64(spotCheckEvery) ||",
	},
	{
		what: "the connections of one file close at the same moment", file: "backends/sqlite/conn_close.go", tests: ofSQLite,
		old: "leave := closings.enter(c.database.resolved())",
		new: "leave := func() {}",
	},
	{
		what: "the log of a file that was replaced is left to the next one", file: "backends/sqlite/conn_close.go", tests: ofSQLite,
		old: "if c.mode != Writer || c.file == nil ||",
		new: "if true || c.mode != Writer || c.file == nil ||",
	},
	{
		what: "a new file is made beside the log of one that is gone", file: "backends/sqlite/file_create.go", tests: ofSQLite,
		old: "if err := checkOrphanedLog(path); err != nil {",
		new: "if err := checkOrphanedLog(path); false && err != nil {",
	},
	{
		what: "a function that was replaced goes unnoticed", file: "backends/sqlite/internal/raw/settings.go", tests: ofSQLite,
		old: "s.Registered.add(f.FpUserData, f.FxSFunc)",
		new: "s.Registered.add(0, 0)",
	},
	{
		what: "Batch releases the writer before it says whose calls run again", file: "backends/sqlite/batch_runner.go", tests: ofSQLite,
		old: "r.session.rollBack()\n\t\tr.runAgain()\n",
		new: "r.session.rollBack()\n\t\tr.held = false\n\t\tr.session.release()\n\t\tr.runAgain()\n",
	},
	{
		what: "a checkpoint does not wait for the lock of another process", file: "backends/sqlite/wal_checkpoint.go", tests: ofSQLite,
		old: "return w.connection.pause(checkpointPoll, lockWaitLimit-time.Since(w.began))",
		new: "return false",
	},
	{
		what: "the lock of another process is taken for a snapshot", file: "backends/sqlite/wal_checkpoint.go", tests: ofSQLite,
		old: "if w.locked = !w.connection.CheckpointWrites(); w.locked {",
		new: "if !w.connection.CheckpointWrites() {",
	},
	{
		what: "a new snapshot is taken for the one that pinned the log before", file: "backends/sqlite/wal_tracker.go", tests: ofSQLite,
		old: "t.pin.moved != done.Moved || ",
		new: "",
	},
	{
		what: "what a COMMIT that failed has left in the log is not overwritten", file: "backends/sqlite/conn_commit.go", tests: ofSQLite,
		old: "return c.file != nil && c.FailedCommits() != c.failures",
		new: "return false",
	},
	{
		what: "Batch runs calls again whose outcome is unknown", file: "backends/sqlite/batch_runner.go", tests: ofSQLite,
		old: "len(r.done) > 1 && !errors.Is(err, ErrOutcomeUnknown)",
		new: "len(r.done) > 1 && errors.Is(err, err)",
	},
	{
		what: "the connection that knows what was committed is closed", file: "backends/sqlite/conn_commit.go", tests: ofSQLite,
		old: "d.parked = true\n\treturn true",
		new: "d.kept = nil\n\treturn false",
	},
	{
		what: "a commit relies on a log that may not be on the disk", file: "backends/sqlite/conn_commit.go", tests: ofSQLite,
		old: "c.database.options.Synchronous == SyncNormal || !doubt.unsynced.Load()",
		new: "true",
	},
	{
		what: "a checkpoint relies on a log that may not be on the disk", file: "backends/sqlite/conn_commit.go", tests: ofSQLite,
		old: "if !doubt.unsynced.Load() && !doubt.unmoved.Load() || !c.Autocommit() {",
		new: "if true {",
	},
	{
		what: "the wait for the lock begins anew with the turn", file: "backends/sqlite/conn_busy.go", tests: ofSQLite,
		old: "c.lockUntil = began.Add(limit)",
		new: "c.lockUntil = time.Now().Add(limit)",
	},
	{
		what: "migrations run with the foreign keys of the one before", file: "backends/sqlite/file_migrate.go", tests: ofSQLite,
		old: "err = c.restoreForeignKeys(ctx)",
		new: "err = nil",
	},
}
