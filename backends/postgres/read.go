package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/jackc/pgx/v5"
)

// beginBehind begins as beginSnapshot does, after it has asked a replica how much it has replayed:
// the snapshot is taken later, and so has all of it. A primary has everything.
const beginBehind = `begin; SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE 'FFFFFFFF/FFFFFFFF' END; commit; ` + beginSnapshot

// everything is the position of a Read that has to see what is not known.
const everything = 1<<64 - 1

// elsewhereError says that a Read has to go to the primary: the replica is behind, or failed.
type elsewhereError struct{ error }

func (e *elsewhereError) Unwrap() error { return e.error }

// errBehind is why.
var errBehind = errors.New("the replica has not replayed yet what was written")

// read is Read.
func (db *DB) read(ctx context.Context, use func(ctx context.Context, tx pgx.Tx) error) error {
	if !db.cluster.several() {
		return db.run(ctx, "Read", db.readers, func(ctx context.Context, s *session) error {
			return s.snapshot(ctx, 0, use)
		})
	}
	need := db.cluster.needed()
	var elsewhere *elsewhereError
	for pause := time.Millisecond; ; pause *= 2 {
		err := db.run(ctx, "Read", db.readers, func(ctx context.Context, s *session) error {
			return s.snapshot(ctx, need, use)
		})
		if !errors.As(err, &elsewhere) {
			return err
		}
		if db.writer == nil {
			return elsewhere.error
		}
		err = db.run(ctx, "Read", db.writer, func(ctx context.Context, s *session) error {
			return s.snapshot(ctx, 0, use)
		})
		if !errors.Is(err, pool.ErrNested) || need == everything || !errors.Is(elsewhere, errBehind) {
			return err
		}
		// Inside a Write, which has the only writer: the replica will have caught up before long.
		if !sleep(ctx, min(pause, 50*time.Millisecond)) {
			return fmt.Errorf("%w: %w", ended(ctx), elsewhere.error)
		}
	}
}

// sleep waits; false: ctx ended.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// needed is the position of the write-ahead log that a Read has to see.
func (c *cluster) needed() uint64 {
	if c.settled.Load() < c.lost.Load() {
		return everything
	}
	return c.written.Load()
}

// snapshot calls use inside a transaction that reads, on a server that has replayed up to need: see DB.Read.
func (s *session) snapshot(ctx context.Context, need uint64, use func(ctx context.Context, tx pgx.Tx) error) error {
	t, err := s.beginAt(ctx, need)
	if err != nil {
		return err
	}
	err = use(ctx, t)
	s.wire.sent.guarded = false
	if pg := s.conn.PgConn(); err == nil && !pg.IsBusy() && pg.TxStatus() == 'T' {
		_, err = s.conn.Exec(ctx, "commit") // nothing hangs on it, but a server's figures count a ROLLBACK as a failure
	}
	s.rollBack(ctx)
	if errors.Is(withKind(err), ErrReadOnly) {
		return fmt.Errorf("in Read, which does not write: use Write: %w", err)
	}
	_, lost := s.lost()
	conflict := err != nil && s.replica && ctx.Err() == nil && (lost || again(err))
	err = s.blame(ctx, "use", err)
	if conflict && s.member != nil {
		s.connector.cluster.conflicts.Add(1)
		return &elsewhereError{err}
	}
	return err
}

// beginAt begins a transaction that reads, and sees what was written up to need.
func (s *session) beginAt(ctx context.Context, need uint64) (*tx, error) {
	if need == 0 || !s.replica || s.member.replayed.Load() >= need {
		return s.begin(ctx, "Read", beginSnapshot)
	}
	if need == everything {
		s.connector.cluster.behind.Add(1)
		return nil, &elsewhereError{s.fail("begin", errBehind)}
	}
	s.wire.received.wantRow = true
	t, err := s.begin(ctx, "Read", beginBehind)
	s.wire.received.wantRow = false
	if err != nil {
		return nil, err
	}
	at, err := position(s.wire.received.row)
	if at < everything {
		raise(&s.member.replayed, at)
	}
	if err == nil && at >= need {
		return t, nil
	}
	s.rollBack(ctx)
	s.connector.cluster.behind.Add(1)
	return nil, &elsewhereError{s.fail("begin", errBehind)}
}
