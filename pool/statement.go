package pool

import "time"

// StatementRun is one run of a statement of a backend: of SQL, say.
type StatementRun struct {
	Text          string        // as it was prepared: never a bound value
	Mode          string        // of the value that it ran on: "reader" or "writer"
	Took          time.Duration // from its first step to its end, or to its reset: what the caller did between its rows included
	Rows          int64         // that it returned; of a statement that returns none, those that it changed
	FullScanSteps int64         // rows that it stepped over in a scan of a whole table: many are an index that is missing
	Sorts         int64         // how many times it sorted, for want of an index
	AutoIndexes   int64         // rows that went into an index which was made for this run alone
	Slow          bool          // it took as long as the backend was told is slow, or longer
	Err           error         // nil also if it was reset before its end
}

// StatementStats are what all runs of one statement came to.
type StatementStats struct {
	Text                              string
	Mode                              string
	Runs, Slow, Failed                uint64
	Total, Longest                    time.Duration // Took of all runs together, and of the longest one
	Rows                              int64
	FullScanSteps, Sorts, AutoIndexes int64
}

// Add counts a run of the statement.
func (s *StatementStats) Add(run StatementRun) {
	s.Runs++
	if run.Slow {
		s.Slow++
	}
	if run.Err != nil {
		s.Failed++
	}
	s.Total += run.Took
	s.Longest = max(s.Longest, run.Took)
	s.Rows += run.Rows
	s.FullScanSteps += run.FullScanSteps
	s.Sorts += run.Sorts
	s.AutoIndexes += run.AutoIndexes
}
