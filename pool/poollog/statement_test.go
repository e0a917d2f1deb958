package poollog_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poollog"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSlowStatements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(slog.LevelDebug)
		p, err := pool.New(resource.Hooks[int]{Construct: func(context.Context) (int, error) { return 1, nil }}, pool.Options{Name: "orders.readers"})
		require.NoError(t, err)
		tap := poollog.Observer(l.Logger)(p)
		assert.False(t, tap.Statements, "it asks for no more than the slow ones")
		ran := func(run pool.StatementRun) {
			tap.End(context.WithValue(t.Context(), traceKey{}, "abc"), pool.Event{Op: pool.Statement, Took: run.Took, Err: run.Err, Statement: &run})
		}
		ran(pool.StatementRun{Text: "SELECT 1", Took: time.Hour, Err: errors.New("it failed")})
		assert.Empty(t, l.take(), "it is not slow")
		ran(pool.StatementRun{Text: "SELECT * FROM t", Mode: "reader", Took: 2 * time.Second, Rows: 3, Slow: true})
		assert.Equal(t, []string{`level=WARN msg="headpond: slow statement" pool=orders.readers statement="SELECT * FROM t" mode=reader took=2s rows=3 trace=abc`}, l.take())
		for range 5 {
			ran(pool.StatementRun{Text: "DELETE FROM t", Mode: "writer", Took: time.Second, FullScanSteps: 7, Sorts: 1, AutoIndexes: 9, Slow: true, Err: errors.New("it failed")})
		}
		<-time.After(2 * time.Second)
		assert.Equal(t, []string{`level=WARN msg="headpond: slow statement" pool=orders.readers statement="DELETE FROM t" mode=writer took=1s rows=0 ` +
			`fullscan_steps=7 sorts=1 auto_indexes=9 error="it failed" left_out=4 trace=abc`}, l.take())
	})
}
