// Package sqlite makes SQLite safe and fast under concurrency: readers that see snapshots, one writer
// at which all wait in line, and connections that come back clean or not at all.
//
//	db, err := sqlite.Open(ctx, "orders.db", sqlite.Options{})
//	...
//	err = db.Write(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
//		return sqlitex.Execute(conn, "UPDATE stock SET n=n-1 WHERE id=?", &sqlitex.ExecOptions{Args: []any{id}})
//	})
//
// A Conn is one of zombiezen.com/go/sqlite, whose packages work with it.
//
// # Readers and one writer
//
// SQLite commits one transaction at a time, and a write-ahead log lets any number of readers go on meanwhile.
// A [DB] is made of that: [DB.Read] takes one of the read-only connections and gives a snapshot;
// [DB.Write] waits for the one writer, first come first served, and never meets SQLITE_BUSY from its own process. With [DB.Batch], many writers share one commit.
// [DB.Readers] and [DB.Writer] are the pools below, for those who begin and commit by themselves.
// Other processes may use the file at the same time: a wait for them ends with ctx or Options.BusyTimeout.
//
// Write alone commits. A COMMIT inside it is refused; where the transaction ends early,
// by OR ROLLBACK, a full disk or an interrupt, what follows it is not committed behind the caller's back,
// and Write returns [ErrRolledBack] or the error of ctx.
//
// # Connections
//
// [Hooks] are what any pool needs to hold connections; a DB is two pools of them.
// One is opened completely or not at all: WAL verified, every pragma read back, the file looked at.
// The end of a borrower's ctx interrupts what runs and what waits for a lock, within milliseconds.
//
// A release brings the connection back to its baseline, verified: statements in the middle of their rows
// and blobs are reset, transactions rolled back, limits, busy handler and interrupt restored.
// What can't be undone (a pragma, a temporary table, ATTACH, a function, an authorizer) costs the connection.
// What was found is counted in [Stats], and told to Options.OnFinding on the goroutine that was careless.
//
// A file that is deleted, renamed or replaced while it is open is noticed when an idle connection is next acquired:
// it and all others are closed, and opening another one is [ErrReplaced],
// since the write-ahead log at the path may belong to the old file. Close, and open again.
//
// # What a borrower must not do
//
// Use a connection, or a statement of it, from two goroutines or after its release: that crashes SQLite.
// Open the database file by other means in the same process, as os.ReadFile does: closing it drops SQLite's locks.
// Call Conn.SetDefensive, which in zombiezen v1.4.2 writes to a wild address; set Options.NoDefensive instead.
package sqlite
