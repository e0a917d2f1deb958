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
// # Read, Write, Batch, or the pools
//
// SQLite commits one transaction at a time, and a write-ahead log lets any number of readers go on meanwhile.
// A [DB] is made of that: some read-only connections, and one that writes.
//
//   - [DB.Read] gives one snapshot on a reader. Take it for whatever does not write.
//   - [DB.Write] is a transaction on the writer, first come, first served. Take it where the function has effects
//     outside of the database, or takes long: it runs exactly once.
//   - [DB.Batch] shares a transaction and its commit with the calls that arrive at the same time. Take it
//     where many goroutines write a little each. The function may run a second time.
//   - [DB.Readers] and [DB.Writer] are the pools below. Take them for statements that can't run in a transaction,
//     as VACUUM; for many reads that need no common snapshot; for a connection that outlives a function.
//
// Write never meets SQLITE_BUSY from its own DB, and alone it commits. A COMMIT inside it is refused;
// where the transaction ends early, by OR ROLLBACK, a full disk or an interrupt, what follows it
// is not committed behind the caller's back, and Write returns [ErrRolledBack] or the error of ctx.
//
// With the ctx that their function gets, Write, Batch and Checkpoint inside Read, Write or Batch
// are pool.ErrNested at once, and so is a Read inside a Read where every reader is taken.
// A Read inside a Write or Batch sees what was committed before it. In memory all of these are ErrNested.
//
// # How a connection comes back
//
// A release brings a connection back to its baseline, and proves it, in this order:
//
//  1. The borrower's ctx can't interrupt it any more; an interrupt that came, or a channel of the borrower's, is taken off.
//  2. Limits get their values back: a low one would break what follows.
//  3. Where the last statement found the file or the disk broken, this connection and all others that are open end;
//     where it found that a writer can't write, this one.
//  4. Statements in the middle of their rows and open blobs are reset, cached or not.
//  5. A transaction is rolled back, with all of its savepoints, whatever an authorizer of the borrower's says of it.
//     None is ever released: that could commit.
//  6. No statement may be busy and no transaction open; then a savepoint is set and released, or the connection ends.
//     That pair alone would prove nothing: it succeeds inside a transaction, too.
//  7. The busy handler is put back.
//  8. What can't be undone costs the connection: a pragma, a temporary table, ATTACH, a function,
//     a collation or module, an authorizer, a session, more cached statements than Options.MaxStatements.
//
// Pragmas that reach further than a connection are refused (temp_store_directory, data_store_directory, hard_heap_limit,
// soft_heap_limit): they are for Options.Setup.
//
// What was found is counted in [Stats], and told to Options.OnFinding on the goroutine that was careless.
// [Reset] does the same for a connection of any pool, as far as its baseline is known.
//
// # A pool for programs that use sqlitex.Pool
//
// [NewPool] stands in for it: change the import and the constructor. PoolSize is Options.Readers, PrepareConn is Setup.
// All of its connections write, and wait for each other's locks as those of sqlitex.Pool do, but they come back clean.
// Where many goroutines write, a DB serves them better. [Hooks] are for a pool under one's own options.
//
// # Files, modes, several processes
//
// A database is the file at a path, and beside it the write-ahead log (-wal) and its index (-shm).
// The directory has to exist, and be writable for whoever writes. Most network file systems can't share the index: [ErrNoWAL].
//
// Open creates a file with its mode, its journal mode and its schema complete, or not at all:
// it is made under a temporary name in the same directory
// (where there are no links, in place: then it is empty for a moment). Options.FileMode is 0600, whatever the umask,
// and the -wal and -shm files get the same. A [Reader], and ReadOnly, never create it.
//
// Any number of processes may use the file. They wait for each other's locks, in no order, until ctx ends
// or for Options.BusyTimeout. Within a process take one DB for a file: only its own callers wait in line.
//
// A file that is deleted, renamed, replaced or emptied while it is open is noticed when a connection is acquired:
// the one that was idle for CheckAfterIdle of its policy, and one a second of those that are not.
// Then all connections end, and opening another one is [ErrReplaced],
// since the write-ahead log at the path may belong to the old file. Put the file back, or close, and open again.
// Open does not make a new file beside the log of one that is gone: that is [ErrNoFile].
//
// [OpenMemory] makes a database that lives until Close. Its readers and its writer share one connection.
//
// # The write-ahead log
//
// A commit appends to the log, and checkpoints move its pages into the database file. When all are moved and no snapshot
// needs them, the log starts over. From 1000 pages on each commit moves what it can; a DB moves the rest within
// about a second, and empties a log that is larger than Options.JournalSizeLimit: readers that overlap would keep it
// from starting over for ever. For that it holds back new readers, for 100 ms at most.
//
// A snapshot that lasts makes the log grow. Stats.WAL says so, and Options.OnPinned which reader it most likely is.
// A Backup is such a snapshot.
//
// [DB.Checkpoint] empties the log now: before the file is copied by other means, or after a great change.
// [DB.Backup] copies the database while it is in use, to a file that is complete by itself.
// Close runs PRAGMA optimize and empties the log, where nobody is in the way.
//
// # Tuning for production
//
//   - Readers: how many read at the same time; each has a page cache of CacheSize.
//     Stats.Readers.Waited says whether there are too few.
//   - BusyTimeout: what a wait for other processes may take. It is part of the time for which the writer is held.
//   - Synchronous: with SyncNormal a loss of power may take the last commits, and never breaks the file.
//     With SyncFull a commit waits for the disk: use Batch, whose calls share that.
//   - JournalSizeLimit: 64 MiB. A larger one holds readers back less often, and takes more of the disk.
//   - MaxBatch and MaxBatchTime: how far a batch goes on taking calls in while a Write waits.
//   - AcquireTimeout and MaxWaiters: as for any pool. Those who wait for Batch are counted by themselves.
//   - LeakAfter: its stack is also what names the reader that pins the log.
//   - ReaderPolicy and WriterPolicy: a sound connection does not age, so the zero policy is right.
//     A MaxIdleTime for readers frees their caches.
//   - Observer: with tracing, give it the System "sqlite".
//
// # What a borrower must not do
//
// Use a connection, or a statement of it, from two goroutines or after its release: that crashes SQLite.
// Open the database file by other means in the same process, as os.ReadFile does: closing it drops SQLite's locks.
// Call Conn.SetDefensive, which in zombiezen v1.4.2 writes to a wild address; set Options.NoDefensive instead.
package sqlite
