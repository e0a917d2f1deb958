// Package pocketbase tests that PocketBase does its work on backends/sqlite/stdlib, through its DBConnect.
// It is a module of its own, since PocketBase brings many others; and its test is built with the tag long alone.
//
//	go test -C internal/ecosystem/pocketbase -tags long .
package pocketbase
