// Package sqlite makes SQLite safe and fast under concurrency.
//
// [Hooks] are what a pool needs to hold connections to a database file: they open one completely and verify it,
// make a caller's ctx end what runs and what waits for a lock,
// bring a connection back to its baseline at every release, and notice that the file was replaced.
package sqlite
