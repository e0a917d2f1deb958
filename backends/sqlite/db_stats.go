package sqlite

import (
	"slices"

	"github.com/headpond/headpond/pool"
)

// Stats are a DB's figures.
type Stats struct {
	Readers pool.Stats
	Writer  pool.Stats // zero with Options.ReadOnly; in memory the same as Readers
	Found   Found      // what borrowers left behind, by kind
	Batch   BatchStats
	WAL     WAL
}

// Stats returns the figures of both pools, each of one instant, and of the database.
// In those of the writer each call of Batch counts as one that acquires and releases, however many share a transaction;
// what the DB acquires by itself, for them, for a checkpoint or in Close, does not.
func (db *DB) Stats() Stats {
	stats := Stats{Readers: db.readers.Stats(), Found: db.database.found.load(), Batch: db.batches.currentStats(), WAL: db.checkpointer.currentStats()}
	if db.writer != nil {
		stats.Writer = db.writer.Stats()
	}
	return stats
}

// figures are those that the pools do not have themselves.
func (db *DB) figures() []pool.Figure {
	return slices.Concat(db.batches.currentStats().figures(), db.checkpointer.currentStats().figures(db.database.options.JournalSizeLimit), db.database.found.load().figures())
}

// Statements returns what each statement came to since Open, those that took the most time altogether first:
// on readers and on the writer apart. Texts are told apart as they were prepared; there are at most 1000 of them,
// and the rest stands under [OtherStatements]. It blocks for a moment, and returns nil unless statements are seen:
// with [Options.OnStatement] or [Options.SlowAfter], or an observer that asks for them ([pool.Tap].Statements).
//
// They are those of callers: what the DB runs by itself, such as BEGIN, COMMIT and checkpoints, is not among them.
func (db *DB) Statements() []StatementStats { return db.database.statements.stats() }
