package poolz

import (
	"math"

	"github.com/headpond/headpond/pool"
)

// mostStatements is how many statements a page shows: those that took the most time altogether.
const mostStatements = 10

// statementView is what a statement came to.
type statementView struct {
	Text          string  `json:"text"`
	Mode          string  `json:"mode"`
	Runs          count   `json:"runs"`
	Slow          count   `json:"slow"`
	Failed        count   `json:"failed"`
	Total         seconds `json:"total"`
	Mean          seconds `json:"mean"`
	Longest       seconds `json:"longest"`
	Rows          int64   `json:"rows"`
	FullScanSteps int64   `json:"fullscan_steps"`
	Sorts         int64   `json:"sorts"`
	AutoIndexes   int64   `json:"auto_indexes"`

	Share   float64 `json:"-"` // of the time of all statements, in percent
	Shown   string  `json:"-"`
	Warning string  `json:"-"` // that an index is missing, most likely
}

// statementViews returns the first of all; of none if there is no function to ask.
func statementViews(all func() []pool.StatementStats) []statementView {
	views := []statementView{}
	if all == nil {
		return views
	}
	stats := all()
	var total float64
	for _, s := range stats {
		total += float64(s.Total)
	}
	for _, s := range stats[:min(len(stats), mostStatements)] {
		v := statementView{
			Text: shorten(s.Text), Mode: s.Mode, Runs: count(s.Runs), Slow: count(s.Slow), Failed: count(s.Failed),
			Total: seconds(s.Total), Mean: meanOf(s.Total, s.Runs).Seconds, Longest: seconds(s.Longest),
			Rows: s.Rows, FullScanSteps: s.FullScanSteps, Sorts: s.Sorts, AutoIndexes: s.AutoIndexes,
		}
		if total > 0 {
			v.Share = math.Round(100 * float64(s.Total) / total)
		}
		v.describe()
		views = append(views, v)
	}
	return views
}

func (v *statementView) describe() {
	v.Shown = v.Mode + ": " + v.Total.String() + " in " + plural(int(v.Runs), "run", "runs") + ", mean " + v.Mean.String() + ", longest " + v.Longest.String() +
		", " + plural(int(v.Rows), "row", "rows")
	if v.Slow > 0 {
		v.Shown += ", " + v.Slow.String() + " slow"
	}
	if v.Failed > 0 {
		v.Shown += ", " + v.Failed.String() + " failed"
	}
	switch {
	case v.AutoIndexes > 0:
		v.Warning = "makes an index for each run"
	case v.FullScanSteps > 10*v.Rows && v.FullScanSteps > 100*int64(v.Runs): // it steps over far more than it returns
		v.Warning = count(v.FullScanSteps/int64(v.Runs)).String() + " steps of a full scan a run"
	}
}
