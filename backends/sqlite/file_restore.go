package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/headpond/headpond/internal/ctxerr"
)

// restorePrefix begins the name of the directory, beside the database, in which it is restored.
const restorePrefix = ".headpond-restore-"

// restore makes the database file at path of what Options.Restore brings back: in a directory of its own, from where it is linked
// to path when it is whole. Its lock lets one process at a time do so, and the others find the file.
func (d *database) restore(ctx context.Context, path string) (err error) {
	defer func() {
		var inner *OpenError
		if err != nil && !errors.As(err, &inner) {
			err = d.openError(Writer, "restore", err)
		}
	}()
	directory := filepath.Join(filepath.Dir(path), restorePrefix+filepath.Base(path))
	unlock, err := lockName(ctx, directory+".lock")
	if err != nil {
		return fmt.Errorf("the lock that lets one process at a time restore, %s.lock: %w", directory, err)
	}
	defer unlock()
	if there, err := exists(path); there || err != nil {
		return err
	}
	if err := os.RemoveAll(directory); err != nil { // of a process that was killed
		return err
	}
	if err := os.Mkdir(directory, 0o700); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	name := filepath.Join(directory, filepath.Base(path))
	switch err := d.options.Restore(ctx, name); {
	case ctx.Err() != nil:
		return ctxerr.Ended(ctx)
	case errors.Is(err, ErrNothingToRestore):
		return d.createNew(ctx, path)
	case err != nil:
		return fmt.Errorf("Options.Restore: %w", err)
	}
	if err := d.adopt(ctx, name); err != nil {
		return err
	}
	if err := checkOrphanedLog(path); err != nil {
		return err
	}
	err = publish(name, path)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("another process has made %s while it was restored: give Options.Restore to each that opens it, or restore before you start them: %w", path, err)
	}
	return err
}

// adopt makes sure that what Options.Restore has left is a database, whole and on the disk, and has no log.
func (d *database) adopt(ctx context.Context, name string) error {
	switch file, err := os.Lstat(name); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("Options.Restore has returned nil, and there is no file at %s, the path that it was given: write it, or return ErrNothingToRestore for a new database", name)
	case err != nil:
		return err
	case !file.Mode().IsRegular():
		return fmt.Errorf("Options.Restore has left no regular file, but %v: %w", file.Mode().Type(), ErrNotFile)
	case file.Size() == 0:
		return fmt.Errorf("Options.Restore has left an empty file: %w: return ErrNothingToRestore for a new database", ErrNotDatabase)
	}
	if err := os.Chmod(name, d.options.FileMode); err != nil {
		return err
	}
	err := d.fill(ctx, name, func(*connection) error { return nil })
	var inner *OpenError
	if errors.As(err, &inner) {
		err = d.openError(Writer, "restore", fmt.Errorf("what Options.Restore has left can't be opened: %s: %w", inner.Step, inner.Err))
	}
	if err != nil {
		return err
	}
	return syncFile(ctx, name, d.options.FileMode)
}

// exists reports whether there is something at path.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
