// Package sqlite makes SQLite safe and fast under concurrency: readers that see snapshots, a single writer
// with a FIFO queue, and connections that are verified clean before they are reused.
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
//   - [DB.Write] is a transaction on the writer, first come, first served. Take it if the function has effects
//     outside of the database, or takes long: it runs exactly once.
//   - [DB.Batch] shares a transaction and its commit with the calls that arrive at the same time. Take it
//     if many goroutines write a little each. The function may run a second time.
//   - [DB.Readers] and [DB.Writer] are the pools below. Take them for statements that can't run in a transaction,
//     as VACUUM; for many reads that need no common snapshot; for a connection that outlives a function.
//
// Write never meets SQLITE_BUSY from its own DB, and alone it commits. A COMMIT inside it is refused;
// if the transaction ends early, by OR ROLLBACK, a full disk or an interrupt, what follows it
// is not committed behind the caller's back, and Write returns [ErrRolledBack] or the error of ctx.
//
// The end of ctx interrupts what runs: a statement of many steps at once, one long step and a wait for a lock some 4 ms later at most.
//
// With the ctx that their function gets, Write, Batch and Checkpoint inside Read, Write or Batch
// fail at once with [pool.ErrNested], and so does a Read inside a Read if every reader is taken.
// A Read inside a Write or Batch sees what was committed before it. In memory, all of these fail with [pool.ErrNested].
//
// # How a connection comes back
//
// A release brings a connection back to its baseline, and proves it, in this order:
//
//  1. The borrower's ctx can't interrupt it any more; an interrupt that came, or a channel of the borrower's, is taken off.
//  2. Limits get their values back: a low one would break what follows.
//  3. If the last statement found the file broken, this connection and all others that are open end;
//     if it could not read the file, or found that a writer can't write, this one ends.
//  4. Statements in the middle of their rows and open blobs are reset, cached or not.
//  5. A transaction is rolled back, with all of its savepoints, whatever an authorizer of the borrower's says of it.
//     None is ever released: that could commit.
//  6. No statement may be busy and no transaction open; then a savepoint is set and released, or the connection ends.
//     That pair alone would prove nothing: it succeeds inside a transaction, too.
//     A reader on which nothing was found, and whose last call succeeded, is spared the pair.
//  7. The busy handler is put back.
//  8. What can't be undone costs the connection: a pragma, a temporary table, ATTACH, a function,
//     a collation or module, an authorizer, a session, more cached statements than [Options.MaxStatements].
//
// Pragmas that reach further than a connection are refused (temp_store_directory, data_store_directory, hard_heap_limit,
// soft_heap_limit): they are for [Options.Setup].
//
// What was found is counted in [Stats], and told to [Options.OnFinding] on the goroutine that was careless.
// [Reset] does the same for a connection of any pool, as far as its baseline is known.
//
// # Which statements take the time
//
// With [Options.SlowAfter] the Observer is told of every statement that takes as long: package poollog logs it,
// with tracing.Options.Statements it is a span, and it is on the page of package poolz. [Options.OnStatement] hears all of them.
// [DB.Statements] sums them up by their text: runs, time, rows, steps of full scans, sorts, indexes made for one run.
// All of that is SQLite's own count, and costs a statement a microsecond or two; without it SQLite is not asked, and it costs nothing.
// sqlitetest.NoFullScans fails a test whose statements lack an index.
//
// # A pool for programs that use sqlitex.Pool
//
// [NewPool] stands in for it: change the import and the constructor. PoolSize is [Options.Readers], PrepareConn is Setup, Flags are Flags.
// Its name may be a URI, or name a database in memory. [NewMigrationPool] stands in for sqlitemigration.Pool. All of its connections write, and wait for each other's locks as those of sqlitex.Pool do, but they come back clean.
// If many goroutines write, a DB serves them better. [Hooks] are for a pool under one's own options.
//
// # Files, modes, several processes
//
// A database is the file at a path, and beside it the write-ahead log (-wal) and its index (-shm).
// The directory has to exist, and be writable for every process that writes. Most network file systems can't share the index: [ErrNoWAL].
//
// Open creates a file with its mode, its journal mode and its schema complete, or not at all:
// it is made under a temporary name in the same directory
// (on a file system without links, in place: then it is empty for a moment). [Options.FileMode] is 0600, whatever the umask,
// and the -wal and -shm files get the same. A [Reader], and ReadOnly, never create it.
//
// Any number of processes may use the file. They wait for each other's locks, in no order, until ctx ends
// or for [Options.BusyTimeout]. Within a process take one DB for a file: only its own callers have a FIFO queue.
//
// A file that is deleted, renamed, replaced or emptied while it is open is noticed when a connection is acquired:
// the one that was idle for CheckAfterIdle of its policy, and one a second of those that are not.
// Then all connections end, and opening another one fails with [ErrReplaced],
// since the write-ahead log at the path may belong to the old file. Put the file back, or close, and open again.
// Open makes no new file beside the log of one that is gone: it returns [ErrNoFile].
// Where there is neither, it asks [Options.Restore] first.
//
// A file that has a second name (a hard link), or is itself a mount, as that of docker run -v app.db:/app.db, has a log beside each name,
// and what one process commits is lost to the other: opening it for writing fails with [ErrHardLinks] or [ErrMounted]. Mount its directory instead.
//
// [OpenMemory] makes a database that lives until Close. Its readers and its writer share one connection.
//
// # The write-ahead log
//
// A commit appends to the log, and checkpoints move its pages into the database file. When all are moved and no snapshot
// needs them, the log starts over. From 1000 pages on each commit moves what it can; a DB moves the rest within
// about a second, and truncates a log that is larger than [Options.JournalSizeLimit]: overlapping readers, and other processes
// that write, would keep it from starting over for ever. For that it waits for such a process for at most 100 ms,
// and then delays new readers for at most 100 ms. If several processes use headpond, each of them does so with its own limit.
//
// A snapshot that lasts makes the log grow. [Stats.WAL] says so, and [Options.OnPinned] which reader it most likely is.
// A Backup is such a snapshot. In another process, readers that overlap without a gap of 100 ms are like one:
// only that process could delay them, and it does so if it writes.
//
// [DB.Checkpoint] empties the log now: before the file is copied by other means, or after a great change.
// [DB.Backup] copies the database while it is in use, to a file that is complete by itself. [DB.BackupWith] can check that copy,
// and make it open on a disk that is mounted read-only.
// Close runs PRAGMA optimize and empties the log, if nothing is in the way.
//
// A service ends when its ctx does: a Close that it defers with that ctx closes what is idle, and interrupts what runs at once.
// Give it a ctx of its own, so that what runs has time to end:
//
//	defer func() {
//		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
//		defer cancel()
//		err = errors.Join(err, db.Close(last))
//	}()
//
// With [Options.ForeignCheckpoints] all of that but the backup is left to another program, such as Litestream, which copies
// the log to another machine; [Options.Restore] brings the database back from there, where there is no file.
//
// # Tuning for production
//
//   - Readers: how many read at the same time; each has a page cache of CacheSize.
//     Stats.Readers.Waited says whether there are too few.
//   - BusyTimeout: what a wait for other processes may take. It is part of the time for which the writer is held.
//   - Synchronous: with SyncNormal a loss of power may take the last commits. It does not break the file, unless the disk
//     has reported an error while several processes had the file open.
//     With SyncFull a commit waits for the disk: use Batch, whose calls share that.
//   - JournalSizeLimit: 64 MiB. A larger one holds readers back less often, and takes more of the disk.
//   - MaxBatch and MaxBatchTime: how far a batch goes on taking calls in while a Write waits.
//   - AcquireTimeout and MaxWaiters: as for any pool. Calls of Batch that wait are counted apart.
//   - LeakAfter: its stack is also what names the reader that pins the log.
//   - ReaderPolicy and WriterPolicy: a sound connection does not age, so the zero policy is right.
//     A MaxIdleTime for readers frees their caches.
//   - Observer: with tracing, give it the System "sqlite".
//
// # What differs from zombiezen's Conn
//
//   - An error of an SQL function that was registered with Conn.CreateFunction fails the statement, with the error's text and SQLITE_ERROR.
//     On a bare Conn of v1.4.2 the text becomes the function's value: INSERT stores it, and DELETE ... WHERE NOT f() deletes every row.
//
// # What a borrower must not do
//
// Use a connection, or a statement of it, from two goroutines or after its release: that crashes SQLite.
// Open the database file by other means in the same process, as os.ReadFile does: closing it drops SQLite's locks.
// Call Conn.SetDefensive, which in zombiezen v1.4.2 writes to a wild address; set [Options.NoDefensive] instead.
package sqlite
