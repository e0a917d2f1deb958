package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// identify remembers the file that the first connection opened, and returns an error
// where a later one would open another.
func (d *database) identify(file os.FileInfo) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		d.file = file
	}
	if !os.SameFile(d.file, file) {
		return fmt.Errorf("%w: another file is at its path now, to which its -wal and -shm files may not belong; close, and open again", ErrReplaced)
	}
	return nil
}

// opened reports whether a connection was open before.
func (d *database) opened() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.file != nil
}

// check returns an error where the connection can't be used any more:
// the file at its path is another one, which no statement would notice,
// or a connection of its age was found to be broken. It costs about 1.5 microseconds.
func (s *state) check(context.Context) error {
	if s.closed() {
		return errClosed
	}
	if s.file != nil {
		file, err := os.Stat(s.db.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			s.db.spoil(s)
			return fmt.Errorf("%w: there is no file at its path", ErrReplaced)
		case err != nil:
			return err
		case !os.SameFile(s.file, file):
			s.db.spoil(s)
			return fmt.Errorf("%w: another file is at its path", ErrReplaced)
		}
	}
	return s.fresh()
}

// fresh returns an error where a connection of the same age was found to be broken.
func (s *state) fresh() error {
	if s.age != s.db.age.Load() {
		return errAged
	}
	return nil
}

var (
	errClosed = errors.New("headpond/sqlite: the connection was closed by its borrower")
	errAged   = errors.New("headpond/sqlite: another connection found the file broken, or replaced, after this one was opened")
)
