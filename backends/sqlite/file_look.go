package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"zombiezen.com/go/sqlite"
)

// look looks at what is at the path, without opening it:
// a descriptor that is closed drops the locks of every connection in this process.
func (d *database) look(ctx context.Context, mode Mode) (os.FileInfo, error) {
	file, err := os.Stat(d.path)
	switch {
	case err == nil && !file.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %v", ErrNotFile, file.Mode().Type())
	case err == nil && mode == Writer && !d.wasOpened():
		return file, errors.Join(d.checkAccess(mode), checkAlone(ctx, d.path))
	case err == nil:
		return file, d.checkAccess(mode)
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR): // Windows says the former of a path below a file
		return nil, err
	case d.wasOpened():
		return nil, errGone
	}
	if parent, parentErr := os.Stat(filepath.Dir(d.path)); parentErr != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDirectory, parentErr)
	} else if !parent.IsDir() {
		return nil, fmt.Errorf("%w: %s is no directory", ErrNoDirectory, filepath.Dir(d.path))
	}
	if mode == Reader {
		return nil, fmt.Errorf("%w, and a reader does not create it", ErrNoFile)
	}
	return nil, ErrNoFile
}

// checkAccess returns an error if this process may not use the file at the path, or its log.
// SQLite would open a log that it can't write, too, and fail with every write for as long as the connection lives.
func (d *database) checkAccess(mode Mode) error {
	path, need := resolved(d.path), "read"
	if mode == Writer {
		need = "read and write"
	}
	for _, suffix := range []string{"", walSuffix, shmSuffix} {
		if err := checkPermission(path+suffix, mode == Writer); err != nil && (suffix == "" || !errors.Is(err, fs.ErrNotExist)) {
			return fmt.Errorf("this process can't %s %s: %w", need, filepath.Base(path)+suffix, err)
		}
	}
	return nil
}

// longestPath is SQLite's limit in bytes for the name of a file: https://www.sqlite.org/c3ref/vfs.html, mxPathname of its own.
const longestPath = 512

// explainOpen adds why SQLite could not open a file, or could not write it, of which it says no more than that.
func (d *database) explainOpen(ctx context.Context, path string, mode Mode, err error) error {
	switch code := sqlite.ErrCode(err); {
	case code == sqlite.ResultIOErrLock, code == sqlite.ResultIOErrReadLock, code == sqlite.ResultIOErrSHMLock, code == sqlite.ResultIOErrSHMMap:
		return fmt.Errorf("%w: the file system does not lock files, as some network file systems: %w", ErrNoWAL, err)
	case code.ToPrimary() == sqlite.ResultCantOpen && len(resolved(path))+len(journalSuffix) >= longestPath:
		return fmt.Errorf("the path, without links, has %d bytes: SQLite takes fewer than %d, with what it adds for a log: %w", len(resolved(path)), longestPath, err)
	case code == sqlite.ResultIOErrSHMSize:
		return fmt.Errorf("the -shm file can't grow, as on a full disk: %w", err)
	case code.ToPrimary() != sqlite.ResultCantOpen && code.ToPrimary() != sqlite.ResultReadOnly:
		return err
	}
	null, why := os.Open(os.DevNull)
	if why != nil { // no descriptors are left, most likely
		return fmt.Errorf("this process can't open any file: %w: %w", why, err)
	}
	_ = null.Close()
	if path != d.path {
		return err
	}
	if _, why := d.look(ctx, mode); why != nil {
		return fmt.Errorf("%w: %w", why, err)
	}
	directory := filepath.Dir(resolved(path))
	if why := checkPermission(directory, true); why != nil {
		return fmt.Errorf("this process can't write %s, where SQLite makes the -wal and -shm files: %w: %w", directory, why, err)
	}
	return err
}

// checkOrphanedLog returns an error if the log of a database that is gone is beside path.
// SQLite would take it for the new one's, which would then have pages of the old.
func checkOrphanedLog(path string) error {
	for _, suffix := range logSuffixes {
		log, err := os.Stat(path + suffix)
		if err != nil || log.Size() == 0 {
			continue
		}
		if _, err := os.Stat(path); err == nil {
			return nil // another process made it in the meantime
		}
		return fmt.Errorf("%w, but %s is there, the log of a database that is gone: put that back, or move the log away", ErrNoFile, filepath.Base(path)+suffix)
	}
	return nil
}
