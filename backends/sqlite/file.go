package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/headpond/headpond/internal/ctxerr"
)

// A database is a file, and beside it, under its name with a suffix, SQLite's own.
const (
	walSuffix     = "-wal"
	shmSuffix     = "-shm"
	journalSuffix = "-journal"
)

var (
	// suffixes are those of all files that make up a database, its own name first.
	suffixes = []string{"", walSuffix, shmSuffix, journalSuffix}
	// logSuffixes are those of the files whose content SQLite takes for the database's, whichever database left them there.
	logSuffixes = []string{walSuffix, journalSuffix}
)

// resolved is path without links, as SQLite has it: the -wal and -shm files are there.
func resolved(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}

// absolute is filepath.Abs of a path that the system follows: in link/../app.db it is the directory above the one that the link leads to.
func absolute(path string) (string, error) {
	if slices.Contains(strings.Split(filepath.ToSlash(path), "/"), "..") {
		if followed, err := withoutLinks(path); err == nil {
			path = followed
		}
	}
	return filepath.Abs(path)
}

// withoutLinks returns path, absolute, with the directory that the system finds there. What is in it need not be there.
func withoutLinks(path string) (string, error) {
	directory, base := filepath.Split(path)
	if base == "" || base == "." || base == ".." {
		directory, base = path, ""
	}
	if directory == "" {
		directory = "."
	}
	directory, err := filepath.EvalSymlinks(directory)
	if err != nil {
		return "", err
	}
	if directory, err = filepath.Abs(directory); err != nil {
		return "", err
	}
	return filepath.Join(directory, base), nil
}

// linkTarget is where a file at path is created: where a symbolic link that leads nowhere points to.
func linkTarget(path string) (string, error) {
	for range 40 { // as many as Linux follows
		link, err := os.Readlink(path)
		if err != nil {
			return path, nil // no link
		}
		if !filepath.IsAbs(link) {
			link = filepath.Dir(path) + string(filepath.Separator) + link // Join would take link/.. for nothing
		}
		if path, err = withoutLinks(link); err != nil {
			return "", err
		}
	}
	return "", errors.New("too many levels of symbolic links")
}

// temporaryPattern is that of the names of what is being made.
const temporaryPattern = ".headpond-*"

// temporary makes an empty file of that mode in the directory of path, to be linked to path when it is complete.
// remove takes it away again, with what SQLite made beside it.
func temporary(ctx context.Context, path string, mode fs.FileMode) (name string, remove func(), err error) {
	file, err := os.CreateTemp(filepath.Dir(path), temporaryPattern)
	if err != nil {
		return "", nil, err
	}
	name = file.Name()
	remove = func() {
		for _, suffix := range suffixes {
			removeFile(ctx, name+suffix) // most are not there
		}
	}
	if err := errors.Join(os.Chmod(name, mode), file.Close()); err != nil {
		remove()
		return "", nil, err
	}
	return name, remove, nil
}

// publish gives the file its name in place of the one that it has, unless there is something of that name.
// The other name goes at once, and without being opened: whoever has the file open by now would lose its locks.
func publish(name, path string) error {
	err := os.Link(name, path)
	if err == nil {
		_ = os.Remove(name)
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(path); err == nil { // a file system without links
		return fs.ErrExist
	}
	return os.Rename(name, path)
}

// syncFile gives a file its mode, by which nobody need be able to write it any more, and syncs it.
// No connection of this process has the file open: closing it would drop the locks of those.
// If ctx ends before, it returns, and the file is gone as soon as the disk is done with it.
func syncFile(ctx context.Context, name string, mode fs.FileMode) error {
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	synced := make(chan error, 1)
	go func() { synced <- errors.Join(file.Chmod(mode), file.Sync(), file.Close()) }()
	select {
	case err := <-synced:
		return err
	case <-ctx.Done():
		go func() {
			<-synced
			_ = os.Remove(name) // it is there still on a system that removes no open file
		}()
		return ctxerr.Ended(ctx)
	}
}

// removeFile removes a file, if it is there. To free the blocks of 400 MB takes 60 ms:
// if ctx has ended that is left to a goroutine, which closes the file. Not on Windows, which removes no open file.
func removeFile(ctx context.Context, name string) {
	if ctx.Err() == nil || runtime.GOOS == "windows" {
		_ = os.Remove(name)
		return
	}
	file, err := os.Open(name)
	if err != nil {
		return
	}
	_ = os.Remove(name)
	go file.Close()
}

// checkSameFile returns an error if now is not the file that was opened.
func checkSameFile(opened, now os.FileInfo) error {
	switch {
	case !os.SameFile(opened, now):
		return fmt.Errorf("%w: another file is at its path now: close, move away a -wal and a -shm file that did not come with it, and open again", ErrReplaced)
	case opened.Size() > 0 && now.Size() == 0:
		return fmt.Errorf("%w: it is empty now: put its content back, or close, and open again for a new database", ErrReplaced)
	}
	return nil
}

// errGone is the error of a file that was opened, and is there no more.
var errGone = fmt.Errorf("%w: there is no file at its path: put it back, or close, and open again for a new one", ErrReplaced)
