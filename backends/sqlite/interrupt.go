package sqlite

import (
	"context"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"
)

// alarm ends what runs on a connection: its channel is the one of Conn.SetInterrupt.
// A connection keeps one until it was fired, for arming a new one costs two microseconds,
// and a context.AfterFunc that fires it a tenth of that.
type alarm struct {
	rings chan struct{}
	fire  func() // closes rings, once. Whoever has it fires this alarm, never that of a later borrower

	mu     sync.Mutex // protects the following
	hushed chan struct{}
	over   bool // hushed is closed
}

// newAlarm returns an alarm that calls interrupt again and again from when it is fired until it is hushed.
// The once that zombiezen interrupts is lost on a statement that is just about to begin: SQLite forgets
// an interrupt when the first statement begins, and zombiezen has looked at the channel before.
func newAlarm(interrupt func()) *alarm {
	a := &alarm{rings: make(chan struct{}), hushed: make(chan struct{})}
	a.fire = sync.OnceFunc(func() {
		close(a.rings)
		go a.insist(interrupt)
	})
	return a
}

func (a *alarm) insist(interrupt func()) {
	for count := 0; ; count++ {
		timer := time.NewTimer(delays[min(count, 3)])
		select {
		case <-timer.C:
		case <-a.hushed:
			timer.Stop()
			return
		}
		a.mu.Lock()
		if !a.over {
			interrupt()
		}
		a.mu.Unlock()
	}
}

// hush makes the alarm interrupt nothing any more: not after hush has returned.
func (a *alarm) hush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.over {
		a.over = true
		close(a.hushed)
	}
}

func (a *alarm) fired() bool {
	select {
	case <-a.rings:
		return true
	default:
		return false
	}
}

// rearm gives the connection a new alarm. It waits until zombiezen's goroutine,
// which interrupts the connection when an alarm is fired, is done with the old one.
func (s *state) rearm() *alarm {
	a := newAlarm(func() {
		if s.installed.Load() {
			s.interruptNow()
		}
	})
	if old := s.alarm.Swap(a); old != nil {
		old.hush()
	}
	s.conn.SetInterrupt(a.rings)
	return a
}

// arm makes the end of ctx interrupt what runs on the connection, until disarm.
// Nothing is armed for a ctx that can't end.
func (s *state) arm(ctx context.Context) {
	a := s.alarm.Load()
	if a.fired() {
		a = s.rearm()
	}
	if s.db.interrupted.Load() { // after rearm: one of the two fires the alarm
		a.fire()
	}
	if ctx.Done() != nil {
		s.stop = context.AfterFunc(ctx, a.fire)
	}
}

// disarm undoes arm. When it returns, no callback of the ctx is about to run.
// It touches no Conn: that may be closed.
func (s *state) disarm() {
	if s.stop == nil {
		return
	}
	if !s.stop() {
		<-s.alarm.Load().rings
	}
	s.stop = nil
}

// interrupted reports whether the borrower's ctx has ended, or Close interrupts all.
func (s *state) interrupted() bool { return s.alarm.Load().fired() }

// delays are how long wait sleeps: often at first, as SQLite's own busy timeout,
// and never so long that a lock lies free for a while.
var delays = [...]time.Duration{
	1 * time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	15 * time.Millisecond, 20 * time.Millisecond, 25 * time.Millisecond,
}

// wait is the busy handler: it sleeps for a moment, and reports whether SQLite is to try again.
// It gives up after Options.BusyTimeout, as soon as the alarm is fired, and at once where the borrower is not patient.
func (s *state) wait(count int) bool {
	if count == 0 {
		s.waitSince = time.Now()
	}
	rest := s.db.options.BusyTimeout - time.Since(s.waitSince)
	if rest <= 0 || !s.patient {
		return false
	}
	timer := time.NewTimer(min(delays[min(count, len(delays)-1)], rest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.alarm.Load().rings:
		return false
	case <-s.interrupt(): // the borrower's own, where there is one
		return false
	}
}

// retry calls do again where it fails with BUSY: some locks SQLite does not wait for.
func (s *state) retry(ctx context.Context, do func() error) error {
	began := time.Now()
	for count := 0; ; count++ {
		err := do()
		if sqlite.ErrCode(err).ToPrimary() != sqlite.ResultBusy {
			return err
		}
		rest := s.db.options.BusyTimeout - time.Since(began)
		if rest <= 0 || !s.patient {
			return err
		}
		timer := time.NewTimer(min(delays[min(count, 3)], rest))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// query runs one statement to its end and returns the first column of its first row, if there is one.
func (s *state) query(ctx context.Context, sql string) (value string, row bool, err error) {
	err = s.retry(ctx, func() error {
		value, row = "", false
		stmt, _, err := s.conn.PrepareTransient(sql)
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
