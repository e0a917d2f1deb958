package sqlite

import (
	"errors"
	"fmt"
	"time"

	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite"
)

// lockedError says that the write lock of a file was taken. Within a DB all writers wait in line for their turn:
// so it is another process that has the lock, or another DB or pool of this one.
type lockedError struct {
	name, path string
	tried      time.Duration // to get the lock
	waited     time.Duration // for the turn, before that; or for the turn alone, while the one that has it tries to get the lock
	err        error         // SQLite's, or that of the wait
}

// Error names the database and says how long the lock was tried.
func (e *lockedError) Error() string {
	const who = "another process, or another DB or pool in this one,"
	if vain := new(pool.Error); errors.As(e.err, &vain) {
		return fmt.Sprintf("headpond/sqlite %q: no turn within %v: %s holds the write lock of %s, which the writer has tried to get for %v",
			e.name, e.waited.Round(time.Millisecond), who, e.path, e.tried.Round(time.Millisecond))
	}
	line := ""
	if e.waited >= time.Millisecond {
		line = fmt.Sprintf(", after %v in line", e.waited.Round(time.Millisecond))
	}
	return fmt.Sprintf("headpond/sqlite %q: %s holds the write lock of %s, which was tried for %v%s: %v",
		e.name, who, e.path, e.tried.Round(time.Millisecond), line, e.err)
}

// Unwrap returns what the pool said, if it did, and SQLite's BUSY.
func (e *lockedError) Unwrap() []error {
	if sqlite.ErrCode(e.err).ToPrimary() == sqlite.ResultBusy {
		return []error{e.err}
	}
	return []error{e.err, sqlite.ResultBusy.ToError()}
}

// lockGrace is how much longer than waitLimit a call of Batch waits: most often the one BEGIN that is tried for all of them
// fails within that time, and says more.
const lockGrace = 10 * time.Millisecond

// noteLocked notes that the connection waits for a lock from now on.
func (c *connection) noteLocked() {
	c.busySince, c.waits = time.Now(), true
	if c.mode == Writer {
		c.database.lockedSince.Store(max(1, int64(c.busySince.Sub(c.database.made))))
	}
}

// unlocked notes that the connection waits no longer. It costs a comparison if it did not.
func (c *connection) unlocked() {
	if c.waits {
		c.waits = false
		c.database.lockedSince.Store(0)
	}
}

// locked returns the error of a BEGIN IMMEDIATE.
func (c *connection) locked(err error) error {
	if sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy || c.database.memory {
		return err
	}
	e := &lockedError{name: c.database.name(), path: c.database.path, err: err}
	if c.waits {
		e.tried = time.Since(c.busySince)
		if !c.called.IsZero() {
			e.waited = c.busySince.Sub(c.called)
		}
	}
	return e
}

// lockedOut returns the error of a call that has waited for so long, while the writer waits for a lock on its behalf.
func (d *database) lockedOut(waited time.Duration) error {
	tried := min(waited, time.Since(d.made)-time.Duration(d.lockedSince.Load()))
	return &lockedError{name: d.name(), path: d.path, tried: tried, waited: waited - tried, err: sqlite.ResultBusy.ToError()}
}

// vain returns the error of a wait for the writer: if that waits for a lock meanwhile, it says so.
func (d *database) vain(err error) error {
	since := d.lockedSince.Load()
	failed, ok := err.(*pool.Error)
	if !ok || since == 0 || !errors.Is(failed.Err, pool.ErrAcquireTimeout) {
		return err
	}
	return &lockedError{name: d.name(), path: d.path, tried: time.Since(d.made) - time.Duration(since), waited: failed.Waited, err: err}
}
