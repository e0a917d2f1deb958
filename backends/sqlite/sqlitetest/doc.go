// Package sqlitetest helps to test code that is given a database.
//
//	func TestOrder(t *testing.T) {
//		db := sqlitetest.Open(t, shop.Schema)
//		err := shop.Order(t.Context(), db, "rope")
//		...
//	}
//
// # One database for a test
//
// [Open] makes a new file in a directory of the test's own, [OpenMemory] a database in memory, each with its schema.
// Tests that run in parallel do not meet. A file is what a service has: readers see snapshots beside the writer.
// In memory, readers and the writer take turns, so that a Read inside a Write fails with pool.ErrNested.
//
// # That every lease comes back
//
// When the test ends, the database is closed, and every lease has to be back: what is still out fails the test,
// and is named with the line that acquired it. [CloseAtEnd] does that for a DB that the test opened itself.
//
// # That statements find their indexes
//
// [NoFullScans] fails a test whose statements scan whole tables, with SQLite's plan of each.
package sqlitetest
