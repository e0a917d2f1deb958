package sqlite

import "github.com/headpond/headpond/pool"

// BatchStats are the figures of [DB.Batch]. The first two are of now, the others only grow.
type BatchStats struct {
	Waiting    int // calls in the queue: Stats.Writer.Waiting has them, too
	MaxWaiting int // how many may be: Options.MaxWaiters; 0: any number

	Batches uint64 // transactions that were committed
	Calls   uint64 // calls that these contained
	Retries uint64 // calls that ran a second time
	Largest int    // the most calls of one batch
}

// figures are the statistics as pages and metrics have them.
func (s BatchStats) figures() []pool.Figure {
	all := []pool.Figure{
		gauge("batch.waiting", "{call}", "Calls of Batch that wait for their turn.", float64(s.Waiting)),
		counter("batches", "{batch}", "Transactions of Batch that were committed.", float64(s.Batches)),
		counter("batch.calls", "{call}", "Calls of Batch that were committed.", float64(s.Calls)),
		counter("batch.retries", "{call}", "Calls of Batch that ran a second time.", float64(s.Retries)),
		gauge("batch.largest", "{call}", "The most calls that shared a transaction so far.", float64(s.Largest)),
	}
	if s.MaxWaiting > 0 {
		all = append(all, gauge("batch.waiting.limit", "{call}", "The most calls of Batch that may wait.", float64(s.MaxWaiting)))
	}
	return all
}
