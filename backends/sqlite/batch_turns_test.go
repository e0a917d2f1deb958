package sqlite

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// waitForWorks waits until n works are queued.
func waitForWorks(db *DB, n int) {
	for queued := -1; queued != n; runtime.Gosched() {
		db.batches.mu.Lock()
		queued = db.batches.queue.Len()
		db.batches.mu.Unlock()
	}
}

func TestBatchWhoseCallerLeavesTheQueueDoesNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{AcquireTimeout: 50 * time.Millisecond, Name: "orders"})
		require.NoError(t, db.Write(t.Context(), func(context.Context, *Conn) error {
			never := func(context.Context, *Conn) error { panic("it ran") }
			ctx, cancel := context.WithCancelCause(context.Background())
			cause := errors.New("the user left")
			left := make(chan error, 1)
			go func() { left <- db.Batch(ctx, never) }()
			waitForWorks(db, 1)
			cancel(cause)
			err := <-left
			assert.ErrorIs(t, err, context.Canceled)
			assert.ErrorIs(t, err, cause)
			err = db.Batch(context.Background(), never)
			assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
			assert.ErrorContains(t, err, `headpond/pool "orders.writer": acquire: no resource within 50ms`)
			err = db.Batch(ctx, never)
			assert.ErrorIs(t, err, cause)
			waitForWorks(db, 0)
			return nil
		}))
		assert.Empty(t, worked(t, db))
	})
}

func TestBatchInterruptedWhileItWritesLosesTheSharedTransactionAndNothingElse(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	db := openBatch(t, Options{Setup: func(_ context.Context, conn *Conn) error {
		return conn.CreateFunction("cancelled", &sqlite.FunctionImpl{NArgs: 1, Scalar: func(_ sqlite.Context, args []sqlite.Value) (sqlite.Value, error) {
			cancel()
			return args[0], nil
		}})
	}})
	runs := 0
	errs := togetherWith(t, db,
		one{use: func(_ context.Context, conn *Conn) error { runs++; return insert(conn, 1) }},
		one{ctx, func(_ context.Context, conn *Conn) error { // one statement that writes until it is interrupted
			return run(conn, "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i+1 FROM n) INSERT INTO work SELECT cancelled(i) FROM n")
		}},
		one{use: func(_ context.Context, conn *Conn) error { return insert(conn, 3) }},
	)
	assert.NoError(t, errs[0])
	assert.ErrorIs(t, errs[1], context.Canceled)
	assert.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(errs[1]).ToPrimary())
	assert.NoError(t, errs[2])
	assert.Equal(t, 2, runs, "it ran again, alone")
	assert.Equal(t, []int{1, 3}, worked(t, db))
	assert.EqualValues(t, 1, db.Stats().Batch.Retries)
}

func TestBatchAndWriteTakeTurns(t *testing.T) {
	synctest.Test(t, testBatchAndWriteTakeTurns)
}

func testBatchAndWriteTakeTurns(t *testing.T) {
	db := openBatch(t, Options{MaxBatch: 4})
	withoutRuns(db) // one would wait for its turn as well
	var mu sync.Mutex
	var order []string
	note := func(what string) func(context.Context, *Conn) error {
		return func(context.Context, *Conn) error {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, what)
			return nil
		}
	}
	var all sync.WaitGroup
	require.NoError(t, db.Write(t.Context(), func(context.Context, *Conn) error {
		for n := range 8 {
			all.Go(func() { assert.NoError(t, db.Batch(context.Background(), note("batch"))) })
			waitForWorks(db, n+1)
		}
		synctest.Wait() // the runner waits as well
		all.Go(func() { assert.NoError(t, db.Write(context.Background(), note("write"))) })
		synctest.Wait()
		return nil
	}))
	all.Wait()
	assert.Equal(t, []string{"batch", "batch", "batch", "batch", "write", "batch", "batch", "batch", "batch"}, order)
	assert.EqualValues(t, BatchStats{Batches: 2, Calls: 8, Largest: 4}, db.Stats().Batch)
}

