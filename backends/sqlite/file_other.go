//go:build !unix

package sqlite

import "os"

// checkPermission leaves it to SQLite to find out.
func checkPermission(string, bool) error { return nil }

// syncDirectory leaves it to the file system.
func syncDirectory(string) error { return nil }

// linksOf does not know of hard links.
func linksOf(os.FileInfo) int { return 1 }

// mounted does not know of mounts of files.
func mounted(string) bool { return false }
