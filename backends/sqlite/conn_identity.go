package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"zombiezen.com/go/sqlite"
)

// verify returns an error if the connection can't be used any more:
// the file at its path is another one, which no statement would notice,
// or a connection of its generation was found to be broken. It costs about 1.5 microseconds.
func (c *connection) verify(context.Context) error {
	if c.Closed() {
		return errClosed
	}
	if err := c.samePath(); err != nil {
		if errors.Is(err, ErrReplaced) {
			c.database.invalidate(c)
		}
		return err
	}
	return c.checkGeneration()
}

// samePath returns an error if the file that the connection has open is not the one at its path.
func (c *connection) samePath() error {
	if c.file == nil {
		return nil
	}
	file, err := os.Stat(c.database.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = errGone
	case err == nil:
		if err = checkSameFile(c.file, file); err == nil {
			c.rememberFilled(file)
		}
	}
	return c.database.noteReplaced(err)
}

// noteFilled looks at the file again, if it was empty when it was opened: a writer has given it its first page.
// If the look fails, verify says why.
func (c *connection) noteFilled() {
	if c.file == nil || c.file.Size() > 0 {
		return
	}
	if file, err := os.Stat(c.database.path); err == nil && os.SameFile(c.file, file) {
		c.rememberFilled(file)
	}
}

// rememberFilled remembers that the file of the connection has content, if it had none before: to be empty again is to be emptied.
func (c *connection) rememberFilled(file os.FileInfo) {
	if c.file.Size() == 0 && file.Size() > 0 {
		c.file = file
		c.database.rememberFilled(file)
	}
}

// spotCheckEvery is the time between two spot checks.
const spotCheckEvery = time.Second

// spotCheck does what verify does for a database under load, whose connections are never idle for long enough to be verified:
// one of those that are acquired looks, once a second. Otherwise what is written would go to a file that is gone.
// It also looks for changes of the schema by other processes.
func (c *connection) spotCheck() error {
	if c.file == nil {
		return nil
	}
	now := int64(time.Since(c.database.made))
	last := c.database.spotChecked.Load()
	if now-last < int64(spotCheckEvery) || !c.database.spotChecked.CompareAndSwap(last, now) {
		return nil
	}
	err := c.samePath()
	if !errors.Is(err, ErrReplaced) {
		c.spotCheckSchema()
		return nil // verify says what else there is
	}
	c.database.invalidate(c)
	return err
}

// noteFailure notes what SQLite says of what the connection did last: err may be of another connection, as of another database.
// It must be called before anything else runs on the connection.
func (c *connection) noteFailure(err error) error {
	c.failed = sqlite.ResultOK
	if err != nil && !c.Closed() {
		c.failed = c.ErrorCode()
	}
	return err
}

// endIfBroken ends all connections if a call has failed, and SQLite had told this connection that the file is broken: see noteFailure.
// It reports whether this connection is not to be used any longer.
func (c *connection) endIfBroken(err error) bool {
	return err != nil && c.endsBy(c.failed)
}

// endsBy reports whether the connection must end after SQLite has failed with code; if that means that the file is broken, all of them do.
func (c *connection) endsBy(code sqlite.ResultCode) bool {
	if invalidates(code) && c.taint&(1<<FoundAttach) == 0 { // else it may be of what the borrower attached
		c.database.invalidate(c)
	}
	return invalidates(code) || unreadable(code)
}

// checkGeneration returns an error if a connection of the same generation was found to be broken.
func (c *connection) checkGeneration() error {
	if c.generation != c.database.generation.Load() {
		return errOutdated
	}
	return nil
}

var (
	errClosed   = errors.New("headpond/sqlite: the connection was closed by its borrower")
	errOutdated = errors.New("headpond/sqlite: another connection found the file broken, or replaced, after this one was opened")
)
