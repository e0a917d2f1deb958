package tenants

import (
	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/internal/door"
	"github.com/headpond/headpond/pool"
)

// sums are what databases have counted, added up: that of their batches, logs and findings.
type sums struct {
	batch sqlite.BatchStats
	log   sqlite.WAL
	found sqlite.Found
}

// add adds what an open database has counted.
func (s *sums) add(one sqlite.Stats) {
	s.addCounts(one)
	s.batch.Waiting += one.Batch.Waiting
	s.log.Size += one.WAL.Size
	s.log.Pages += one.WAL.Pages
	s.log.Moved += one.WAL.Moved
	s.log.PinnedFor = max(s.log.PinnedFor, one.WAL.PinnedFor)
}

// addCounts adds of what a database has counted that which outlives it.
func (s *sums) addCounts(one sqlite.Stats) {
	s.batch.Batches += one.Batch.Batches
	s.batch.Calls += one.Batch.Calls
	s.batch.Retries += one.Batch.Retries
	s.batch.Largest = max(s.batch.Largest, one.Batch.Largest)
	s.log.Truncated += one.WAL.Truncated
	s.log.Incomplete += one.WAL.Incomplete
	s.log.Locked += one.WAL.Locked
	s.log.Failed += one.WAL.Failed
	s.log.HeldBack += one.WAL.HeldBack
	for kind, count := range one.Found {
		s.found[kind] += count
	}
}

// figures are the sums as pages and metrics have them.
func (s Stats) figures() []pool.Figure {
	return door.Figures(sqlite.Stats{Batch: s.Batch, WAL: s.WAL, Found: s.Found})
}

// withSums adds to stats what the databases have counted. Those that are open are asked without the lock: each counts on.
// A database is open until what it has counted is among that of the closed ones, so that none counts twice, and no count falls.
func (p *Pool) withSums(stats Stats, all sums, open []database) Stats {
	for _, db := range open {
		all.add(db.Stats())
	}
	stats.Batch, stats.WAL, stats.Found = all.batch, all.log, all.found
	return stats
}

// openLocked are the databases that are open, or closing.
func (p *Pool) openLocked() []database {
	open := make([]database, 0, p.admission.places)
	for _, e := range p.admission.entries {
		if e.db != nil {
			open = append(open, e.db)
		}
	}
	return open
}
