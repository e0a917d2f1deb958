//go:build unix

package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// checkPermission returns an error that wraps fs.ErrPermission if this process must not read the file at path,
// or write it. It does not open it.
func checkPermission(path string, write bool) error {
	const read, readWrite = 4, 4 | 2
	if write {
		return access(path, readWrite)
	}
	return access(path, read)
}

// syncDirectory makes the names in a directory last. As SQLite does, it leaves a directory alone
// that this process may not read, or whose file system has no such sync.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	} else if err != nil {
		return err
	}
	err = directory.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, directory.Close())
}

// linksOf is how many names the file has.
func linksOf(file os.FileInfo) int {
	if stat, ok := file.Sys().(*syscall.Stat_t); ok {
		return int(stat.Nlink)
	}
	return 1
}
