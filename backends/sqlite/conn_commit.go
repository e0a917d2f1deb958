package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"zombiezen.com/go/sqlite"
)

// A commit writes its pages to the log and syncs it; then it notes in the log's index (-shm) that they count.
// If the sync fails, or what follows it, the pages stand in the log, whole, behind the last one that counts.
// As long as a connection of any process keeps the index they do no harm, and the next commit overwrites them. But when the
// last one is gone, the next open makes the index of what it finds in the log: and it finds a transaction that failed.
//
// So such a commit is followed by one of our own, before its error is returned: see connection.overwrite.

// ioDoubt is what failed writes have left uncertain about the logs of a database.
type ioDoubt struct {
	frames   atomic.Bool // pages of a transaction that failed may stand in a log, and were not overwritten
	unsynced atomic.Bool // bytes of a log may not be on the disk although a sync after them succeeded
	unmoved  atomic.Bool // the same of pages that a checkpoint wrote to the database file

	mu     sync.Mutex  // protects the following
	owned  bool        // by a DB or Pool, whose Close ends the kept connection
	kept   *connection // what keeps the index, from when frames was set; nil: nothing has to
	parked bool        // the kept connection has left its pool
}

// syncFailed notes that a sync has failed, of a log or of a database file.
func (d *ioDoubt) syncFailed() {
	d.unsynced.Store(true)
	d.unmoved.Store(true)
}

// begin begins a transaction that writes, after it has mended what failed writes have left behind.
func (c *connection) begin() error {
	doubt := &c.database.doubt
	defer c.unlocked()
	if err := c.makeNameLast(); err != nil { // before the lock is taken
		return err
	}
	if doubt.frames.Load() {
		if c.lockUntil.IsZero() {
			c.lockUntil = time.Now().Add(c.database.options.BusyTimeout)
			defer func() { c.lockUntil = time.Time{} }()
		}
		if err := c.overwrite(min(c.database.options.BusyTimeout, time.Until(c.lockUntil)), false); err != nil {
			return fmt.Errorf("headpond/sqlite: an earlier COMMIT failed, and its pages in the log can't be overwritten yet: %w", c.locked(err))
		}
	}
	if err := c.Run(raw.BeginImmediate); err != nil {
		return c.locked(err)
	}
	c.lookAtLogs()
	if c.database.options.Synchronous == SyncNormal || !doubt.unsynced.Load() {
		return nil
	}
	if err := c.resync(); err != nil {
		c.rollBack()
		return err
	}
	return nil
}

// lookAtLogs notes if a log is one that another process left behind, as it does when it is killed: it may have failed to sync it.
func (c *connection) lookAtLogs() {
	if c.logsSeen || c.file == nil {
		return
	}
	c.logsSeen = true
	if c.database.options.Synchronous == SyncOff {
		return
	}
	for _, log := range c.Logs() {
		if log.Recovered {
			c.database.doubt.unsynced.Store(true)
		}
	}
}

// resync makes sure that the logs are on the disk, and that checkpoints write all of their pages again.
// It is called in a transaction that has written nothing yet.
func (c *connection) resync() error {
	doubt := &c.database.doubt
	logs := c.Logs()
	if doubt.unsynced.Load() {
		for _, log := range logs {
			if err := rewriteLog(log); err != nil {
				return fmt.Errorf("headpond/sqlite: a sync may have failed before, and the log can't be written again: %w", err)
			}
		}
		doubt.unsynced.Store(false)
	}
	if doubt.unmoved.Load() {
		for _, log := range logs {
			if c.MoveAgain(log) != nil {
				return nil // another process makes a checkpoint; before one of ours, this is tried again
			}
		}
		doubt.unmoved.Store(false)
	}
	return nil
}

// readyToCheckpoint returns an error if a checkpoint could be wrong: see resync. It is BUSY while another connection writes.
func (c *connection) readyToCheckpoint() error {
	doubt := &c.database.doubt
	c.lookAtLogs()
	if !doubt.unsynced.Load() && !doubt.unmoved.Load() || !c.Autocommit() {
		return nil
	}
	if err := c.Run(raw.BeginImmediate); err != nil {
		return err
	}
	defer c.rollBack()
	if err := c.resync(); err != nil {
		return err
	}
	if doubt.unmoved.Load() {
		return sqlite.ResultBusy.ToError()
	}
	return nil
}

// MayCheckpoint implements raw.Events.
func (c *connection) MayCheckpoint(main bool) bool {
	return !(main && c.database.options.ForeignCheckpoints) && !c.database.doubt.unsynced.Load() && !c.database.doubt.unmoved.Load()
}

// Checkpointed implements raw.Events.
func (c *connection) Checkpointed(code sqlite.ResultCode) {
	if code == sqlite.ResultIOErrFsync {
		c.database.doubt.syncFailed()
	}
}

