package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/headpond/headpond/internal/ctxerr"
)

// create makes the database file at d.path: by Options.Restore (see restore), or a new one. It appears there complete, with its mode, its journal mode
// and its schema, or not at all: it is made under another name, synced, and linked into place.
// Its name lasts, too, when create returns. A process that is killed before leaves that to the next one: see makeNameLast.
// If another process made it in the meantime, that file stands.
func (d *database) create(ctx context.Context) error {
	path, err := linkTarget(d.path)
	if err != nil {
		return d.openError(Writer, "create", err)
	}
	if err := checkOrphanedLog(path); err != nil {
		return d.openError(Writer, "create", err)
	}
	if d.options.Restore != nil {
		err = d.restore(ctx, path)
	} else {
		err = d.createNew(ctx, path)
	}
	if err != nil || d.options.Synchronous == SyncOff {
		return err
	}
	if err := syncDirectory(filepath.Dir(path)); err != nil {
		return d.openError(Writer, "create", fmt.Errorf("sync the directory, so that the name of the file lasts: %w", err))
	}
	return nil
}

// createNew makes an empty database at path, with its schema.
func (d *database) createNew(ctx context.Context, path string) error {
	if ctx.Err() != nil {
		return d.openError(Writer, "create", ctxerr.Ended(ctx))
	}
	// What Open opens is closed when it returns, whether ctx has ended or not: a new file is small, and its sync soon over.
	toTheEnd := context.WithoutCancel(ctx)
	name, remove, err := temporary(toTheEnd, path, d.options.FileMode)
	if err != nil {
		return d.openError(Writer, "create", err)
	}
	defer remove()
	err = d.fill(ctx, name, func(c *connection) error {
		_, err := d.migrate(ctx, c)
		return err
	})
	if err != nil {
		return err
	}
	if err := syncFile(toTheEnd, name, d.options.FileMode); err != nil { // with SyncOff it was not
		return d.openError(Writer, "create", err)
	}
	if ctx.Err() != nil { // what it interrupts may have been over
		return d.openError(Writer, "create", ctxerr.Ended(ctx))
	}
	err = os.Link(name, path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = d.createInPlace(path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return d.openError(Writer, "create", err)
	}
	return nil
}

// fill makes a database of the file at path, which nobody else uses, with what do does to it, and leaves no log beside it.
func (d *database) fill(ctx context.Context, path string, do func(c *connection) error) error {
	file, err := os.Stat(path)
	if err != nil {
		return d.openError(Writer, "create", err)
	}
	c, err := d.connect(ctx, path, Writer, file)
	if err != nil {
		return err // an OpenError
	}
	err = do(c)
	if endErr := c.close(ctx); err == nil && endErr != nil {
		err = d.openError(Writer, "create", endErr)
	}
	if err != nil {
		return err
	}
	// Closing a connection does not say whether its log could be written to the file, and synced: the log is left then.
	switch _, err := os.Lstat(path + walSuffix); {
	case err == nil:
		return d.openError(Writer, "create", errors.New("the log of the new file could not be written to it, as on a disk that fails"))
	case !errors.Is(err, fs.ErrNotExist):
		return d.openError(Writer, "create", err)
	}
	return nil
}

// createInPlace is for a file system without links. The file is empty for a moment:
// then no connection is opened by this package, since closing it drops the locks on it.
func (d *database) createInPlace(path string) error {
	return raw.WithoutOpening(func() error {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, d.options.FileMode)
		if err != nil {
			return err
		}
		return errors.Join(os.Chmod(path, d.options.FileMode), file.Close())
	})
}
