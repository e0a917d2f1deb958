package sqlite

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"zombiezen.com/go/sqlite"
)

// TestBatchWithOneThatViolatesADeferredForeignKey has the others of the batch not notice it.
func TestBatchWithOneThatViolatesADeferredForeignKey(t *testing.T) {
	db := open(t, false, Options{MaxBatchTime: time.Minute})
	parent := func(sql string) func(context.Context, *Conn) error {
		return func(_ context.Context, conn *Conn) error { return run(conn, sql) }
	}
	errs := together(t, db,
		parent("INSERT INTO parent VALUES (1)"),
		parent("INSERT INTO child VALUES (2)"),
		parent("INSERT INTO child VALUES (3); INSERT INTO parent VALUES (3)"),
	)
	assert.NoError(t, errs[0])
	assert.Equal(t, sqlite.ResultConstraintForeignKey, sqlite.ErrCode(errs[1]))
	assert.ErrorContains(t, errs[1], "a deferred foreign key is violated")
	assert.NoError(t, errs[2])
	stats := db.Stats().Batch
	assert.EqualValues(t, 1, stats.Batches)
	assert.EqualValues(t, 2, stats.Calls)
	assert.Zero(t, stats.Retries)
}
