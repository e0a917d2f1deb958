package sqlite

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// A DB that nobody has called for a moment has no timer and no goroutine for the ends of ctxs; nor has one whose leases
// are out and on which nothing runs: then nothing ticks until one ends.
func TestWatcher_SleepsWhileNobodyComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, false, Options{Readers: 3})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		lease, err := db.Readers().Acquire(ctx)
		require.NoError(t, err)
		c, _ := connectionOf(lease.Value())
		assert.True(t, db.database.watcher.awake.Load())
		assert.True(t, c.watching.unheard(), "for a moment it costs nothing")
		time.Sleep(2 * lookAfter)
		assert.False(t, db.database.watcher.awake.Load(), "with a lease out")
		assert.False(t, c.watching.unheard())
		time.Sleep(time.Hour)
		require.NoError(t, pointRead(lease.Value()))
		began := time.Now()
		cancel()
		<-c.interrupter.Load().done
		assert.Zero(t, time.Since(began), "it is heard all the same")
		assert.ErrorContains(t, pointRead(lease.Value()), "interrupt")
		lease.Release()
		require.NoError(t, db.Read(context.Background(), func(_ context.Context, conn *Conn) error { return pointRead(conn) }))
		time.Sleep(2 * lookAfter)
		assert.False(t, db.database.watcher.awake.Load())
	})
}

// In a bubble, time stands still while a statement runs.
func TestWatcher_AStatementThatRunsNeedsNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, false, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Read(ctx, func(_ context.Context, conn *Conn) error {
			failed := runForever(conn)
			cancel()
			return <-failed
		})
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(err).ToPrimary())
	})
}

// A ctx that has ended before the function returns commits nothing, however short a time ago it ended.
func TestWatcher_WhatHasEndedIsNotCommitted(t *testing.T) {
	db := open(t, false, Options{})
	for name, write := range map[string]func(context.Context, func(context.Context, *Conn) error) error{"Write": db.Write, "Batch": db.Batch} {
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			err := write(ctx, func(_ context.Context, conn *Conn) error {
				err := run(conn, "UPDATE counter SET n = n + 1")
				cancel()
				return err
			})
			assert.ErrorIs(t, err, context.Canceled, name)
		}
	}
	assert.Equal(t, "0", count(t, db))
}

// The next borrower hears nothing of a ctx that ends about when its lease does, while the watcher looks all the time.
func TestWatcher_HearsNothingForTheNextBorrower(t *testing.T) {
	s := table(t, Options{})
	var stop atomic.Bool
	var looks sync.WaitGroup
	for range 2 {
		looks.Go(func() {
			for !stop.Load() {
				s.database.hear()
			}
		})
	}
	defer looks.Wait()
	defer stop.Store(true)
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	for range rounds {
		ctx, cancel := context.WithCancel(context.Background())
		s.watch(ctx)
		go cancel()
		require.NoError(t, s.reset(context.Background()))
		next, end := context.WithCancel(context.Background())
		s.watch(next)
		_, err := s.conn.Prep("SELECT 1").Step()
		require.NoError(t, err)
		require.NoError(t, s.reset(context.Background()))
		end()
		assert.False(t, s.interrupter.Load().triggered())
	}
}

// endingContext is a ctx in the instant in which it ends: what waits for that is called, and its Done is not closed yet.
type endingContext struct {
	context.Context
	done chan struct{}
	end  func()
}

func (c *endingContext) Done() <-chan struct{} { return c.done }
func (c *endingContext) Err() error            { return context.Canceled }
func (c *endingContext) AfterFunc(f func()) func() bool {
	c.end = f
	return func() bool { return false }
}

// A lease that ends in the instant in which its ctx does waits until that is heard: else the next borrower would hear it.
func TestWatcher_WaitsForWhatIsAboutToInterrupt(t *testing.T) {
	s := table(t, Options{})
	for range 100 {
		ctx := &endingContext{Context: context.Background(), done: make(chan struct{})}
		s.watch(ctx)
		s.database.hear()
		require.NotNil(t, ctx.end)
		ctx.end()
		require.NoError(t, s.reset(context.Background()))
		s.watch(t.Context())
		for range 10 {
			runtime.Gosched()
		}
		require.False(t, s.interrupter.Load().triggered())
		require.NoError(t, s.reset(context.Background()))
	}
}