func TestBatchWhereItCantBe(t *testing.T) {
	db := openBatch(t, Options{MaxWaiters: 1})
	never := func(context.Context, *Conn) error { panic("it ran") }
	inside := func(ctx context.Context, _ *Conn) error {
		assert.ErrorIs(t, db.Batch(ctx, never), pool.ErrNested)
		return nil
	}
	require.NoError(t, db.Read(t.Context(), inside))
	require.NoError(t, db.Write(t.Context(), inside))
	require.NoError(t, db.Batch(t.Context(), inside))
	require.NoError(t, db.Batch(t.Context(), func(ctx context.Context, _ *Conn) error {
		assert.ErrorIs(t, db.Write(ctx, never), pool.ErrNested)
		return db.Read(ctx, func(context.Context, *Conn) error { return nil })
	}))
	var all sync.WaitGroup
	require.NoError(t, db.Write(t.Context(), func(context.Context, *Conn) error {
		all.Go(func() {
			assert.NoError(t, db.Batch(context.Background(), func(context.Context, *Conn) error { return nil }))
		})
		waitForWorks(db, 1)
		assert.ErrorIs(t, db.Batch(context.Background(), never), pool.ErrSaturated)
		return nil
	}))
	all.Wait()
	require.NoError(t, db.Close(t.Context()))
	assert.ErrorIs(t, db.Batch(t.Context(), never), pool.ErrClosed)

	readOnly, err := Open(t.Context(), db.database.path, Options{ReadOnly: true})
	require.NoError(t, err)
	assert.ErrorIs(t, readOnly.Batch(t.Context(), never), ErrReadOnly)
	require.NoError(t, readOnly.Close(t.Context()))
}

func TestBatchThatChangesTheConnectionIsTheLastOfIts(t *testing.T) {
	db := openBatch(t, Options{})
	errs := together(t, db,
		func(_ context.Context, conn *Conn) error { return insert(conn, 1) },
		func(_ context.Context, conn *Conn) error {
			return sqlitex.ExecuteTransient(conn, "CREATE TEMP TABLE mine (x)", nil)
		},
		func(_ context.Context, conn *Conn) error {
			assert.Error(t, sqlitex.ExecuteTransient(conn, "SELECT * FROM temp.mine", nil), "it finds the baseline")
			return insert(conn, 3)
		},
	)
	assert.Equal(t, []error{nil, nil, nil}, errs)
	assert.Equal(t, []int{1, 3}, worked(t, db))
	assert.EqualValues(t, 2, db.Stats().Batch.Batches)
}

func TestBatchIsObservedCallByCall(t *testing.T) {
	var mu sync.Mutex
	ended := map[pool.Op][]pool.Event{}
	db := openBatch(t, Options{Observer: func(i pool.Inspector) pool.Tap {
		if i.Options().MaxSize > 1 {
			return pool.Tap{}
		}
		return pool.Tap{End: func(_ context.Context, e pool.Event) {
			mu.Lock()
			defer mu.Unlock()
			ended[e.Op] = append(ended[e.Op], e)
		}}
	}})
	withoutRuns(db) // one would be observed as well
	mu.Lock()
	clear(ended)
	mu.Unlock()
	work := func(id int) func(context.Context, *Conn) error {
		return func(_ context.Context, conn *Conn) error { return insert(conn, id) }
	}
	errs := together(t, db, work(1), work(2), work(3))
	assert.Equal(t, []error{nil, nil, nil}, errs)
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, ended[pool.Acquire], 4, "the Write of together, and three works; not the runner's own")
	require.Len(t, ended[pool.Release], 4)
	for _, e := range ended[pool.Acquire][1:] {
		assert.Equal(t, 3, e.Shared)
		assert.Equal(t, pool.Handoff, e.Source)
		assert.NotZero(t, e.ID)
	}
	shared := 0
	for _, e := range ended[pool.Release] {
		if e.Shared == 3 {
			shared++
		}
	}
	assert.Equal(t, 3, shared)
}

