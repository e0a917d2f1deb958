//go:build unix && !linux

package sqlite

import (
	"os"
	"path/filepath"
	"syscall"
)

// access is access(2), which asks for the user who has started the program. If that is not the one with whose rights the program runs,
// it is left to SQLite to find out.
func access(path string, mode uint32) error {
	if os.Getuid() != os.Geteuid() || os.Getgid() != os.Getegid() {
		return nil
	}
	return syscall.Access(path, mode)
}

// mounted reports whether the file is on another file system than its directory.
func mounted(path string) bool {
	file, err := os.Stat(path)
	directory, dirErr := os.Stat(filepath.Dir(path))
	if err != nil || dirErr != nil {
		return false
	}
	one, ok := file.Sys().(*syscall.Stat_t)
	other, alsoOk := directory.Sys().(*syscall.Stat_t)
	return ok && alsoOk && one.Dev != other.Dev
}
