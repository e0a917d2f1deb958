package sqlite

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// registerPanicking registers a function boom(x) and a collation boom, which panic after a while.
func registerPanicking(_ context.Context, conn *Conn) error {
	boom := func(x int64) {
		if x > 2 {
			panic("boom")
		}
	}
	return errors.Join(
		conn.CreateFunction("boom", &sqlite.FunctionImpl{NArgs: 1, Scalar: func(_ sqlite.Context, args []sqlite.Value) (sqlite.Value, error) {
			boom(args[0].Int64())
			return sqlite.IntegerValue(1), nil
		}}),
		conn.SetCollation("boom", func(a, b string) int {
			if a == "4" {
				panic("boom")
			}
			return 0
		}),
	)
}

// The borrower recovers a panic in the middle of an INSERT and returns nil: none of its rows is committed, and the connection ends.
func TestHalfAStatementIsNeverCommitted(t *testing.T) {
	both(t, func(t *testing.T, memory bool) {
		for name, statement := range map[string]string{
			"a function":  "INSERT INTO dst SELECT a FROM src WHERE boom(a)",
			"a collation": "INSERT INTO dst SELECT a FROM src WHERE (a = 'x' COLLATE boom) < 2",
			"RETURNING":   "INSERT INTO dst SELECT a FROM src WHERE boom(a) RETURNING a",
		} {
			for _, execute := range []func(conn *Conn, sql string) error{
				func(conn *Conn, sql string) error { return sqlitex.ExecuteTransient(conn, sql, nil) }, // which finalizes on the way out
				func(conn *Conn, sql string) error { return sqlitex.Execute(conn, sql, nil) },          // which resets
				func(conn *Conn, sql string) error { // nothing of that
					_, err := conn.Prep(sql).Step()
					return err
				},
			} {
				db := open(t, memory, Options{Setup: registerPanicking})
				require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
					return run(conn, "CREATE TABLE src (a TEXT); INSERT INTO src VALUES ('1'), ('2'), ('3'), ('4'); CREATE TABLE dst (a)")
				}))
				for way, call := range ways(db) {
					byHand := way == "the writer by hand"
					if way == "Read" || way == "a reader by hand" || byHand && name == "a collation" { // only functions tell before the borrower's Finalize
						continue
					}
					panicked := false
					err := call(t.Context(), func(_ context.Context, conn *Conn) (err error) {
						defer func() { panicked = recover() != nil }()
						return execute(conn, statement)
					})
					require.True(t, panicked, "%s: %s", way, name)
					if byHand {
						assert.NoError(t, err, "the borrower's")
					} else {
						assert.ErrorIs(t, err, ErrRolledBack, "%s: %s", way, name)
						assert.ErrorContains(t, err, "panic")
					}
					require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
						assert.Equal(t, "0", get(t, conn, "SELECT count(*) FROM dst"), "%s: %s", way, name)
						return nil
					}))
				}
				assert.NotZero(t, db.Stats().Found[FoundWedged])
				require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "INSERT INTO dst VALUES (1)") }))
			}
		}
	})
}

// Of a batch, the call that did so is lost alone.
func TestHalfAStatementInABatch(t *testing.T) {
	db := open(t, false, Options{Setup: registerPanicking})
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return run(conn, "CREATE TABLE src (a); INSERT INTO src VALUES (1), (2), (3), (4); CREATE TABLE dst (a)")
	}))
	results := make(chan error, 3)
	require.NoError(t, db.Write(t.Context(), func(context.Context, *Conn) error { // all wait
		for i := range 3 {
			go func() {
				results <- db.Batch(t.Context(), func(_ context.Context, conn *Conn) error {
					if i != 1 {
						return run(conn, "INSERT INTO dst VALUES ('whole')")
					}
					defer func() { _ = recover() }()
					return sqlitex.Execute(conn, "INSERT INTO dst SELECT a FROM src WHERE boom(a)", nil)
				})
			}()
			waitForWorks(db, i+1)
		}
		return nil
	}))
	failed := 0
	for range 3 {
		if err := <-results; err != nil {
			assert.ErrorIs(t, err, ErrRolledBack)
			failed++
		}
	}
	assert.Equal(t, 1, failed)
	require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		assert.Equal(t, "2/2", get(t, conn, "SELECT count(*) || '/' || sum(a='whole') FROM dst"))
		return nil
	}))
}
