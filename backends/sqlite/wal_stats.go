package sqlite

import (
	"fmt"
	"time"

	"github.com/headpond/headpond/pool"
)

// WAL is the state of the write-ahead log, and what the DB's checkpoints came to. It is zero in memory.
type WAL struct {
	Size       int64         // of the file now, in bytes: of the largest, if Options.Setup has attached databases
	Pages      int           // in the log, as the last commit or checkpoint left it
	Moved      int           // of them, those that were in the database file after the last checkpoint
	Truncated  uint64        // checkpoints that emptied the log
	Incomplete uint64        // checkpoints that should have emptied it, and could not: because of a snapshot, or of a lock of another process
	Locked     uint64        // checkpoints that a lock of another process kept from being complete
	Failed     uint64        // checkpoints of the DB's own accord that failed: the writer was held for too long, the disk is full
	HeldBack   time.Duration // for how long readers were kept waiting for checkpoints, in total

	// PinnedFor is for how long the same snapshot has kept the rest of the log out of the database file; 0: none does.
	// With [Options.ForeignCheckpoints] it is for how long the log has been larger than JournalSizeLimit.
	PinnedFor time.Duration
	Pinned    *pool.Holder // most likely its reader, as of the last checkpoint: see [Pinned]
}

// Pinned says that a snapshot keeps the write-ahead log from starting over, so that it grows.
type Pinned struct {
	For   time.Duration // the same snapshot has, as far as is known
	Pages int           // in the log
	Moved int           // of them, those that are in the database file
	Size  int64         // of the log's file, in bytes

	// Reader is the reader of this DB that has been held for the longest time, if that is longer than For:
	// most likely it is its snapshot. With [Options.LeakAfter] it has the stack.
	// nil: it is one of another process, or of a connection that left its pool.
	Reader *pool.Holder

	// Foreign says that nothing is known of a snapshot: with [Options.ForeignCheckpoints], the log has been larger
	// than [Options.JournalSizeLimit] for that long. The program that makes the checkpoints has stopped, or Reader is in its way.
	Foreign bool
}

// String describes it in one line.
func (p Pinned) String() string {
	reader := "another process, or a connection that left its pool"
	if p.Reader != nil {
		reader = "most likely reader " + p.Reader.String()
	}
	if p.Foreign {
		reader = "nobody's checkpoints get through: has the replicator (Options.ForeignCheckpoints) stopped?"
		if p.Reader != nil {
			reader = "has the replicator (Options.ForeignCheckpoints) stopped, or is this in its way: reader " + p.Reader.String() + "?"
		}
		return fmt.Sprintf("the write-ahead log has been larger than Options.JournalSizeLimit for %v (%d of %d pages are in the database file, the log has %d bytes): %s",
			p.For.Round(time.Millisecond), p.Moved, p.Pages, p.Size, reader)
	}
	return fmt.Sprintf("a snapshot has kept the write-ahead log from starting over for %v (%d of %d pages are in the database file, the log has %d bytes): %s",
		p.For.Round(time.Millisecond), p.Moved, p.Pages, p.Size, reader)
}

// figures are those of the log, as pages and metrics have them. limit is Options.JournalSizeLimit.
func (wal WAL) figures(limit int64) []pool.Figure {
	all := []pool.Figure{
		gauge("wal.size", "By", "The size of the write-ahead log's file.", float64(wal.Size)),
		gauge("wal.pages", "{page}", "Pages in the write-ahead log, as the last commit or checkpoint left it.", float64(wal.Pages)),
		gauge("wal.moved", "{page}", "Of the pages in the write-ahead log, those that are in the database file.", float64(wal.Moved)),
		counter("wal.truncated", "{checkpoint}", "Checkpoints that emptied the write-ahead log.", float64(wal.Truncated)),
		counter("wal.incomplete", "{checkpoint}", "Checkpoints that should have emptied the write-ahead log, and could not.", float64(wal.Incomplete)),
		counter("wal.locked", "{checkpoint}", "Checkpoints that a lock of another process kept from being complete.", float64(wal.Locked)),
		counter("wal.failed", "{checkpoint}", "Checkpoints of the database's own accord that failed.", float64(wal.Failed)),
		counter("wal.held_back", "s", "For how long readers were kept waiting for checkpoints.", wal.HeldBack.Seconds()),
		gauge("wal.pinned", "s", "For how long the same snapshot has kept the write-ahead log from starting over.", wal.PinnedFor.Seconds()),
	}
	if limit >= 0 {
		all = append(all, gauge("wal.size.limit", "By", "The size above which the write-ahead log is truncated.", float64(limit)))
	}
	return all
}