// oddContext is a ctx of a caller's whose Value and AfterFunc panic.
type oddContext struct{ context.Context }

func (oddContext) Value(any) any                { panic("odd") }
func (oddContext) AfterFunc(func()) func() bool { panic("odd") }

func TestWatcher_ACtxThatPanicsIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := table(t, Options{})
		ctx, cancel := context.WithCancel(context.Background())
		s.watch(oddContext{ctx})
		time.Sleep(10 * lookAfter)
		assert.False(t, s.interrupter.Load().triggered())
		assert.True(t, s.watching.unheard())
		cancel()
		time.Sleep(2 * lookAfter)
		assert.True(t, s.interrupter.Load().triggered())
		require.NoError(t, s.reset(context.Background()))
	})
}

// Of 200 cancels of each kind, with 1,000 leases out, 99 in 100 are heard within a time that a busy machine can keep.
func TestWatcher_CancelsAreHeardSoon(t *testing.T) {
	if !*long {
		t.Skip("with -long: it measures time")
	}
	db := open(t, false, Options{Readers: 1000})
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return run(conn, `CREATE TABLE big (id INTEGER PRIMARY KEY, x);
			INSERT INTO big (x) WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT 300000) SELECT hex(randomblob(20)) FROM c;
			CREATE VIRTUAL TABLE words USING fts5(text);
			INSERT INTO words SELECT substr(x, 1, 4) || ' ' || substr(x, 5, 4) FROM big LIMIT 50000`)
	}))
	out, end := context.WithCancel(t.Context())
	defer end()
	for range 999 {
		lease, err := db.Readers().Acquire(out)
		require.NoError(t, err)
		defer lease.Release()
	}
	locked := func(do func()) {
		other, err := sqlite.OpenConn(db.database.path)
		require.NoError(t, err)
		defer other.Close()
		require.NoError(t, run(other, "BEGIN IMMEDIATE"))
		do()
		require.NoError(t, run(other, "ROLLBACK"))
	}
	for name, sql := range map[string]string{
		"steps": forever, "count": "SELECT count(*) FROM big", "sort": "SELECT x FROM big ORDER BY x LIMIT 1 OFFSET 299999",
		"fts5": "SELECT count(*) FROM words WHERE text MATCH 'A* OR B* OR 1*'", "integrity": "PRAGMA integrity_check",
		"vacuum": "", "lock": "", "short": "SELECT 1",
	} {
		t.Run(name, func(t *testing.T) {
			var took []time.Duration
			call := func() {
				ctx, cancel := context.WithCancel(context.Background())
				var cancelled atomic.Int64
				began := time.Now()
				time.AfterFunc(time.Duration(len(took)%20)*time.Millisecond, func() {
					cancelled.Store(int64(time.Since(began)))
					cancel()
				})
				again := func(_ context.Context, conn *Conn) error {
					for {
						if err := run(conn, sql); err != nil {
							return err
						}
					}
				}
				var err error
				switch name {
				case "vacuum":
					lease, acquireErr := db.Writer().Acquire(ctx)
					if acquireErr == nil {
						for err == nil {
							err = run(lease.Value(), "VACUUM")
						}
						lease.Release()
					} else {
						err = acquireErr
					}
				case "lock":
					err = db.Write(ctx, again)
				default:
					err = db.Read(ctx, again)
				}
				took = append(took, time.Since(began)-time.Duration(cancelled.Load()))
				assert.Error(t, err)
				<-ctx.Done()
			}
			all := func() {
				for range 200 {
					call()
				}
			}
			if name == "lock" {
				locked(all)
			} else {
				all()
			}
			slices.Sort(took)
			t.Logf("median %v, 99th percentile %v, longest %v", took[100], took[197], took[199])
			assert.Less(t, took[197], 200*time.Millisecond)
		})
	}
}
