package sqlite

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What last_insert_rowid, changes and total_changes tell is the borrower's own: after an INSERT OR IGNORE that ignored, another caller's
// would pass for the id of a row.
func TestChangesAreTheBorrowersOwn(t *testing.T) {
	both(t, func(t *testing.T, memory bool) {
		db := open(t, memory, Options{Setup: func(_ context.Context, conn *Conn) error { return run(conn, "PRAGMA page_size") }})
		const told = "SELECT last_insert_rowid() || ' ' || changes() || ' ' || total_changes()"
		check := func(conn *Conn, when string) {
			assert.Equal(t, "0 0 0", get(t, conn, told), when)
			assert.Zero(t, conn.LastInsertRowID(), when)
			assert.Zero(t, conn.Changes(), when)
		}
		for before, call := range ways(db) {
			if before == "Read" || before == "a reader by hand" {
				continue
			}
			require.NoError(t, call(t.Context(), func(_ context.Context, conn *Conn) error {
				check(conn, before)
				do(t, conn, "INSERT INTO counter VALUES (77, 0), (78, 0); DELETE FROM counter WHERE id>70")
				assert.Equal(t, "78 2 4", get(t, conn, told))
				return nil
			}))
			for after, call := range ways(db) {
				require.NoError(t, call(t.Context(), func(_ context.Context, conn *Conn) error {
					check(conn, after+" after "+before)
					return nil
				}))
			}
		}
	})
}

// So it is for the calls that share a batch.
func TestChangesAreTheCallsOwnInABatch(t *testing.T) {
	db := open(t, false, Options{})
	results := make(chan error, 2)
	ids := make(chan int64, 2)
	require.NoError(t, db.Write(t.Context(), func(context.Context, *Conn) error {
		for i, sql := range []string{"INSERT INTO counter VALUES (77, 0)", "INSERT OR IGNORE INTO counter VALUES (77, 0)"} {
			go func() {
				results <- db.Batch(t.Context(), func(_ context.Context, conn *Conn) error {
					err := run(conn, sql)
					ids <- conn.LastInsertRowID()
					return err
				})
			}()
			waitForWorks(db, i+1)
		}
		return nil
	}))
	for _, want := range []int64{77, 0} {
		require.NoError(t, <-results)
		assert.Equal(t, want, <-ids)
	}
}
