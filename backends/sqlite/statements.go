package sqlite

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/headpond/headpond/pool"
)

// statements tells of the statements that run on the connections of a database, and counts them.
type statements struct {
	slowAfter   time.Duration
	onStatement func(ctx context.Context, statement Statement)
	taps        [2]*pool.Tap // of the pools, by mode; nil: there is no observer. Set before the first connection is opened

	mu  sync.Mutex // protects the following
	all map[statementKey]*StatementStats
}

type statementKey struct{ text, mode string }

// wanted reports whether SQLite has to be asked for statements.
func (s *statements) wanted() bool {
	if s.slowAfter > 0 || s.onStatement != nil {
		return true
	}
	return slices.ContainsFunc(s.taps[:], func(tap *pool.Tap) bool { return tap != nil && tap.Statements })
}

// observe returns the observer of the pool of a mode, and remembers whom to tell.
func (s *statements) observe(mode Mode, observer pool.Observer) pool.Observer {
	if observer == nil {
		return nil
	}
	return func(inspector pool.Inspector) pool.Tap {
		tap := observer(inspector)
		safe := pool.SafeTap(tap)
		s.taps[mode] = &safe
		return tap
	}
}

// ran counts a run, and tells of it. It is called inside of SQLite, which no panic may pass.
func (s *statements) ran(ctx context.Context, run Statement) {
	run.Slow = s.slowAfter > 0 && run.Took >= s.slowAfter
	s.count(run)
	mode := Writer
	if run.Mode == Reader.String() {
		mode = Reader
	}
	if tap := s.taps[mode]; tap != nil && (tap.Statements || run.Slow) {
		tap.End(ctx, pool.Event{Op: pool.Statement, Took: run.Took, Err: run.Err, Statement: &run})
	}
	if s.onStatement != nil {
		defer func() { _ = recover() }()
		s.onStatement(ctx, run)
	}
}

func (s *statements) count(run Statement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := statementKey{run.Text, run.Mode}
	stats, known := s.all[key]
	if !known && (len(s.all) >= mostStatements || len(run.Text) > longestStatement) {
		key.text = OtherStatements
		stats, known = s.all[key]
	}
	if !known {
		if s.all == nil {
			s.all = make(map[statementKey]*StatementStats)
		}
		stats = &StatementStats{Text: key.text, Mode: key.mode}
		s.all[key] = stats
	}
	stats.Add(run)
}

// stats returns what was counted, the most time first; nil if statements are not seen.
func (s *statements) stats() []StatementStats {
	if !s.wanted() {
		return nil
	}
	s.mu.Lock()
	all := make([]StatementStats, 0, len(s.all))
	for _, stats := range s.all {
		all = append(all, *stats)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b StatementStats) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Text, b.Text), cmp.Compare(a.Mode, b.Mode))
	})
	return all
}
