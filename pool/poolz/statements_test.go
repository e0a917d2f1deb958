package poolz_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poolz"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStatements_AreThoseOfTheMostTime(t *testing.T) {
	page := poolz.New()
	stats := []pool.StatementStats{
		{Text: "SELECT <b>", Mode: "reader", Runs: 4, Slow: 2, Failed: 1, Total: 3 * time.Second, Longest: 2 * time.Second, Rows: 8, FullScanSteps: 4004},
		{Text: "SELECT joined", Mode: "reader", Runs: 1, Total: time.Second, Longest: time.Second, AutoIndexes: 5},
	}
	for n := range 20 {
		stats = append(stats, pool.StatementStats{Text: fmt.Sprint("INSERT ", n), Mode: "writer", Runs: 1})
	}
	newPool(t, resource.Hooks[int]{}, pool.Options{Observer: page.Observer(), Statements: func() []pool.StatementStats { return stats }})
	newPool(t, resource.Hooks[int]{}, pool.Options{Name: "without", Observer: page.Observer()})
	var shown struct {
		Pools []struct {
			Statements []struct {
				Text, Mode               string
				Runs, Slow, Failed, Rows int
				Total, Mean, Longest     float64
				FullScanSteps            int `json:"fullscan_steps"`
			}
		}
	}
	require.NoError(t, json.Unmarshal(get(t, page, "/?format=json").Body.Bytes(), &shown))
	require.Len(t, shown.Pools[0].Statements, 10)
	require.NotNil(t, shown.Pools[1].Statements)
	first := shown.Pools[0].Statements[0]
	assert.Equal(t, "SELECT <b>", first.Text)
	assert.Equal(t, []int{4, 2, 1, 8, 4004}, []int{first.Runs, first.Slow, first.Failed, first.Rows, first.FullScanSteps})
	assert.Equal(t, []float64{3, .75, 2}, []float64{first.Total, first.Mean, first.Longest})
	html := get(t, page, "/").Body.String()
	assert.Contains(t, html, "SELECT &lt;b&gt;")
	assert.Contains(t, html, "reader: 3 s in 4 runs, mean 750 ms, longest 2 s, 8 rows, 2 slow, 1 failed")
	assert.Contains(t, html, "1,001 steps of a full scan a run")
	assert.Contains(t, html, "makes an index for each run")
	assert.Contains(t, html, `aria-label="75 percent of the time of all statements"`)
	assert.Equal(t, 1, strings.Count(html, "-statements\""), "a pool without has no place for them")
}

func TestSlowStatements_AreIncidents(t *testing.T) {
	page := poolz.New()
	p := newPool(t, resource.Hooks[int]{}, pool.Options{})
	tap := page.Observer()(p)
	t.Cleanup(tap.Detach)
	for _, slow := range []bool{true, false} {
		run := pool.StatementRun{Text: fmt.Sprint("SELECT ", slow), Took: time.Second, Slow: slow, Err: context.Canceled}
		tap.End(t.Context(), pool.Event{Op: pool.Statement, Took: run.Took, Err: run.Err, Statement: &run})
	}
	recent := getJSON(t, page).Pools[0].Recent
	require.Len(t, recent, 1)
	assert.Equal(t, "slow statement", recent[0].What)
	assert.Equal(t, "SELECT true", recent[0].Text)
}
