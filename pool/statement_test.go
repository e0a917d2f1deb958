package pool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
)

func TestStatementStats_AddUp(t *testing.T) {
	s := pool.StatementStats{Text: "SELECT 1", Mode: "reader"}
	s.Add(pool.StatementRun{Took: 3 * time.Second, Rows: 1, FullScanSteps: 2, Sorts: 3, AutoIndexes: 4, Slow: true})
	s.Add(pool.StatementRun{Took: time.Second, Rows: 10, FullScanSteps: 20, Sorts: 30, AutoIndexes: 40, Err: errors.New("it failed")})
	assert.Equal(t, pool.StatementStats{
		Text: "SELECT 1", Mode: "reader", Runs: 2, Slow: 1, Failed: 1, Total: 4 * time.Second, Longest: 3 * time.Second,
		Rows: 11, FullScanSteps: 22, Sorts: 33, AutoIndexes: 44,
	}, s)
}

// What one observer asks for, the others do not get.
func TestObservers_HearTheStatementsThatTheyAskFor(t *testing.T) {
	var told []string
	observer := func(name string, statements bool) pool.Observer {
		return func(pool.Inspector) pool.Tap {
			return pool.Tap{
				Statements: statements,
				Enabled:    func(context.Context) bool { return false },
				End: func(_ context.Context, event pool.Event) {
					if event.Op == pool.Statement {
						told = append(told, name+" "+event.Statement.Text)
					}
				},
			}
		}
	}
	run := func(tap pool.Tap) {
		lease := tap.Begin(t.Context(), pool.Event{Op: pool.Acquire}) // which neither is enabled for
		tap.End(lease, pool.Event{Op: pool.Acquire})
		tap.End(lease, pool.Event{Op: pool.Statement, Statement: &pool.StatementRun{Text: "quick"}})
		tap.End(t.Context(), pool.Event{Op: pool.Statement, Statement: &pool.StatementRun{Text: "slow", Slow: true}})
	}
	p, _ := newPool(t, pool.Options{})
	both := pool.Observers(observer("all", true), observer("some", false))(p)
	assert.True(t, both.Statements)
	run(both)
	assert.Equal(t, []string{"all quick", "some slow", "all slow"}, told)
	none := pool.Observers(observer("a", false), observer("b", false))(p)
	assert.False(t, none.Statements)
	assert.True(t, pool.SafeTap(both).Statements)
	assert.Equal(t, "statement", pool.Statement.String())
}
