package stdlib

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
)

type key struct{}

// What an observer sees of a call has that call's ctx, so that its span is a child of the caller's.
func TestObserver_HasTheCallersCtx(t *testing.T) {
	type seen struct {
		op     pool.Op
		caller any
	}
	events := make(chan seen, 1000)
	observer := func(pool.Inspector) pool.Tap {
		return pool.Tap{Begin: func(ctx context.Context, event pool.Event) context.Context {
			events <- seen{event.Op, ctx.Value(key{})}
			return ctx
		}}
	}
	db, _ := open(t, sqlite.Options{Observer: observer}, Options{})
	do(t, db, "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")
	calls := map[string]func(ctx context.Context) error{
		"Query": func(ctx context.Context) error { return db.QueryRowContext(ctx, "SELECT x FROM t").Scan(new(int)) },
		"Exec":  func(ctx context.Context) error { _, err := db.ExecContext(ctx, "INSERT INTO t VALUES (2)"); return err },
		"DDL":   func(ctx context.Context) error { _, err := db.ExecContext(ctx, "CREATE INDEX i ON t (x)"); return err },
		"Ping":  db.PingContext,
		"Begin": func(ctx context.Context) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			return tx.Commit()
		},
		"Begin to read": func(ctx context.Context) error {
			tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
			if err != nil {
				return err
			}
			return tx.Commit()
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, call(context.WithValue(context.Background(), key{}, name)))
			acquired := 0
			for len(events) > 0 {
				event := <-events
				if event.caller == name && event.op != pool.Release && event.op != pool.Reset {
					acquired++
				}
			}
			assert.NotZero(t, acquired, "no event has the caller's ctx")
		})
	}
}

// Rows that nobody closes are a leak of their reader, with the place of the Query.
func TestLeak_OfRowsThatNobodyClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leaks := make(chan pool.Leak, 10)
		observer := func(pool.Inspector) pool.Tap { return pool.Tap{Leak: func(leak pool.Leak) { leaks <- leak }} }
		under, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "app.db"), sqlite.Options{LeakAfter: time.Minute, Observer: observer})
		require.NoError(t, err)
		db := OpenDB(under, Options{})
		numbers(t, db, 1000)
		rows, err := db.Query("SELECT * FROM t")
		require.NoError(t, err)
		require.True(t, rows.Next())
		leak := <-leaks
		assert.False(t, leak.Returned)
		assert.Contains(t, leak.String(), "observe_test.go:")
		assert.NotContains(t, leak.String(), "database/sql.go")
		require.NoError(t, rows.Close())
		assert.True(t, (<-leaks).Returned)
		require.NoError(t, errors.Join(db.Close(), under.Close(context.Background())))
	})
}

// Close of what sql.Open has opened does not wait for ever for what is still open, and names it.
func TestClose_WaitsOnlySoLongAndNamesWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := sql.Open("headpond", filepath.Join(t.TempDir(), "app.db")+"?leak_after=1h")
		require.NoError(t, err)
		do(t, db, "CREATE TABLE t (x)")
		tx, err := db.Begin()
		require.NoError(t, err)
		began := time.Now()
		err = db.Close()
		var failed *pool.Error
		require.ErrorAs(t, err, &failed)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "observe_test.go:")
		assert.InDelta(t, closeWithin.Seconds(), time.Since(began).Seconds(), 1.1) // it interrupts at the end, and waits a moment for that
		require.NoError(t, tx.Rollback())
		synctest.Wait()
	})
}