// Measured with Go 1.26, with a ctx that can't end; the work itself allocates nothing.
func TestBatch_TellsTheObserverOfWhatItsFunctionAcquires(t *testing.T) {
	var tries atomic.Int32
	db := openBatch(t, Options{Observer: func(i pool.Inspector) pool.Tap {
		return pool.Tap{End: func(_ context.Context, e pool.Event) {
			if e.Op == pool.Acquire && errors.Is(e.Err, pool.ErrUnavailable) {
				tries.Add(1)
			}
		}}
	}})
	db.batches.mu.Lock()
	db.batches.shared = true // so that the runner runs it
	db.batches.mu.Unlock()
	require.NoError(t, db.Batch(t.Context(), func(ctx context.Context, _ *Conn) error {
		_, err := db.Writer().TryAcquire(ctx)
		assert.ErrorIs(t, err, pool.ErrUnavailable)
		return nil
	}))
	assert.EqualValues(t, 1, tries.Load())
}

func TestBatchAllocatesTwiceACall(t *testing.T) {
	db := openBatch(t, Options{AcquireTimeout: -1})
	work := func(context.Context, *Conn) error { return nil }
	ctx := context.Background()
	locks := 0.0
	if onWindows { // where SQLite's calls of the system allocate
		s := table(t, Options{})
		locks = testing.AllocsPerRun(500, func() {
			if err := errors.Join(s.Run(raw.BeginImmediate), s.Run(raw.Rollback)); err != nil {
				t.Error(err)
			}
		})
	}
	assert.LessOrEqual(t, testing.AllocsPerRun(500, func() {
		if err := db.Batch(ctx, work); err != nil {
			t.Error(err)
		}
	}), 2.0+locks)
}

// Another process, or connection, that writes for longer than BusyTimeout: who waited is told of the lock
// and not that the writer was taken, also if AcquireTimeout is over by then; and a cancel is heard at once.
func TestBatchThatCannotBeginForALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{BusyTimeout: 100 * time.Millisecond, AcquireTimeout: 50 * time.Millisecond})
		other := conn(t, db)
		do(t, other, "BEGIN IMMEDIATE")
		never := func(context.Context, *Conn) error { panic("it ran") }
		moment := func() { <-time.After(time.Millisecond) } // BUSY is for who waited before BEGIN, not for who comes in the same instant
		errs := togetherHeld(t, db, moment, never, never)
		moment()
		for _, err := range append(errs, db.Batch(t.Context(), never)) {
			assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(err), "%v", err)
			assert.NotErrorIs(t, err, pool.ErrAcquireTimeout)
		}
		db.database.options.BusyTimeout, db.database.waitLimit = time.Minute, time.Minute
		ctx, cancel := context.WithCancel(context.Background())
		cancelled, waited := make(chan error, 1), make(chan error, 1)
		go func() {
			waited <- togetherHeld(t, db, func() {
				go func() { cancelled <- db.Batch(ctx, never) }()
				waitForWorks(db, 2)
			}, func(_ context.Context, conn *Conn) error { return insert(conn, 1) })[0]
		}()
		<-time.After(time.Second)
		assert.True(t, db.batches.beginning.Load())
		cancel()
		assert.ErrorIs(t, <-cancelled, context.Canceled)
		assert.True(t, db.batches.beginning.Load(), "and the others wait on")
		do(t, other, "ROLLBACK")
		assert.NoError(t, <-waited)
		assert.Equal(t, []int{1}, worked(t, db))
	})
}

