package sqlite

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"zombiezen.com/go/sqlite"
)

// close closes the connection, and leaves no lock of it, whatever it was doing.
func (c *connection) close(ctx context.Context) error {
	c.unwatch()
	c.database.mu.Lock()
	delete(c.database.live, c)
	c.database.mu.Unlock()
	c.interrupter.Load().stop() // from now on it interrupts nothing, even if it is triggered
	connections.Delete(c.conn)
	c.waitsForLocks = false // what follows waits for no lock: no borrower's ctx would end the wait
	closed := c.Closed()
	if !closed {
		c.RefuseCommits(c.Torn())
		c.ResetBusy()
		if !c.Idle() { // Close does it, too, unless it fails
			c.SetAuthorizer()       // the borrower's may forbid it
			_ = c.Run(raw.Rollback) // also of what a backup writes into the connection, though it fails in autocommit
		}
		if c.interrupted() { // that would keep the last connection from its checkpoint, and leave the log behind
			c.renewInterrupter()
			_ = c.Probe() // the first statement after an interrupt ends it
		}
	}
	if c.commitFailed() {
		_ = c.overwrite(0, false)
	}
	if c.database.doubt.park(c) {
		return nil // until it is called again
	}
	if !closed {
		c.flushReplacedWAL(ctx)
		if c.mode == Writer && c.readyToCheckpoint() != nil {
			c.SetNoCheckpointOnClose()
		}
	}
	err := c.closeInTurn(closed)
	if sqlite.ErrCode(err) == sqlite.ResultBusy {
		texts, count := c.Unfinalized(3)
		findings{{FoundUnfinalized, c.mode, unfinalizedText(texts, count)}}.report(ctx, c.database)
		return &UnfinalizedError{Count: count, Texts: texts, Err: err}
	}
	return err
}

// closeInTurn closes the connections of one file one after the other. The last one takes the log away:
// of two that close at the same moment, each would see the other's lock on the file, and neither would be the last.
func (c *connection) closeInTurn(closed bool) error {
	leave := closings.enter(c.database.resolved())
	defer leave()
	if closed {
		return c.Uninstall() // closes what the borrower could not
	}
	return c.Handle.Close()
}

// closings has a lock for each file of which a connection closes, or waits to: one whose disk hangs holds up no other file.
var closings = turns{files: map[string]*turn{}}

type turns struct {
	mu    sync.Mutex // protects the following
	files map[string]*turn
}

type turn struct {
	mu    sync.Mutex
	users int // that hold mu, or wait for it: turns.mu protects it
}

// enter waits for the turn of a file. leave ends it.
func (t *turns) enter(path string) (leave func()) {
	t.mu.Lock()
	file := t.files[path]
	if file == nil {
		file = new(turn)
		t.files[path] = file
	}
	file.users++
	t.mu.Unlock()
	file.mu.Lock()
	return func() {
		file.mu.Unlock()
		t.mu.Lock()
		defer t.mu.Unlock()
		if file.users--; file.users == 0 {
			delete(t.files, path)
		}
	}
}

// closeUnused closes a connection that was never handed out, with whatever Options.Setup or a migration that failed has left open on it:
// a panic passes over what would have finalized a statement. Its error is an *UnfinalizedError: a backup can't be ended here,
// and keeps the file open. Of any other, why the connection was not handed out says more.
func (c *connection) closeUnused(ctx context.Context) error {
	if !c.Closed() {
		c.FinalizeRest()
	}
	var unfinalized *UnfinalizedError
	if errors.As(c.close(ctx), &unfinalized) {
		return unfinalized
	}
	return nil
}

// flushReplacedWAL moves what the log has into the file that it belongs to, if another file is at the path of either:
// SQLite would leave the log of a file that was replaced as it is, and the next process to open the other file would take it
// for that file's; and of a log that was deleted nothing would be left.
// It waits for snapshots that are in the way as for a lock, until ctx ends. The connection is about to be closed.
func (c *connection) flushReplacedWAL(ctx context.Context) {
	if c.mode != Writer || c.file == nil || c.hasLog() && !errors.Is(c.samePath(), ErrReplaced) {
		return
	}
	for began := time.Now(); ; {
		done, err := c.checkpoint(truncating)
		rest := c.database.options.BusyTimeout - time.Since(began)
		if err != nil || done.Complete || done.Pages == 0 || rest <= 0 || // if another connection writes, nothing is in it
			!sleep(min(shortBackoff.longest(), rest), ctx.Done(), nil) {
			return
		}
	}
}

// hasLog reports whether there is something in the log at the path. One that was deleted may be there again, and empty.
func (c *connection) hasLog() bool {
	log, err := os.Stat(resolved(c.database.path) + walSuffix)
	return err == nil && log.Size() > 0
}