// commit commits the transaction. If that fails on the disk, it returns after what is left of the transaction in the log
// was overwritten, or with an ErrOutcomeUnknown.
func (c *connection) commit() error {
	err := c.noteFailure(c.Run(raw.Commit))
	if err == nil {
		return nil
	}
	c.rollBack()
	return fmt.Errorf("headpond/sqlite %q: %w", c.database.name(), c.afterCommit(err))
}

// afterCommit returns err, as commit does, after a commit has failed with it.
func (c *connection) afterCommit(err error) error {
	if sqlite.ErrCode(err) == sqlite.ResultIOErrFsync {
		c.database.doubt.syncFailed()
	}
	if !c.commitFailed() {
		return err
	}
	if why := c.overwrite(c.database.options.BusyTimeout, true); why != nil {
		return fmt.Errorf("%w: %w: its pages in the log can't be overwritten: %w", err, ErrOutcomeUnknown, why)
	}
	return err
}

// commitFailed reports whether a commit of this connection failed on the disk, and overwrite was not called since then.
func (c *connection) commitFailed() bool {
	return c.file != nil && c.FailedCommits() != c.failures
}

// overwrite overwrites what a transaction that failed has left in the log: by a transaction of our own, which changes nothing.
// It waits for locks for no longer than within, and with again it tries for that long, whether the borrower's ctx ends or not.
// If it fails, the connection is kept open until one succeeds. The connection must be idle.
func (c *connection) overwrite(within time.Duration, again bool) error {
	doubt := &c.database.doubt
	if c.Closed() {
		doubt.keep(c)
		return errClosed
	}
	c.unwatch()
	c.renewInterrupter() // what has interrupted the borrower is over
	waits, until := c.waitsForLocks, c.lockUntil
	c.waitsForLocks, c.lockUntil = true, time.Now().Add(within)
	var err error
	for count := 0; ; count++ {
		if err = c.Overwrite(c.limits); err == nil {
			break
		}
		if sqlite.ErrCode(err) == sqlite.ResultIOErrFsync {
			doubt.syncFailed()
		}
		if !again || c.database.interrupted.Load() || !c.pause(lockBackoff.delay(count), time.Until(c.lockUntil)) {
			break
		}
	}
	c.waitsForLocks, c.lockUntil = waits, until
	c.failures = c.FailedCommits()
	if err != nil {
		doubt.keep(c)
		return err
	}
	doubt.settled()
	return nil
}

// own notes that there is a Close that ends the kept connection.
func (d *ioDoubt) own() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.owned = true
}

// keep notes that what a transaction left in the log could not be overwritten. If no connection is kept open for that yet, s is.
func (d *ioDoubt) keep(c *connection) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frames.Store(true)
	if d.kept == nil {
		d.kept = c
	}
}

// settled notes that nothing of a transaction that failed is in the log any more.
func (d *ioDoubt) settled() {
	d.mu.Lock()
	d.frames.Store(false)
	kept := d.kept
	if !d.parked {
		kept = nil
	}
	d.kept, d.parked = nil, false
	d.mu.Unlock()
	if kept != nil {
		_ = kept.close(context.Background())
	}
}

// park reports whether c, which is about to be closed, stays open instead, as the kept connection.
func (d *ioDoubt) park(c *connection) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept != c || !d.owned {
		return false
	}
	d.parked = true
	return true
}

// release closes the kept connection, after what it is kept for was overwritten, or ctx has ended.
// The pools of the database are closed, and nothing is kept from now on.
func (d *ioDoubt) release(ctx context.Context) error {
	d.mu.Lock()
	kept, parked := d.kept, d.parked
	d.owned, d.parked = false, false
	d.mu.Unlock()
	if !parked {
		return nil
	}
	const locked = 25 * time.Millisecond // ctx may end
	err := kept.overwrite(locked, false)
	for count := 0; err != nil && !kept.Closed() && ctx.Err() == nil; count++ {
		if sleep(lockBackoff.delay(count), ctx.Done(), nil) {
			err = kept.overwrite(locked, false)
		}
	}
	if err != nil {
		err = fmt.Errorf("of a transaction whose COMMIT failed: %w: its pages in the log can't be overwritten: %w", ErrOutcomeUnknown, err)
	}
	return errors.Join(err, kept.close(ctx))
}

// settleCommits overwrites what a commit of the borrower's own has left in the log, or makes another try of what failed before.
// Its error says that the connection is to be replaced: a new one may do better. The connection must be idle.
func (c *connection) settleCommits() error {
	var err error
	switch {
	case c.mode != Writer || c.file == nil:
	case c.commitFailed():
		err = c.overwrite(c.database.options.BusyTimeout, true)
	case c.database.doubt.frames.Load():
		err = c.overwrite(0, false)
	}
	if err != nil {
		return fmt.Errorf("headpond/sqlite: what a COMMIT that failed has left in the log can't be overwritten: %w", err)
	}
	return nil
}
