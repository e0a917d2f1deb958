package sqlite

import (
	"context"
	"reflect"
)

// Batch runs use in a transaction that concurrent calls may share: a commit that waits for the disk
// then serves all of them. Each has a savepoint of its own. Batch returns nil only after
// the COMMIT that contains the changes of use has succeeded.
//
// Calls run one after the other, first come, first served, and see what the earlier ones of their batch did.
// If use returns an error, or panics, its own changes are rolled back and those of the others stay; Batch returns that error,
// or panics with the same value. If use leaves a statement open or violates a deferred foreign key,
// it is rolled back alone as well, with an error that says so.
//
// use may run twice. It runs again, in a transaction of its own, only if the shared transaction failed:
// another call ended it or was cancelled while writing, or COMMIT failed, but not if the error is [ErrOutcomeUnknown],
// as it can be for Write: all calls of the batch get that. It should have no effect outside of the database,
// and must not commit or roll back: that is found, undone, and an error that says [ErrRolledBack].
//
// Nothing delays a lone call: a batch is what arrived while the one before it ran.
// It ends when no call waits, after [Options.MaxBatch] calls, or after [Options.MaxBatchTime],
// and takes turns with Write in the order of arrival: Write waits for at most one batch.
// A lone call runs on its caller's goroutine, as Write does; a batch on one of the DB's own, which ends when no call is left.
//
// If ctx ends, or AcquireTimeout has passed, while the call waits for its turn, use does not run.
// Once use runs, the end of ctx interrupts it, as it does for Write; if use has returned before, it counts.
// The errors before it runs are those of [pool.Pool.Acquire], as a *pool.Error, and SQLite's BUSY for all calls that waited
// while another process wrote for longer than [Options.BusyTimeout], or until AcquireTimeout was over, if that is longer; [Options.MaxWaiters] bounds
// the calls that wait for a batch, apart from those that wait for Write. Inside Read, Write or Batch, with the ctx that their function gets,
// it fails with [pool.ErrNested]; with [Options.ReadOnly], with [ErrReadOnly].
func (db *DB) Batch(ctx context.Context, use func(ctx context.Context, conn *Conn) error) error {
	return db.batch(ctx, use, reflect.ValueOf(use).Pointer())
}

// batch is Batch with the function that use is made of.
func (db *DB) batch(ctx context.Context, use func(ctx context.Context, conn *Conn) error, function uintptr) error {
	op := db.database.operation(ctx, Writer, batchRun)
	var queued *call
	err := errUnreturned
	defer func() {
		op.end(err)
		if queued != nil {
			db.batches.recycle(queued)
		}
	}()
	if err = db.mayWrite(op.ctx, "Batch"); err == nil {
		err = errUnreturned
		queued, err = db.batches.do(&op, use, function)
	}
	return err
}
