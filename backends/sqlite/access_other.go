//go:build !unix

package sqlite

// accessible leaves it to SQLite to find out.
func accessible(string, bool) error { return nil }

// syncDirectory leaves it to the file system.
func syncDirectory(string) error { return nil }
