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
// All are of the kind INTERNAL, and P is the pool's name.
//
//	span       is                                                     below
//	acquire P  the call, waiting, building and hooks included         the span of the caller's ctx
//	create P   the Construct hook                                     the acquire that it is for, or the caller of Warm
//	release P  the end of the lease, with the Reset hook              the span of the caller's ctx at acquire
//
// So acquire and release are siblings, and what the caller does in between is a third one.
// What a pool builds on its own account, for MinIdle, has no span. An acquire that gets a value
// which was built in another trace links to its create span.
// [SpanMode] says when there are any; it is decided at acquire, for the whole lease.
//
// Attributes, at the start: the pool's name, as headpond.pool.name or with [Options.System] db.client.connection.pool.name;
// db.system.name; Options.Attributes. At the end:
//
//	headpond.resource.id         the number of the value, as errors and pages have it
//	headpond.acquire.source      idle, created or handoff
//	headpond.acquire.discarded   how many values were retired before one was right, where there were any
//	headpond.batch.size          of a Batch of SQLite's: how many calls shared its transaction
//	headpond.resource.use_time   of a release: for how long the value was held, in seconds
//	headpond.release.outcome     returned, destroyed or detached
//	headpond.destroy.reason      why it was destroyed
//	error.type                   timeout, pool_closed, saturated, nested, panicked, canceled, unavailable,
//	                             the code of an error that has one (SQLITE_CANTOPEN), else its type or _OTHER
//
// The status is Error where error.type is set, but for a caller that gave up (canceled)
// and for a TryAcquire that found nothing idle (unavailable).
//
// # Metrics
//
// With a System the names in the first lines begin with db.client.connection, as in the semantic conventions,
// otherwise with headpond.resource:
//
//	.wait_time .create_time .use_time   histograms, in seconds: of every acquire, Construct and lease
//	.count                              values that are idle or used, by .state
//	.max .idle.min .pending_requests    MaxSize, MinIdle, callers that wait
//	.timeouts                           acquires that ran out of time
//	headpond.resource.constructing      values that are being built
//	headpond.resource.destroyed         values that ended, by headpond.destroy.reason
//	headpond.resource.oldest_use        for how long the longest lease has been held, in seconds
//
// and a gauge for each of the backend's own figures. Histograms are recorded with the ctx of the acquire,
// so that exemplars lead to a trace, and with error.type where it or a Construct failed; everything else is read from the pool when it is collected.
// Closing the pool unregisters that.
//
// # What is never exported
//
// The text of an error, a path, SQL or an argument. A status has no description,
// no exception is recorded, and error.type is a code name or the name of a type.
// Of a db.namespace in Options.Attributes only the base name is; the others are exported as they are.
//
// # Cost
//
// Where nothing records (under a span that is not sampled, or with [WithParent] under none,
// and without an SDK for metrics) a lease costs a few comparisons and no allocation.
// Metrics alone allocate nothing either; with the spans of a sampled trace a lease makes 12 allocations at most,
// and two more for a processor of the SDK's. To see that and the time, in a copy of the repository:
//
//	go test ./tracing -run Allocations -v
//	go test ./tracing -run - -bench Lease
package tracing
