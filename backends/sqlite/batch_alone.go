package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite"
)

// calm reports whether nobody is there to share a transaction with.
func (b *batches) calm() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.running && !b.shared
}

// alone runs a work on its caller's goroutine, in a transaction of its own, where the writer lies ready:
// to hand it to the runner and back takes as long as a small transaction. It reports whether it did.
func (b *batches) alone(ctx context.Context, use func(ctx context.Context, conn *Conn) error, c call) (ran bool, err error) {
	t := &turn{Context: ctx, db: b.db, what: "Batch"} // by which observe knows this lease
	defer t.over.Store(true)
	lease, err := b.db.writer.TryAcquire(t)
	if err != nil {
		return false, nil // the runner finds out why
	}
	s, _ := stateOf(lease.Value())
	began := time.Now()
	defer func() { // also where use panics, or the observer ends this goroutine
		lease.Release()
		b.released(c, pool.Event{ID: lease.ID(), Held: time.Since(began), Batch: 1, Err: err})
	}()
	b.acquired(c, pool.Event{ID: lease.ID(), Source: pool.Idle, Batch: 1})
	err = s.transact(lease.Context(t), func(ctx context.Context, conn *Conn) error {
		if err := use(ctx, conn); err != nil {
			return err
		}
		return s.leftover()
	})
	if err != nil {
		s.suspect(err)
		return true, err
	}
	b.committed(1)
	return true, nil
}

// leftover returns why a work that has returned can't be part of a transaction,
// and resets the statements that it left open.
func (s *state) leftover() error {
	if s.closed() || s.autocommit() {
		return nil // that is found, and says more
	}
	if s.active() > 0 {
		err := fmt.Errorf("headpond/sqlite: batch: a statement was left open: %s", s.busyStatement())
		s.resetBusy()
		return err
	}
	if s.deferredViolations() {
		return fmt.Errorf("headpond/sqlite: batch: a deferred foreign key is violated: %w", sqlite.ResultConstraintForeignKey.ToError())
	}
	return nil
}

// suspect ends the connections where err means that the file or the disk is broken, and reports whether it does.
func (s *state) suspect(err error) bool {
	broken := spoils(sqlite.ErrCode(err))
	if broken {
		s.db.spoil(s)
	}
	return broken
}
