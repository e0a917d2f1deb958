// Package ecosystem tests that libraries which are written on database/sql do their work on backends/sqlite/stdlib:
// on a file, from many goroutines, with callers that give up. It is a module of its own, so that nobody else depends on them.
//
// The program suites beside it runs the tests that such libraries ship, unmodified: results.md has what came of it.
package ecosystem
