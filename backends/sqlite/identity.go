package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// identify remembers the file that the first connection opened, and returns an error
// where a later one would open another.
func (d *database) identify(file os.FileInfo) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		d.file = file
	}
	return unchanged(d.file, file)
}

// unchanged returns an error where now is not the file that was opened.
func unchanged(opened, now os.FileInfo) error {
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
	if err := s.inPlace(); err != nil {
		if errors.Is(err, ErrReplaced) {
			s.db.spoil(s)
		}
		return err
	}
	return s.fresh()
}

// inPlace returns an error where the file that the connection has open is not the one at its path.
func (s *state) inPlace() error {
	if s.file == nil {
		return nil
	}
	file, err := os.Stat(s.db.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errGone
	case err != nil:
		return err
	}
	return unchanged(s.file, file)
}

// logInPlace reports whether there is something in the log at the path. One that was deleted may be there again, and empty.
func (s *state) logInPlace() bool {
	log, err := os.Stat(resolved(s.db.path) + "-wal")
	return err == nil && log.Size() > 0
}

// glances is how often glance looks.
const glances = time.Second

// glance is check for a database under load, whose connections are never idle for long enough to be checked:
// one of those that are acquired looks, once a second. Else what is written would go to a file that is gone.
func (s *state) glance() error {
	if s.file == nil {
		return nil
	}
	now := int64(time.Since(s.db.made))
	last := s.db.glanced.Load()
	if now-last < int64(glances) || !s.db.glanced.CompareAndSwap(last, now) {
		return nil
	}
	err := s.inPlace()
	if !errors.Is(err, ErrReplaced) {
		return nil // check says what else there is
	}
	s.db.spoil(s)
	return err
}

// settle moves what the log has into the file that it belongs to, where another file is at the path of either:
// SQLite would leave the log of a file that was replaced as it is, and the next one to open the other file would take it for that one's;
// and of a log that was deleted nothing would be left.
// Snapshots that are in the way it waits for as for a lock, until ctx ends. The connection is about to be closed.
func (s *state) settle(ctx context.Context) {
	if s.mode != Writer || s.file == nil || s.logInPlace() && !errors.Is(s.inPlace(), ErrReplaced) {
		return
	}
	for began := time.Now(); ; {
		done, err := s.checkpoint("TRUNCATE")
		rest := s.db.options.BusyTimeout - time.Since(began)
		if err != nil || done.Complete || done.Pages == 0 || rest <= 0 { // nothing is in it where somebody else writes
			return
		}
		timer := time.NewTimer(min(delays[3], rest))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
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
