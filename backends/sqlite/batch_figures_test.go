package sqlite

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// told counts what the observer of the writer's pool is told.
type told struct {
	mu    sync.Mutex // protects the following
	ended map[pool.Op][]pool.Event
	leaks []pool.Leak
}

func (o *told) observer(i pool.Inspector) pool.Tap {
	if i.Options().MaxSize > 1 {
		return pool.Tap{}
	}
	return pool.Tap{
		End: func(_ context.Context, e pool.Event) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.ended[e.Op] = append(o.ended[e.Op], e)
		},
		Leak: func(leak pool.Leak) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.leaks = append(o.leaks, leak)
		},
	}
}

// failed returns how many acquires ended with an error that is target; nil: with none.
func (o *told) failed(target error) (n uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.ended[pool.Acquire] {
		if target == nil && e.Err == nil || target != nil && errors.Is(e.Err, target) {
			n++
		}
	}
	return n
}

func (o *told) released() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return uint64(len(o.ended[pool.Release]))
}

func newTold() *told { return &told{ended: map[pool.Op][]pool.Event{}} }

// Callers of Batch behind one that is stuck are seen by everything that looks at the writer, one by one,
// as they wait, give up, and have their turn; what the DB acquires for them is not.
func TestBatch_CallersAreInTheWritersFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := newTold()
		db := openBatch(t, Options{AcquireTimeout: 5 * time.Second, MaxWaiters: 50, Observer: seen.observer})
		nothing := func(context.Context, *Conn) error { return nil }
		synctest.Wait() // for the checkpoint after the first commit
		before := db.Stats().Writer
		assert.Equal(t, before.Acquired, seen.failed(nil), "the checkpoint's is no caller's")

		free := make(chan struct{})
		stuck := make(chan error, 1)
		go func() {
			stuck <- db.Batch(t.Context(), func(context.Context, *Conn) error { <-free; return nil })
		}()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 50)
		for n := range 50 {
			of := t.Context()
			if n < 20 {
				of = ctx
			}
			go func() { errs <- db.Batch(of, nothing) }()
		}
		synctest.Wait()
		<-time.After(time.Second)
		stats := db.Stats()
		assert.Equal(t, 50, stats.Writer.Waiting)
		assert.Equal(t, time.Second, stats.Writer.OldestWait)
		assert.Equal(t, 50, stats.Batch.Waiting)
		assert.Equal(t, 50, stats.Batch.MaxWaiting)
		assert.Equal(t, before.Waited+50, stats.Writer.Waited)
		assert.Equal(t, before.Acquired+1, stats.Writer.Acquired)
		assert.Equal(t, 1, stats.Writer.Held)
		err := db.Batch(t.Context(), nothing)
		assert.ErrorIs(t, err, pool.ErrSaturated)
		assert.ErrorContains(t, err, "(1 of 1 held, 50 waiting")

		cancel()
		for range 20 {
			assert.ErrorIs(t, <-errs, context.Canceled)
		}
		<-time.After(5 * time.Second)
		for range 30 {
			err := <-errs
			assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
			assert.Regexp(t, `longest held: #\d+ for 5s by \S*batch_figures_test\.go:\d+ \S*TestBatch_CallersAreInTheWritersFigures\S+\): release sooner`, err.Error())
		}
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, db.Batch(late, nothing), context.DeadlineExceeded)
		stats = db.Stats()
		assert.EqualValues(t, 31, stats.Writer.TimedOut)
		assert.EqualValues(t, 20, stats.Writer.Cancelled)
		assert.EqualValues(t, 1, stats.Writer.Saturated)
		assert.Zero(t, stats.Writer.Waiting)
		assert.Zero(t, stats.Writer.OldestWait)
		assert.Equal(t, before.WaitTime+20*time.Second+30*5*time.Second+time.Second, stats.Writer.WaitTime)
		assert.Equal(t, stats.Writer.TimedOut, seen.failed(context.DeadlineExceeded))
		assert.Equal(t, stats.Writer.Cancelled, seen.failed(context.Canceled))

		close(free)
		assert.NoError(t, <-stuck)
		together(t, db, nothing, nothing, nothing)
		synctest.Wait()
		stats = db.Stats()
		assert.Equal(t, before.Acquired+5, stats.Writer.Acquired, "the stuck one, the Write of together, and three; not what the DB acquired for them")
		assert.Equal(t, stats.Writer.Acquired, stats.Writer.Released)
		assert.Equal(t, stats.Writer.Acquired, seen.failed(nil), "Stats and events speak of the same")
		assert.Equal(t, stats.Writer.Released, seen.released())
		assert.Zero(t, stats.Writer.Held)
	})
}

