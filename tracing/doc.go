// Package tracing shows what a pool does as OpenTelemetry spans and metrics.
//
// One line turns it on, in the options of a pool or of a database:
//
//	pool.Options{Observer: tracing.Observer(tracing.Options{})}
//
// The providers are the global ones unless [Options] has others. Only OpenTelemetry's API is imported:
// without an SDK nothing is recorded.
//
// # Spans
//
// P is the pool's name. These are of the kind INTERNAL:
//
//	span       is                                                     below
//	acquire P  the call, waiting, building and hooks included         the span of the caller's ctx
//	create P   the Construct hook                                     the acquire that it is for, or the caller of Warm
//	release P  the end of the lease, with the Reset hook              the span of the caller's ctx at acquire, or the acquire if there is none
//
// So acquire and release are siblings, and what the caller does in between is a third one.
// What a pool builds on its own account, for MinIdle, has no span. An acquire that gets a value
// which was built in another trace links to its create span, if it is among the last 1024 of values that nobody observed has acquired.
// [SpanMode] says when there are any; it is decided at acquire, for the whole lease.
//
// A backend that tells of its operations, as backends/sqlite does of Read, Write and Batch, has spans for these, too.
// D is the database, the base name of its file:
//
//	span          is                                                      below
//	write D       the call of Write; read D and batch D are the others    the span of the caller's ctx
//	acquire P     as above; so is release P                               the operation
//	commit        what waits for the disk                                 the operation; those that share it link to one
//	checkpoint D  a checkpoint that moved pages, waited or failed         the caller's of Checkpoint; else it is a trace of its own
//
// The operations are of the kind CLIENT, as the semantic conventions of databases have it. Their status is Error if the caller got an error:
// that of SQLite, of COMMIT, of the pool, or the function's own. What a database acquires by itself, for a checkpoint or in Close, has no span.
//
// Attributes, at the start: of the pool's spans its name, as headpond.pool.name or, for a database system, db.client.connection.pool.name;
// db.system.name and db.namespace; of operations db.operation.name; Options.Attributes. A commit has none. At the end:
//
//	db.operation.batch.size      of a batch: how many calls its commit served, if several
//	headpond.batch.attempt       of a batch: how often its function was called
//	db.response.status_code      of an operation that failed in SQLite: the number of the extended code, as 2067
//	headpond.checkpoint.pages    pages in the log when a checkpoint began
//	headpond.checkpoint.moved    pages that it moved into the database file
//	headpond.checkpoint.held_back  for how long readers were kept waiting for it, in seconds
//	headpond.resource.id         the number of the value, as errors and pages have it
//	headpond.acquire.source      idle, created or handoff
//	headpond.acquire.discarded   how many values were retired before one was right, where there were any
//	headpond.batch.size          of a Batch of SQLite's: how many calls shared its transaction
//	headpond.resource.use_time   of a release: for how long the value was held, in seconds
//	headpond.release.outcome     returned, destroyed or detached
//	headpond.destroy.reason      why it was destroyed
//	error.type                   timeout, pool_closed, saturated, nested, panicked, canceled, unavailable,
//	                             the code of an error that has one (SQLITE_CONSTRAINT_UNIQUE), else its type or _OTHER
//
// The status is Error if error.type is set, but for a caller that gave up (canceled)
// and for a TryAcquire that found nothing idle (unavailable).
//
// A statement has a span too if [Options].Statements says so and the backend tells of it, as backends/sqlite does:
// of the kind CLIENT, named after the first word of the text and the database, below the operation, or the caller of Acquire. It has
//
//	db.query.text                         the text as it was prepared, never a bound value
//	headpond.statement.rows               rows that it returned or changed
//	headpond.statement.fullscan_steps     rows that it stepped over in scans of whole tables
//	headpond.statement.sorts              how many times it sorted for want of an index
//	headpond.statement.auto_indexes       rows that went into an index made for this run alone, if there were any
//
// # Metrics
//
// For a database system (see [Options].System) the names in the first lines begin with db.client.connection, as in the semantic conventions,
// otherwise with headpond.resource:
//
//	.wait_time .create_time .use_time   histograms, in seconds: of every acquire, Construct and lease
//	.count                              values that are idle or used, by .state
//	.max .idle.min .pending_requests    MaxSize, MinIdle, callers that wait
//	.timeouts                           acquires that ran out of time
//	db.client.operation.duration        histogram, in seconds: of every operation, by db.operation.name and error.type
//	headpond.resource.constructing      values that are being built
//	headpond.resource.destroyed         values that ended, by headpond.destroy.reason
//	headpond.resource.oldest_use        for how long the longest lease has been held, in seconds
//	headpond.resource.oldest_wait       for how long the first of those that wait has waited, in seconds
//	headpond.resource.leaked            leases that were held for longer than LeakAfter
//
// and a counter or a gauge for each of the backend's own figures, where the pool's name is that of its owner:
// of the database "orders", of which "orders.readers" is a pool. Histograms are recorded with the ctx of the acquire,
// so that exemplars lead to a trace, and with error.type where it or a Construct failed; everything else is read from the pool when it is collected.
// Closing the pool unregisters that.
//
// # What is never exported
//
// The text of an error, a path, an argument, and SQL unless Options.Statements asks for it. A status has no description,
// no exception is recorded, and error.type is a code name or the name of a type.
// Of a db.namespace in Options.Attributes only the base name is; the others are exported as they are.
//
// # Cost
//
// Where nothing records (under a span that is not sampled, or with [WithParent] under none,
// and without an SDK for metrics) a lease costs a few comparisons and no allocation;
// an OpenTelemetry older than 1.40 can't say that it has no SDK for metrics, and there they are recorded to no end.
// Metrics alone allocate nothing either; with the spans of a sampled trace a lease makes 12 allocations at most,
// and two more for a processor of the SDK's. A Read, a Write or a call of a Batch makes 8 more at most, its commit and its link included,
// and one for each of the two spans with a processor. To see that and the time, in a copy of the repository:
//
//	go test ./tracing -run Allocations -v
//	go test ./tracing -run - -bench Lease
package tracing
