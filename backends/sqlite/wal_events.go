package sqlite

import (
	"context"
	"time"

	"github.com/headpond/headpond/pool"
)

// checkpointEvents tells the writer's observer of the checkpoints that took part in anything: that moved pages, waited, or failed.
type checkpointEvents struct{ database *database }

// observe calls make, which makes a checkpoint on the connection, and tells of it. ctx is that of the caller of Checkpoint, or none's.
func (e checkpointEvents) observe(ctx context.Context, c *connection, make func() (Checkpoint, error)) (Checkpoint, error) {
	if e.database.tap(Writer) == nil {
		return make()
	}
	began := time.Now()
	pages, before := c.LogNow()
	done, err := make()
	moved := max(0, done.Moved-before)
	if done.Complete { // and emptied, most likely: then it does not say how many there were
		moved = pages - before
	}
	if err != nil || moved > 0 || done.HeldBack > 0 || done.Locked {
		e.tell(ctx, pool.Event{Took: time.Since(began), Err: err, Figures: []pool.Figure{
			{Name: "headpond.checkpoint.pages", Unit: "{page}", Help: "Pages in the log when the checkpoint began.", Value: float64(pages)},
			{Name: "headpond.checkpoint.moved", Unit: "{page}", Help: "Pages that it moved into the database file.", Value: float64(moved)},
			{Name: "headpond.checkpoint.held_back", Unit: "s", Help: "For how long readers were kept waiting for it.", Value: done.HeldBack.Seconds()},
		}})
	}
	return done, err
}

// tell tells the observer, in a goroutine apart: if it ends that, a run goes on.
func (e checkpointEvents) tell(ctx context.Context, event pool.Event) {
	event.Op, event.Code = pool.Checkpoint, codeOf(event.Err)
	told := make(chan struct{})
	go func() {
		defer close(told)
		e.database.tap(Writer).End(ctx, event)
	}()
	<-told
}

// failed tells of a run that never came to its checkpoint.
func (e checkpointEvents) failed(began time.Time, err error) {
	if e.database.tap(Writer) != nil {
		e.tell(context.Background(), pool.Event{Took: time.Since(began), Err: err})
	}
}
