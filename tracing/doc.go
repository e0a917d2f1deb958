// Package tracing shows what a pool does as OpenTelemetry spans and metrics.
//
// One line turns it on:
//
//	pool.Options{Observer: tracing.Observer(tracing.Options{})}
//
// # Spans
//
// An acquire is the span "acquire P", where P is the pool's name: from the call to its return,
// waiting and building included. A value that is built for it is "create P" below it.
// The end of the lease is "release P", a sibling of the acquire: both are children
// of the span that the caller's ctx had at acquire.
// All are of the kind INTERNAL. [SpanMode] says when there are any.
//
// # Metrics
//
// Histograms of the time that acquires, builds and leases take, recorded with the caller's ctx,
// so that exemplars lead to a trace; and counts, which are read from the pool when they are collected.
// With [Options.System] they have the names of the semantic conventions for database clients,
// otherwise names of headpond's own; the package's example lists them.
// Closing the pool unregisters the counts.
//
// # What is never exported
//
// The text of an error, a path, SQL or an argument. A status has no description,
// no exception is recorded, and error.type is a code name or the name of a type.
//
// # Cost
//
// Where nothing records (under a span that is not sampled, or with [WithParent] under none,
// and without an SDK for metrics) a lease costs a few comparisons and no allocation.
// Metrics alone allocate nothing either.
package tracing
