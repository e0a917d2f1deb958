package sqlite

import (
	"context"
)

// renewInterrupter gives the connection a new interrupter. It waits until zombiezen's goroutine,
// which interrupts the connection when an interrupter is triggered, is done with the old one.
func (c *connection) renewInterrupter() *interrupter {
	i := newInterrupter(c.Interrupt)
	if old := c.interrupter.Swap(i); old != nil {
		old.stop()
	}
	c.conn.SetInterrupt(i.done)
	return i
}

// watch makes the end of ctx interrupt what runs on the connection, until unwatch.
// For a ctx that can't end there is nothing to do.
func (c *connection) watch(ctx context.Context) { c.watchUntil(ctx, ctx.Done()) }

// watchUntil is watch, and calls no method of ctx, whose Done is done.
func (c *connection) watchUntil(ctx context.Context, done <-chan struct{}) {
	c.borrower = ctx
	i := c.interrupter.Load()
	if i.triggered() {
		i = c.renewInterrupter()
	}
	if c.database.interrupted.Load() { // after the renewal: either this triggers it, or interruptAll does
		i.trigger()
	}
	if done != nil {
		c.watching.note(ctx, done)
		if c.watching.ended() {
			i.trigger()
		}
		c.database.watcher.wake()
	}
}

// unwatch undoes watch. When it returns, the connection is interrupted if the ctx has ended before,
// and nothing that waits for its end is about to interrupt it. It touches no Conn: that may be closed.
func (c *connection) unwatch() {
	if c.watching.ctx == nil {
		return
	}
	if c.watching.ended() {
		c.interrupter.Load().trigger()
	}
	if stop := c.watching.forget(); stop != nil && !stop() {
		<-c.interrupter.Load().done
	}
}

// interrupted reports whether the borrower's ctx has ended, or Close interrupts all. It is the borrower's to call.
func (c *connection) interrupted() bool {
	i := c.interrupter.Load()
	if c.watching.ended() {
		i.trigger()
	}
	return i.triggered()
}

// Progress is what SQLite calls every so many steps of what runs: it hears of the end of a ctx at once, and of one that nothing waits for yet.
// It interrupts as another goroutine would. (If it had SQLite end the statement, a write could fail after its commit.)
func (c *connection) Progress() {
	if c.interrupted() {
		c.Interrupt()
	}
}
