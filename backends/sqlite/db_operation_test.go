package sqlite

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// operations keeps what an observer is told of the calls of Read, Write and Batch, and of their commits.
type operations struct {
	mu    sync.Mutex // protects the following
	began []string
	ended []pool.Event
	runs  []pool.Run
}

func (o *operations) observer(pool.Inspector) pool.Tap {
	return pool.Tap{
		Begin: func(ctx context.Context, e pool.Event) context.Context {
			o.mu.Lock()
			defer o.mu.Unlock()
			switch e.Op {
			case pool.Operation:
				o.began = append(o.began, e.Operation.Name)
			case pool.Commit:
				o.began = append(o.began, "commit")
			}
			return ctx
		},
		End: func(_ context.Context, e pool.Event) {
			o.mu.Lock()
			defer o.mu.Unlock()
			switch e.Op {
			case pool.Operation:
				o.runs = append(o.runs, *e.Operation)
				o.ended = append(o.ended, e)
			case pool.Commit:
				o.ended = append(o.ended, e)
			}
		},
	}
}

func (o *operations) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.began, o.ended, o.runs = nil, nil, nil
}

func TestOperation_EventsOfEachCall(t *testing.T) {
	for _, memory := range []bool{false, true} {
		told := &operations{}
		db := open(t, memory, Options{Observer: told.observer})
		told.forget()
		require.NoError(t, db.Read(t.Context(), func(context.Context, *Conn) error { return nil }))
		require.NoError(t, db.Write(t.Context(), func(context.Context, *Conn) error { return nil }))
		require.NoError(t, db.Batch(t.Context(), func(context.Context, *Conn) error { return nil }))
		mine := errors.New("mine")
		require.Equal(t, mine, db.Write(t.Context(), func(context.Context, *Conn) error { return mine }))
		err := db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "nonsense") })
		require.Error(t, err)
		assert.Panics(t, func() { _ = db.Batch(t.Context(), func(context.Context, *Conn) error { panic(mine) }) })
		assert.Equal(t, []string{"read", "write", "commit", "batch", "commit", "write", "write", "batch"}, told.began)
		require.Len(t, told.ended, 8)
		for i, e := range told.ended {
			assert.True(t, e.Took > 0 || onWindows && e.Took == 0, "its clock moves in steps")
			if i < 5 {
				assert.NoError(t, e.Err)
				assert.Nil(t, e.Code)
			}
		}
		assert.Equal(t, mine, told.ended[5].Err)
		assert.Nil(t, told.ended[5].Code)
		assert.Equal(t, err, told.ended[6].Err)
		assert.Equal(t, &pool.Code{Name: "SQLITE_ERROR", Number: "1"}, told.ended[6].Code)
		assert.ErrorAs(t, told.ended[7].Err, new(*pool.PanicError))
		assert.Equal(t, []pool.Run{{Name: "read"}, {Name: "write"}, {Name: "batch", Attempts: 1}, {Name: "write"}, {Name: "write"}, {Name: "batch", Attempts: 1}}, told.runs)
	}
}

func TestOperation_CallsThatShareACommit(t *testing.T) {
	told := &operations{}
	db := openBatch(t, Options{Observer: told.observer})
	works := func(id int) func(context.Context, *Conn) error {
		return func(_ context.Context, conn *Conn) error { return insert(conn, id) }
	}
	told.forget()
	together(t, db, works(1), works(2), works(3))
	told.mu.Lock()
	commits := 0
	for _, e := range told.ended {
		if e.Op == pool.Commit && e.Shared > 0 {
			commits++
			assert.Equal(t, 3, e.Shared)
		}
	}
	assert.Equal(t, 1, commits)
	batches := 0
	for _, r := range told.runs {
		if r.Name == "batch" {
			batches++
			assert.Equal(t, 1, r.Attempts)
			assert.Equal(t, 3, r.Shared)
			assert.NotNil(t, r.Commit)
		}
	}
	assert.Equal(t, 3, batches)
	told.mu.Unlock()
}

// What hears of a commit may end the goroutine that makes it: no call is lost for that.
func TestOperation_WhereTheObserverOfACommitExits(t *testing.T) {
	for _, at := range []string{"begin", "end"} {
		t.Run(at, func(t *testing.T) {
			var exits atomic.Bool
			exit := func(now string, e pool.Event) {
				if now == at && e.Op == pool.Commit && e.Shared > 0 && exits.CompareAndSwap(true, false) {
					runtime.Goexit()
				}
			}
			db := openBatch(t, Options{Observer: func(pool.Inspector) pool.Tap {
				return pool.Tap{
					Begin: func(ctx context.Context, e pool.Event) context.Context { exit("begin", e); return ctx },
					End:   func(_ context.Context, e pool.Event) { exit("end", e) },
				}
			}})
			exits.Store(true)
			errs := together(t, db,
				func(_ context.Context, conn *Conn) error { return insert(conn, 1) },
				func(_ context.Context, conn *Conn) error { return insert(conn, 2) })
			assert.Equal(t, []error{nil, nil}, errs)
			assert.False(t, exits.Load())
			assert.Equal(t, []int{1, 2}, worked(t, db))
			require.NoError(t, db.Batch(t.Context(), func(_ context.Context, conn *Conn) error { return insert(conn, 3) }))
		})
	}
}

// An observer that ends the goroutine of a checkpoint ends no later one.
func TestCheckpoint_WhoseObserverExits(t *testing.T) {
	var told atomic.Int32
	db := openBatch(t, Options{Observer: func(pool.Inspector) pool.Tap {
		return pool.Tap{End: func(_ context.Context, e pool.Event) {
			if e.Op == pool.Checkpoint {
				told.Add(1)
				runtime.Goexit()
			}
		}}
	}})
	for id := range 2 {
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return insert(conn, id) }))
		done, err := db.Checkpoint(t.Context())
		require.NoError(t, err)
		assert.True(t, done.Complete)
	}
	assert.EqualValues(t, 2, told.Load())
}
