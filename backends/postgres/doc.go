// Package postgres is PostgreSQL behind a [pool.Pool]: connections of pgx that come back to their next borrower as new,
// first come, first served.
//
//	db, err := postgres.Open(ctx, "postgres://app@db.example.com/orders", postgres.Options{})
//	...
//	err = db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
//		_, err := tx.Exec(ctx, "UPDATE stock SET n = n - 1 WHERE id = $1", id)
//		return err
//	})
//
// It is a module of its own, so that programs without PostgreSQL do not depend on pgx.
//
// # Read, Write, WriteSerializable, or the pools
//
//   - [DB.Read] gives one snapshot: REPEATABLE READ, READ ONLY. With several hosts it goes to a replica.
//   - [DB.Write] is a transaction that runs once at most. If it returns nil, it was committed; if it returns an error, it was not,
//     but for [ErrOutcomeUnknown]: COMMIT was sent, and its answer was lost.
//   - [DB.WriteSerializable] repeats the transaction if PostgreSQL asks for that. The function may run more than once.
//   - [DB.Readers] and [DB.Writer] are the pools below. Take them for statements that can't run in a transaction,
//     as CREATE INDEX CONCURRENTLY; to LISTEN; for a connection that outlives a function.
//   - [OpenDB] is a *sql.DB over either pool.
//   - [Hooks] are for a pool under one's own options.
//
// The functions get a transaction that only their caller commits: tx.Commit is an error, and COMMIT as a statement of its own
// closes the connection before it is sent. A ROLLBACK is theirs; then nothing more is sent, and Write returns [ErrRolledBack].
// tx.Begin makes a savepoint.
//
// With the ctx that their function gets, Write and WriteSerializable inside Read, Write or WriteSerializable
// fail at once with [pool.ErrNested], and so does a Read inside a Read if every reader is taken.
// A Read inside a Write sees what was committed before it.
//
// # How a connection comes back
//
// The package looks at the messages between pgx and the server, whatever part of pgx sends them. So a release knows
// whether its borrower may have changed the session, and if not, it asks the server nothing:
// it costs less than a microsecond. If so, one round trip looks at what was left behind and undoes it:
//
//   - a transaction: ROLLBACK
//   - settings, by SET or set_config: RESET ALL, then those that [Options.Setup] has set
//   - SET ROLE, SET SESSION AUTHORIZATION: RESET, then that of Setup
//   - LISTEN: UNLISTEN; notifications that pgx has kept are dropped
//   - cursors WITH HOLD: CLOSE ALL
//   - statements of SQL's PREPARE: DEALLOCATE each
//   - temporary tables, views, sequences, functions: DISCARD TEMP; what currval and lastval remember: DISCARD SEQUENCES
//   - advisory locks of the session: pg_advisory_unlock_all
//
// That is what DISCARD ALL does, without the loss of the statements that pgx has prepared, which stay.
// What can't be undone costs the connection: rows, a batch or a COPY left open, DEALLOCATE ALL and DISCARD ALL,
// which take pgx's statements, LOAD, dblink_connect, temporary replication slots. So does a reset that fails.
//
// What was found is counted in [Stats], and told to [Options.OnFinding] on the goroutine that was careless.
// What lasts no longer than its transaction, as SET LOCAL and set_config(..., true), is no finding, and no reason for a round trip.
//
// # What can't be seen
//
// The texts of statements are read for what they do to the session, and DO and CALL are taken to do anything.
// But a function that a SELECT calls, a trigger or a rule may change the session as well, and that is seen only
// in settings that the server reports (TimeZone, DateStyle, application_name, client_encoding, IntervalStyle, is_superuser,
// session_authorization, standard_conforming_strings, default_transaction_read_only). If yours do, by set_config, pg_advisory_lock
// or temporary tables in functions, set [Options.ResetAlways]: every release of a connection that was used then takes the round trip.
//
// Some things nothing undoes, and a round trip does not find. A setting of one's own, such as app.user, is empty after its reset
// if it was NULL before its first SET. A temporary schema stays in the session's search_path, and is empty.
// setseed lasts, and so do libraries that a function loaded. What currval and lastval remember of an INSERT stays until some other reason
// for a reset. On the client's side it is the types that were registered in Conn.TypeMap, and statements of Conn.Prepare: they belong in Setup.
//
// # When ctx ends
//
// The server is asked to cancel the statement, and the connection goes on. If the server has not answered after
// [Options.CancelTimeout], the connection is closed. The error wraps that of ctx, its cause, and PostgreSQL's.
// A COMMIT is cancelled as well: if the server says that it was, nothing was committed; if the answer does not come, the error is [ErrOutcomeUnknown].
//
// # When a connection is lost
//
// A connection that was lost while it was idle is replaced before the function of Read or Write runs: BEGIN is tried on others,
// one more than the pool can have. After that it is for the caller to repeat it: the error is an [*Error] that wraps [ErrLost],
// [ErrTerminated] or [ErrIdleInTransaction]. If the server crashed, all its connections are retired at the first that notices.
// Idle connections are looked at before they are handed out, after a second (see resource.Policy), and with CheckEvery
// in the background, which also keeps firewalls from forgetting them.
//
// # Behind PgBouncer
//
// In its session mode nothing is different. In its transaction mode a session is the bouncer's to reset, not its client's,
// and LISTEN, advisory locks and settings are not to be used at all. Readers set default_transaction_read_only
// when they connect: the bouncer has to ignore it (ignore_startup_parameters).
package postgres
