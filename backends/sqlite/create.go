package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"zombiezen.com/go/sqlite/sqlitemigration"
)

// create makes the database file at d.path. It appears there complete, with its mode, its journal mode
// and its schema, or not at all: it is made under another name, and linked into place.
// When somebody else made it in the meantime, theirs stands.
func (d *database) create(ctx context.Context) error {
	path, err := target(d.path)
	if err != nil {
		return d.fail(Writer, "create", err)
	}
	if err := orphaned(path); err != nil {
		return d.fail(Writer, "create", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".headpond-*")
	if err != nil {
		return d.fail(Writer, "create", err)
	}
	name := file.Name()
	defer func() {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			_ = os.Remove(name + suffix) // most are not there
		}
	}()
	err = errors.Join(os.Chmod(name, d.options.FileMode), file.Close())
	if err != nil {
		return d.fail(Writer, "create", err)
	}
	if err := d.fill(ctx, name); err != nil {
		return err
	}
	if ctx.Err() != nil { // what it interrupts may have been over
		return d.fail(Writer, "create", ended(ctx))
	}
	err = os.Link(name, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err := d.createInPlace(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return d.fail(Writer, "create", err)
	}
	return nil
}

// orphaned returns an error where the log of a database that is gone is beside path.
// SQLite would take it for the new one's, which would then have pages of the old.
func orphaned(path string) error {
	for _, suffix := range []string{"-wal", "-journal"} {
		log, err := os.Stat(path + suffix)
		if err != nil || log.Size() == 0 {
			continue
		}
		if _, err := os.Stat(path); err == nil {
			return nil // somebody made it in the meantime
		}
		return fmt.Errorf("%w, but %s is there, the log of a database that is gone: put that back, or move the log away", ErrNoFile, filepath.Base(path)+suffix)
	}
	return nil
}

// fill makes a database of the empty file at path.
func (d *database) fill(ctx context.Context, path string) error {
	file, err := os.Stat(path)
	if err != nil {
		return d.fail(Writer, "create", err)
	}
	s, err := d.connect(ctx, path, Writer, file)
	if err != nil {
		return err // an OpenError
	}
	err = d.migrate(ctx, s)
	if endErr := s.end(ctx); err == nil && endErr != nil {
		err = d.fail(Writer, "create", endErr)
	}
	return err
}

// migrate brings the schema up to date.
func (d *database) migrate(ctx context.Context, s *state) error {
	if d.options.Schema == nil {
		return nil
	}
	s.arm(ctx)
	err := sqlitemigration.Migrate(ctx, s.conn, *d.options.Schema)
	s.disarm()
	if err != nil {
		return d.fail(Writer, "migrate", withContext(ctx, err))
	}
	return nil
}

// createInPlace is for a file system without links. The file is empty for a moment:
// then no connection is opened by this package, since closing it drops the locks on it.
func (d *database) createInPlace(path string) error {
	opening.Lock()
	defer opening.Unlock()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, d.options.FileMode)
	if err != nil {
		return err
	}
	return errors.Join(os.Chmod(path, d.options.FileMode), file.Close())
}

// target is where a file at path is created: where a symbolic link that leads nowhere points to.
func target(path string) (string, error) {
	for range 40 { // as many as Linux follows
		link, err := os.Readlink(path)
		if err != nil {
			return path, nil // no link
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		path = link
	}
	return "", errors.New("too many levels of symbolic links")
}
