//go:build unix

package sqlite

import (
	"errors"
	"os"
	"syscall"
)

// accessible returns an error that is fs.ErrPermission where this process must not read the file at path,
// or write it. It does not open it.
func accessible(path string, write bool) error {
	const read, readWrite = 4, 4 | 2
	if write {
		return syscall.Access(path, readWrite)
	}
	return syscall.Access(path, read)
}

// syncDirectory makes the names in a directory last.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
