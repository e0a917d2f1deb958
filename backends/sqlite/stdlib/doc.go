// Package stdlib is the way to a [sqlite.DB] through database/sql: for programs, mappers and libraries that are written on it.
//
//	db, err := sqlite.Open(ctx, "app.db", sqlite.Options{})
//	sqlDB := stdlib.OpenDB(db, stdlib.Options{})
//
//	sqlDB, err := sql.Open("headpond", "app.db?readers=8&synchronous=full")
//
// An unchanged program gets what the DB has: reads run side by side on readers, writes come first come, first served on the
// one writer, autocommit writes share commits, and "database is locked" is left to other processes. It needs no SetMaxOpenConns.
// SetMaxOpenConns(1) works, and makes everything wait for everything again.
//
// # Sessions
//
// What database/sql takes for a connection is a session, which has no connection of SQLite until a statement needs one.
// It takes a reader or the writer from the pools of the DB then, and gives it back when the statement is over,
// the transaction has ended, or the rows were read: through the verified reset. So the pools' limits, timeouts, holders, spans and leak reports hold here, too.
//
//   - SELECT, VALUES, EXPLAIN, WITH and PRAGMA run on a reader if SQLite says that they are read-only.
//   - An autocommit INSERT, UPDATE, DELETE or REPLACE runs in [sqlite.DB.Batch]: it has been committed when Exec, or Query
//     for RETURNING, returns. One that calls a function that is not SQLite's own, also through a trigger, or that may roll back
//     (OR ROLLBACK, RAISE(ROLLBACK), also in the schema) runs by itself, exactly once; and so do all with [Options].NoBatch.
//   - Begin is BEGIN IMMEDIATE on the writer, with ReadOnly one snapshot on a reader.
//     BEGIN, COMMIT, ROLLBACK, SAVEPOINT and RELEASE as text are the same on a *sql.Conn.
//     On a *sql.DB nothing holds the session from one call to the next: BEGIN is rolled back at once and counted as a finding,
//     and the statements after it commit one by one.
//   - A transaction that SQLite ended by itself, as an interrupted write does, is over: each later statement, and Commit,
//     returns [sqlite.ErrRolledBack]. Nothing of it commits.
//   - DDL, VACUUM, ATTACH and other pragmas run on the writer by themselves. A temporary table, an attached database or such a pragma
//     keeps the writer, and lasts, until the session is put back: for a *sql.Conn that is its Close, for a *sql.DB the end of the call.
//     So a pragma for all connections belongs in the data source name. Nothing of it lasts longer than [Options].IdleInTx without use.
//   - The pragmas foreign_keys, legacy_alter_table, recursive_triggers, ignore_check_constraints, case_sensitive_like
//     and defer_foreign_keys belong to the session, which sets them on whatever connection it takes. As with other drivers they last
//     as long as the session, which database/sql gives to one caller after another: set them back, or use a *sql.DB of your own.
//
// Foreign keys are enforced. Other drivers do not, unless they are told to.
//
// Text in double quotes that names no column is a string, as it is in other drivers. For package sqlite it is an error.
//
// # Rows
//
// Rows are read ahead, up to 256 rows or 64 KiB; a reader whose rows are all read goes back at once.
// A larger result keeps its reader until it is closed, and for each of them the DB opens one more than Options.Readers,
// up to Options.MaxReaders. Past that, and in memory, all rows are read at once. So rows that are open while others are asked for do not wait for themselves.
//
// # Values
//
// Integers, floats, text, bytes and NULL come as they are stored. A column that was declared as DATE, DATETIME or TIMESTAMP is read as
// a time.Time, from each form that drivers and SQLite's functions write, and from integers (seconds to nanoseconds, told by their size);
// one declared as BOOLEAN as a bool. A value without a declared type, as of RETURNING or max(), is a time.Time only in exactly
// the form in which this driver writes one: to scan such a text into a string gives it as RFC 3339, with a T.
// NaN is stored as NULL. A uint64 that does not fit an int64 is an error, and so is a time that its format can't have.
//
// # Scripts
//
// Several statements in one text run one after the other on the writer; positional arguments are used up from left to right.
// A script is no transaction: if a statement fails, those before it stay, unless the script itself begins and ends one.
// The rows of the first statement that has any come first, NextResultSet goes on to the next; other drivers show those of the last.
// Exec's result is that of the last statement. A transaction that a script leaves open is rolled back, and an error.
//
// # Errors
//
// What SQLite says is an [*Error] with its codes; a [*pool.Error], [sqlite.ErrRolledBack] and a ctx that has ended
// are seen through it by errors.Is and errors.As.
//
// # Data source names
//
// A name is a path, or :memory:, with keys behind a question mark. An unknown key, and a value that is out of range, is an error that names it.
//
//	name                                     sqlite.Options.Name
//	mode                                     ro: sqlite.Options.ReadOnly; rwc, the default
//	readers, max_readers, max_waiters        the fields of sqlite.Options of that name
//	max_statements, max_batch                the same
//	max_batch_time                           a duration such as 5s, or milliseconds
//	acquire_timeout, busy_timeout            the same, or off
//	leak_after                               the same, or off (the default)
//	cache_size, mmap_size                    bytes, or such as 64MiB
//	journal_size_limit                       the same
//	synchronous                              off, normal (the default), full, extra
//	foreign_keys, defensive, cell_size_check on (the default) or off
//	trusted_schema, foreign_checkpoints      on or off (the default)
//	temp_in_memory                           the same
//	file_mode                                octal, such as 0640
//	pragma                                   name(value); may be given several times
//	batch                                    off: Options.NoBatch
//	time_format                              text (the default), unix, unix_milli, unix_nano
//	idle_in_tx                               Options.IdleInTx: a duration, or off
//
// A path that begins with file: is decoded as that of a URL.
//
// Keys of other drivers are errors that name the key to use. Write busy_timeout for _busy_timeout and _timeout,
// foreign_keys for _foreign_keys and _fk, synchronous for _synchronous and _sync, cache_size (in bytes) for _cache_size,
// pragma for _pragma, and delete _journal_mode and _txlock: the journal is WAL, and a transaction that may write is IMMEDIATE.
//
// All that open one file by name share one DB, by whatever path, and the last one to close it closes that:
// it waits some 6s for transactions and rows that are still open, and its error names them, with leak_after by the lines that took them.
// Other options of the database for a file that is open are an error, as mode=ro beside rwc is. Each :memory: is a database of its own.
// A DB of [sqlite.Open] on the same file is another one beside it, as another process would have.
package stdlib
