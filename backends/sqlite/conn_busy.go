package sqlite

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"
)

// Busy is what SQLite asks when it finds a lock taken: it sleeps for a moment, and reports whether SQLite is to try again.
// It gives up after Options.BusyTimeout, as soon as the connection is interrupted, and at once if that does not wait for locks.
func (c *connection) Busy(count int) bool {
	if c.busy != nil {
		return c.busy(count)
	}
	if count == 0 {
		c.noteLocked()
	}
	rest := c.database.options.BusyTimeout - time.Since(c.busySince)
	if !c.lockUntil.IsZero() {
		rest = min(rest, time.Until(c.lockUntil))
	}
	return c.waitsForLocks && c.pause(lockBackoff.delay(count), rest)
}

// boundWait lets a call that began then wait for its turn and for a lock of another process together, not for each.
func (c *connection) boundWait(began time.Time) {
	c.called = began
	if limit := c.database.waitLimit; limit > 0 {
		c.lockUntil = began.Add(limit)
	}
}

// pause sleeps for delay, or the rest of the time if that is shorter.
// It reports false, and sleeps no longer, if none is left or the connection is interrupted, by a channel of the borrower's as well.
func (c *connection) pause(delay, rest time.Duration) bool {
	return rest > 0 && sleep(min(delay, rest), c.interrupter.Load().done, c.InterruptChannel())
}

// retry calls do again if it fails with BUSY: some locks SQLite does not wait for.
func (c *connection) retry(ctx context.Context, do func() error) error {
	began := time.Now()
	for count := 0; ; count++ {
		err := do()
		if sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy {
			return err
		}
		rest := c.database.options.BusyTimeout - time.Since(began)
		if rest <= 0 || !c.waitsForLocks || !sleep(min(shortBackoff.delay(count), rest), ctx.Done(), nil) {
			return err
		}
	}
}

// query runs one statement to its end and returns the first column of its first row, if there is one.
func (c *connection) query(ctx context.Context, sql string) (value string, row bool, err error) {
	c.quiet = true
	defer func() { c.quiet = false }()
	err = c.retry(ctx, func() error {
		value, row = "", false
		stmt, _, err := c.conn.PrepareTransient(sql)
		if err != nil {
			return err
		}
		for {
			more, err := stmt.Step()
			if err != nil || !more {
				_ = stmt.Finalize() // repeats the error of Step
				return err
			}
			if !row {
				value, row = stmt.ColumnText(0), true
			}
		}
	})
	return value, row, err
}
