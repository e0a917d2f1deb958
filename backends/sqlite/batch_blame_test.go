package sqlite

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A caller that waits in vain for the writer is told which call of a shared batch has it.
func TestAVainWaitNamesTheCallOfABatch(t *testing.T) {
	db := openBatch(t, Options{AcquireTimeout: 20 * time.Millisecond})
	nothing := func(context.Context, *Conn) error { return nil }
	const named = `acquire: no resource within \S+ \(1 of 1 held, .*, longest held: #\d+ for \S+ as "report" by \S*batch_blame_test\.go:\d+ \S*TestAVainWaitNamesTheCallOfABatch\S*\): release sooner`

	ctx, cancel := context.WithCancelCause(pool.WithLabel(t.Context(), "report"))
	defer cancel(nil)
	db.batches.mu.Lock()
	db.batches.shared = true // so that it does not run alone
	db.batches.mu.Unlock()
	done := make(chan error)
	begin := func() {
		done <- db.Batch(ctx, func(ctx context.Context, _ *Conn) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
	}
	go begin()
	running := func() bool { _, stack := db.batches.session.agent.Holder(); return stack != nil }
	for !running() {
		select {
		case err := <-done:
			require.ErrorIs(t, err, pool.ErrAcquireTimeout, "its turn came too late")
			go begin()
		default:
			runtime.Gosched()
		}
	}
	err := db.Write(t.Context(), nothing)
	assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
	assert.Regexp(t, named, err.Error())
	err = db.Batch(t.Context(), nothing)
	assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
	assert.Regexp(t, named, err.Error())
	_, err = db.Checkpoint(t.Context())
	assert.Regexp(t, named, err.Error())

	cancel(errBank)
	assert.ErrorIs(t, <-done, errBank)
}

// The lock of another process, not the runner that waits for it, is what a call is told of whose time ran out meanwhile.
func TestBatchThatCannotBeginIsToldOfTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := openBatch(t, Options{BusyTimeout: 99 * time.Millisecond, AcquireTimeout: 50 * time.Millisecond})
		do(t, conn(t, db), "BEGIN IMMEDIATE")
		never := func(context.Context, *Conn) error { panic("it ran") }
		for _, err := range togetherHeld(t, db, func() { <-time.After(time.Millisecond) }, never, never) {
			assert.NotErrorIs(t, err, pool.ErrAcquireTimeout)
		}
	})
}
