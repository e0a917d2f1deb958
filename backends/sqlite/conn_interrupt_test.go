package sqlite

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
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

// Waiting on a lock hears a cancel.
// Answers mattn/go-sqlite3#863, elixir-sqlite/exqlite#343.
func TestInterrupt_WaitingOnALockHearsCancel(t *testing.T) {
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
			waiter.database.options.BusyTimeout = c.busy
			ends(t, c.want, func() {
				ctx, cause := context.Background(), errors.New("enough")
				if c.cancel > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeoutCause(ctx, c.cancel, cause)
					defer cancel()
				}
				waiter.watch(ctx)
				err := asContextError(ctx, waiter.Run(raw.BeginImmediate))
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
			s.watch(ctx)
			_, err := first(s.conn, forever)
			assert.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(err))
			assert.ErrorIs(t, asContextError(ctx, err), context.DeadlineExceeded)
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
		s.watch(ctx)
		go cancel()
		if err := s.reset(context.Background()); err != nil {
			t.Fatal(err)
		}
		s.watch(context.Background())
		if _, err := s.conn.Prep("SELECT 1").Step(); err != nil {
			t.Fatal(err)
		}
		if err := s.reset(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// A cancel leaves nothing behind that counts as left by the borrower, wherever it comes, and costs no connection.
func TestACancelIsNoFinding(t *testing.T) {
	db := open(t, false, Options{})
	rounds := 500
	if testing.Short() {
		rounds = 100
	}
	for name, call := range ways(db) {
		for round := range rounds {
			ctx, cancel := context.WithCancel(t.Context())
			err := call(ctx, func(_ context.Context, conn *Conn) error {
				for n := 0; ; n++ {
					if n == round%7 {
						go cancel()
					}
					if err := run(conn, "SELECT count(*) FROM counter, json_each('[1,2,3]')"); err != nil {
						return err
					}
				}
			})
			require.Error(t, err)
			if !strings.HasSuffix(name, "by hand") { // Do returns what its function does
				require.ErrorIs(t, err, context.Canceled, name)
			}
		}
	}
	stats := db.Stats()
	assert.Equal(t, Found{}, stats.Found)
	assert.Zero(t, stats.Readers.Destroyed)
	assert.Zero(t, stats.Writer.Destroyed)
}

// A leaked statement and a fired interrupt wedge a connection, unless the statement is reset.
func TestALeakAndACancelDoNotWedge(t *testing.T) {
	s := table(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	s.watch(ctx)
	stmt, _, err := s.conn.PrepareTransient("SELECT * FROM t")
	require.NoError(t, err)
	_, err = stmt.Step()
	require.NoError(t, err)
	cancel()
	<-s.interrupter.Load().done
	_, err = first(s.conn, "SELECT 1")
	require.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(err))
	require.NoError(t, s.reset(t.Context()))
	baseline(t, s)
	do(t, s.conn, "SELECT * FROM t")
	require.NoError(t, stmt.Finalize())
}

func TestInterruptAll(t *testing.T) {
	s := table(t, Options{})
	s.watch(t.Context())
	failed := runForever(s.conn)
	s.database.interruptAll()
	require.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(<-failed))
	require.NoError(t, s.reset(t.Context()))
}

func TestArmingCostsLittle(t *testing.T) {
	s := table(t, Options{})
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		s.watch(context.Background())
		s.unwatch()
	}), "a ctx that can't end needs nothing")
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		s.watch(ctx)
		s.unwatch()
	}), "nor does one that stays for a short time")
}

// Who arms when Close interrupts all is interrupted, too.
func TestInterruptAllReachesWhoArmsLater(t *testing.T) {
	s := table(t, Options{})
	s.database.interruptAll()
	s.watch(t.Context())
	_, err := first(s.conn, forever)
	require.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(err))
	require.NoError(t, s.reset(t.Context()))
}