// A call that runs again has its turn once.
func TestBatch_ARetryIsNoOtherCaller(t *testing.T) {
	seen := newTold()
	db := openBatch(t, Options{Observer: seen.observer})
	waiting := -1
	work := func(id int) func(context.Context, *Conn) error {
		return func(_ context.Context, conn *Conn) error { return insert(conn, id) }
	}
	runs := 0
	errs := together(t, db,
		func(_ context.Context, conn *Conn) error {
			if runs++; runs == 2 {
				waiting = db.Stats().Batch.Waiting
			}
			return insert(conn, 1)
		},
		work(2),
		func(_ context.Context, conn *Conn) error { return run(conn, "ROLLBACK") })
	assert.NoError(t, errs[0])
	assert.NoError(t, errs[1])
	assert.ErrorIs(t, errs[2], ErrRolledBack)
	assert.Equal(t, 2, runs)
	assert.Zero(t, waiting, "the other one's second turn is to come")
	stats := db.Stats()
	assert.EqualValues(t, 2, stats.Batch.Retries)
	assert.Equal(t, stats.Writer.Acquired, seen.failed(nil))
	assert.Equal(t, stats.Writer.Acquired, stats.Writer.Released)
	assert.Equal(t, stats.Writer.Released, seen.released())
}

// The holder of the writer is the call that runs, however it came to: its own function, its line, its label.
func TestBatch_TheHolderIsTheCallThatRuns(t *testing.T) {
	db := openBatch(t, Options{})
	var held []pool.Holder
	_, _, line, _ := runtime.Caller(0)
	look := func(context.Context, *Conn) error {
		held = append(held, db.Writer().Holders()...)
		return nil
	}
	ctx := pool.WithLabel(t.Context(), "import")
	assert.Equal(t, []error{nil, nil}, togetherWith(t, db, one{ctx, look}, one{ctx, lookAgain(&held, db)}))
	require.NoError(t, togetherAlone(db, one{pool.WithLabel(t.Context(), "alone"), look}))
	require.NoError(t, togetherAlone(db, one{t.Context(), lookAgain(&held, db)}))
	require.Len(t, held, 4)
	for i, want := range []string{
		`as "import" by \S+batch_figures_test\.go:` + strconv.Itoa(line+1) + ` \S+TestBatch_TheHolderIsTheCallThatRuns\.func1$`,
		`as "import" by \S+batch_figures_test\.go:1\d\d \S+lookAgain\S*$`,
		`as "alone" by \S+batch_figures_test\.go:` + strconv.Itoa(line+1) + ` \S+TestBatch_TheHolderIsTheCallThatRuns\.func1$`,
		`^#\d+ for \S+ by \S+batch_figures_test\.go:1\d\d \S+lookAgain\S*$`,
	} {
		assert.Regexp(t, want, held[i].String())
	}
	assert.Empty(t, db.Writer().Holders())
}

func lookAgain(held *[]pool.Holder, db *DB) func(context.Context, *Conn) error {
	return func(context.Context, *Conn) error {
		*held = append(*held, db.Writer().Holders()...)
		return nil
	}
}

// With LeakAfter the holder has the stack of its caller, too: a function that headpond wraps around another's says nothing.
func TestBatch_TheStackOfTheHolder(t *testing.T) {
	for _, way := range []string{"alone", "shared"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := newTold()
				db := openBatch(t, Options{LeakAfter: time.Minute, AcquireTimeout: time.Hour, Observer: seen.observer})
				leak := func(context.Context, *Conn) error {
					holders := db.Writer().Holders()
					if assert.Len(t, holders, 1) {
						assert.Contains(t, holders[0].Stack.String(), "sqlite.theCallerOfBatch\n")
						assert.NotContains(t, holders[0].Stack.String(), "runner")
					}
					<-time.After(time.Hour)
					return nil
				}
				if way == "alone" {
					assert.NoError(t, theCallerOfBatch(db, leak))
				} else {
					db.batches.mu.Lock()
					db.batches.shared = true // so that the runner runs it
					db.batches.mu.Unlock()
					assert.NoError(t, theCallerOfBatch(db, leak))
				}
				synctest.Wait()
				seen.mu.Lock()
				defer seen.mu.Unlock()
				require.Len(t, seen.leaks, 2, "and when it came back")
				for _, leak := range seen.leaks {
					assert.Regexp(t, `batch_figures_test\.go:\d+ \S+TestBatch_TheStackOfTheHolder\S+$`, leak.Stack.Caller())
				}
			})
		})
	}
}

//go:noinline
func theCallerOfBatch(db *DB, use func(context.Context, *Conn) error) error {
	return db.Batch(context.Background(), use)
}

// A checkpoint that has the writer says so.
func TestCheckpoint_IsAHolderByName(t *testing.T) {
	db := openBatch(t, Options{})
	lease, err := db.Writer().Acquire(newRunAgent())
	require.NoError(t, err)
	defer lease.Release()
	assert.Regexp(t, `#\d+ for \S+ as "checkpoint"$`, db.Writer().Holders()[0].String())
}

// A function that returns a result is wrapped by headpond: the holder is the one inside.
func TestBatch_TheHolderIsTheFunctionWithAResult(t *testing.T) {
	db := openBatch(t, Options{})
	caller, err := Batch(t.Context(), db, func(context.Context, *Conn) (string, error) {
		return db.Writer().Holders()[0].Stack.Caller(), nil
	})
	require.NoError(t, err)
	assert.Regexp(t, `batch_figures_test\.go:\d+ \S+TestBatch_TheHolderIsTheFunctionWithAResult\.func1$`, caller)
}
