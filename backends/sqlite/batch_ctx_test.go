package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
)

// panickyContext is a ctx of a caller's, one of whose methods panics from its n-th call on.
// Its Done is a channel of its own: package context waits for that in a goroutine.
type panickyContext struct {
	context.Context
	done   chan struct{}
	method string
	left   *atomic.Int64
}

func newPanickyContext(method string, calls int64) panickyContext {
	c := panickyContext{context.Background(), make(chan struct{}), method, &atomic.Int64{}}
	c.left.Store(calls)
	return c
}

func (c panickyContext) call(method string) {
	if c.method == method && c.left.Add(-1) < 0 {
		panic("ctx: " + method)
	}
}

func (c panickyContext) Done() <-chan struct{} { c.call("Done"); return c.done }
func (c panickyContext) Value(key any) any     { c.call("Value"); return c.Context.Value(key) }

func (c panickyContext) Err() error {
	c.call("Err")
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}

// Every method panics, at the first to the tenth call, whatever becomes of the call of Batch that has the ctx:
// it costs that call alone, and never the process, on whose goroutine Batch runs it with others.
func TestBatch_ACtxThatPanicsCostsItsCallerAlone(t *testing.T) {
	_ = pool.WithLabel(t.Context(), "") // from now on each ctx is asked for a label
	for _, method := range []string{"Done", "Err", "Value"} {
		for name, use := range map[string]func(ctx panickyContext, conn *Conn) error{
			"succeeds":            func(panickyContext, *Conn) error { return nil },
			"fails":               func(panickyContext, *Conn) error { return errors.New("it failed") },
			"ends":                func(ctx panickyContext, _ *Conn) error { close(ctx.done); return nil },
			"loses":               func(_ panickyContext, conn *Conn) error { return run(conn, "ROLLBACK") },
			"ends and loses":      func(ctx panickyContext, conn *Conn) error { close(ctx.done); return run(conn, "ROLLBACK") },
			"is interrupted":      func(ctx panickyContext, conn *Conn) error { close(ctx.done); return run(conn, forever) },
			"ends after a while":  nil,
			"ends while it waits": nil,
			"ends before another loses": func(ctx panickyContext, conn *Conn) error {
				return insert(conn, 102)
			},
		} {
			t.Run(fmt.Sprint(method, " ", name), func(t *testing.T) {
				db := openBatch(t, Options{})
				for calls := range int64(10) {
					ctx := newPanickyContext(method, calls)
					do := use
					if do == nil {
						do = func(ctx panickyContext, conn *Conn) error {
							<-time.After(2 * lookAfter)
							close(ctx.done)
							return run(conn, forever)
						}
					}
					works := []one{
						{use: func(context.Context, *Conn) error { return nil }},
						{ctx, func(_ context.Context, conn *Conn) error { return do(ctx, conn) }},
						{use: func(context.Context, *Conn) error { return nil }},
					}
					switch name {
					case "ends while it waits":
						works[0].use = func(context.Context, *Conn) error { close(ctx.done); return nil }
						works[1].use = func(context.Context, *Conn) error { return nil }
					case "ends before another loses":
						works[2].use = func(_ context.Context, conn *Conn) error { close(ctx.done); return run(conn, "ROLLBACK") }
					}
					errs := togetherOrNot(db, works...)
					assert.NoError(t, errs[0], "after %d calls", calls)
					if name != "ends before another loses" {
						assert.NoError(t, errs[2], "after %d calls", calls)
					}
				}
			})
		}
	}
}

// togetherOrNot is togetherWith for works that may not come as far as the queue.
func togetherOrNot(db *DB, works ...one) []error {
	errs := make([]error, len(works))
	var all sync.WaitGroup
	lease, err := db.Writer().Acquire(context.Background())
	if err != nil {
		return []error{err}
	}
	for i, work := range works {
		ended, before := make(chan struct{}), db.batches.currentStats().Waiting
		all.Go(func() {
			defer close(ended)
			defer func() {
				if thrown := recover(); thrown != nil {
					errs[i] = panicError{thrown}
				}
			}()
			ctx := work.ctx
			if ctx == nil {
				ctx = context.Background()
			}
			errs[i] = db.Batch(ctx, work.use)
		})
		for queued := false; !queued && db.batches.currentStats().Waiting == before; runtime.Gosched() {
			select {
			case <-ended:
				queued = true
			default:
			}
		}
	}
	lease.Release()
	all.Wait()
	return errs
}

// What package context starts to hear the end of a ctx asks that in a goroutine of its own.
func TestWatcher_ACtxThatPanicsWhenItHasEnded(t *testing.T) {
	for _, method := range []string{"Done", "Err", "Value"} {
		for calls := range int64(5) {
			synctest.Test(t, func(t *testing.T) {
				s := table(t, Options{})
				ctx := newPanickyContext(method, calls)
				func() {
					defer func() { _ = recover() }() // the caller's
					s.watch(ctx)
				}()
				time.Sleep(10 * lookAfter)
				heard := s.watching.ctx != nil
				close(ctx.done)
				time.Sleep(10 * lookAfter)
				assert.Equal(t, heard, s.interrupter.Load().triggered())
				require.NoError(t, s.reset(context.Background()))
			})
		}
	}
}

// Why a statement failed is told inside of SQLite, which no panic may pass.
func TestStatement_ACtxThatPanics(t *testing.T) {
	var told []error
	s := table(t, Options{OnStatement: func(_ context.Context, statement Statement) { told = append(told, statement.Err) }})
	s.watch(newPanickyContext("Err", 0))
	assert.Equal(t, sqlite.ResultConstraintPrimaryKey, sqlite.ErrCode(run(s.conn, "INSERT INTO t (id) VALUES (7), (7)")))
	require.NotEmpty(t, told)
	assert.Equal(t, sqlite.ResultConstraintPrimaryKey, sqlite.ErrCode(told[len(told)-1]))
}