// In WAL mode COMMIT waits for no lock: only a database that Setup attached, with a rollback journal, makes it.
// Somebody who reads there for longer than BusyTimeout fails it: the works run again, each alone.
func TestBatchThatCannotBeCommittedForALock(t *testing.T) {
	attached := path(t)
	other, err := sqlite.OpenConn(attached, sqlite.OpenReadWrite|sqlite.OpenCreate)
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close()) }()
	do(t, other, "CREATE TABLE elsewhere (id)")
	db := openBatch(t, Options{BusyTimeout: 50 * time.Millisecond, Setup: func(_ context.Context, conn *Conn) error {
		return sqlitex.Execute(conn, "ATTACH ? AS attached", &sqlitex.ExecOptions{Args: []any{attached}})
	}})
	runs := 0
	work := func(id int) func(context.Context, *Conn) error {
		return func(_ context.Context, conn *Conn) error {
			if runs++; runs == 5 { // the second work, when it runs again
				do(t, other, "COMMIT")
			}
			return errors.Join(insert(conn, id), run(conn, "INSERT INTO attached.elsewhere VALUES (1)"))
		}
	}
	do(t, other, "BEGIN; SELECT * FROM elsewhere")
	errs := togetherHeld(t, db, func() {}, work(1), work(2), work(3))
	assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(errs[0]), "%v", errs[0])
	assert.ErrorContains(t, errs[0], "COMMIT")
	assert.NoError(t, errs[1])
	assert.NoError(t, errs[2])
	assert.Equal(t, 6, runs)
	assert.EqualValues(t, BatchStats{Batches: 2, Calls: 2, Retries: 3, Largest: 1}, db.Stats().Batch)

	do(t, other, "BEGIN; SELECT * FROM elsewhere")
	err = db.Batch(t.Context(), work(4))
	assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(err), "alone: %v", err)
	do(t, other, "COMMIT")
	assert.NoError(t, db.Batch(t.Context(), work(5)))
	assert.Equal(t, []int{2, 3, 5}, worked(t, db))
	assert.Equal(t, "3", get(t, other, "SELECT count(*) FROM elsewhere"))
}

// What is called on the way may call runtime.Goexit, as a test's FailNow does: no work is lost for it,
// and none is taken for committed.
func TestBatchWhereACallbackExits(t *testing.T) {
	work := func(id int) func(context.Context, *Conn) error {
		return func(_ context.Context, conn *Conn) error { return insert(conn, id) }
	}
	t.Run("OnFinding", func(t *testing.T) {
		db := openBatch(t, Options{OnFinding: func(context.Context, Finding) { runtime.Goexit() }})
		errs := together(t, db, work(1), func(_ context.Context, conn *Conn) error { return conn.Close() }, work(3))
		assert.NoError(t, errs[0])
		assert.Error(t, errs[1])
		assert.NoError(t, errs[2])
		assert.Equal(t, []int{1, 3}, worked(t, db))
	})
	for _, op := range []pool.Op{pool.Acquire, pool.Release} {
		t.Run(op.String(), func(t *testing.T) {
			var exits atomic.Bool
			db := openBatch(t, Options{Observer: func(i pool.Inspector) pool.Tap {
				return pool.Tap{End: func(_ context.Context, e pool.Event) {
					if e.Op == op && e.Shared > 0 && exits.CompareAndSwap(true, false) {
						runtime.Goexit()
					}
				}}
			}})
			withoutRuns(db) // one could have the writer when a call comes to be alone
			exits.Store(true)
			errs := together(t, db, work(1), work(2))
			assert.Equal(t, op == pool.Release, errors.Is(errors.Join(errs...), errExited), "its own goroutine, or the DB's")
			assert.Equal(t, []int{1, 2}, worked(t, db))
			assert.NoError(t, db.Batch(t.Context(), work(3)))
			for !db.batches.uncontended() || db.Writer().Stats().Idle == 0 { // or the DB's goroutine would run it
				runtime.Gosched()
			}
			exits.Store(true)
			assert.Equal(t, errExited, togetherAlone(db, one{t.Context(), work(4)}))
			assert.NoError(t, db.Batch(t.Context(), work(5)), "the writer came back")
		})
	}
}
