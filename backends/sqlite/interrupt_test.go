package sqlite

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// soon is how long after its end a wait or a query may go on.
const soon = 20 * time.Millisecond

// ends asserts that try ends within soon of want. A busy machine has as many tries as fit into ten seconds;
// one on which most of the time not even a timer fires within soon has no verdict.
func ends(t *testing.T, want time.Duration, try func()) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for tries, vain := 1, 0; !t.Failed(); tries++ {
		began := time.Now()
		fired := make(chan time.Duration, 1)
		time.AfterFunc(want, func() { fired <- time.Since(began) })
		try()
		took := time.Since(began)
		assert.GreaterOrEqual(t, took, want-time.Millisecond)
		if took < want+soon {
			return
		}
		if <-fired >= want+soon {
			vain++
		}
		if time.Now().After(deadline) {
			if vain > tries/2 {
				t.Skipf("the machine is too busy: in %d of %d tries a timer was late as well", vain, tries)
			}
			assert.Fail(t, "too late", "%v, not %v, in each of %d tries", took, want, tries)
		}
	}
}

// forever counts to a number that is not reached.
const forever = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c) SELECT count(*) FROM c"

// runForever runs a query that does not end, and returns when SQLite is in the midst of it:
// what interrupts it at the moment when it begins may miss it.
func runForever(conn *Conn) (failed <-chan error) {
	running, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		begun := sync.OnceFunc(func() { close(running) })
		defer begun()
		ended <- sqlitex.ExecuteTransient(conn, "SELECT 0 UNION ALL SELECT * FROM ("+forever+")", &sqlitex.ExecOptions{
			ResultFunc: func(*sqlite.Stmt) error { begun(); return nil },
		})
	}()
	<-running
	return ended
}

// Row 11: waiting on a lock hears a cancel.
func TestRow11WaitingOnALockHearsCancel(t *testing.T) {
	holder := table(t, Options{})
	waiter := sibling(t, holder, Writer)
	do(t, holder.conn, "BEGIN IMMEDIATE")
	defer do(t, holder.conn, "ROLLBACK")
	for _, c := range []struct {
		name         string
		busy, cancel time.Duration // cancel 0: none
		want         time.Duration
	}{
		{"cancelled first", 10 * time.Second, 20 * time.Millisecond, 20 * time.Millisecond},
		{"busy first", 20 * time.Millisecond, 10 * time.Second, 20 * time.Millisecond},
		{"no cancel", 30 * time.Millisecond, 0, 30 * time.Millisecond},
		{"no wait", -1, 10 * time.Second, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			waiter.db.options.BusyTimeout = c.busy
			ends(t, c.want, func() {
				ctx, cause := context.Background(), errors.New("enough")
				if c.cancel > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeoutCause(ctx, c.cancel, cause)
					defer cancel()
				}
				waiter.arm(ctx)
				err := withContext(ctx, waiter.run(beginImmediate))
				assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(err).ToPrimary())
				if c.want == c.cancel {
					assert.ErrorIs(t, err, ctx.Err())
					assert.ErrorIs(t, err, cause)
				}
				require.NoError(t, waiter.reset(context.Background()))
			})
		})
	}
}

func TestAQueryHearsCancel(t *testing.T) {
	s := table(t, Options{})
	for range 3 {
		ends(t, 20*time.Millisecond, func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			s.arm(ctx)
			_, err := first(s.conn, forever)
			assert.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(err))
			assert.ErrorIs(t, withContext(ctx, err), context.DeadlineExceeded)
			require.NoError(t, s.reset(t.Context()))
		})
		do(t, s.conn, "SELECT 1")
	}
}

// A ctx that ends about when its lease does must never reach the next borrower.
func TestACancelNeverReachesTheNextBorrower(t *testing.T) {
	s := table(t, Options{})
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	for range rounds {
		ctx, cancel := context.WithCancel(context.Background())
		s.arm(ctx)
		go cancel()
		if err := s.reset(context.Background()); err != nil {
			t.Fatal(err)
		}
		s.arm(context.Background())
		if _, err := s.conn.Prep("SELECT 1").Step(); err != nil {
			t.Fatal(err)
		}
		if err := s.reset(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// A leaked statement and a fired interrupt wedge a connection, unless the statement is reset.
func TestALeakAndACancelDoNotWedge(t *testing.T) {
	s := table(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	s.arm(ctx)
	stmt, _, err := s.conn.PrepareTransient("SELECT * FROM t")
	require.NoError(t, err)
	_, err = stmt.Step()
	require.NoError(t, err)
	cancel()
	<-s.alarm.Load().rings
	_, err = first(s.conn, "SELECT 1")
	require.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(err))
	require.NoError(t, s.reset(t.Context()))
	baseline(t, s)
	do(t, s.conn, "SELECT * FROM t")
	require.NoError(t, stmt.Finalize())
}

func TestInterruptAll(t *testing.T) {
	s := table(t, Options{})
	s.arm(t.Context())
	failed := runForever(s.conn)
	s.db.interruptAll()
	require.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(<-failed))
	require.NoError(t, s.reset(t.Context()))
}

func TestArmingCostsLittle(t *testing.T) {
	s := table(t, Options{})
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		s.arm(context.Background())
		s.disarm()
	}), "a ctx that can't end needs nothing")
	ctx := t.Context()
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		s.arm(ctx)
		s.disarm()
	}), 3.0, "what context.AfterFunc takes in Go 1.26")
}

// Who arms when Close interrupts all is interrupted, too.
func TestInterruptAllReachesWhoArmsLater(t *testing.T) {
	s := table(t, Options{})
	s.db.interruptAll()
	s.arm(t.Context())
	_, err := first(s.conn, forever)
	require.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(err))
	require.NoError(t, s.reset(t.Context()))
}
