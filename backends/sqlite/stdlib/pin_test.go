package stdlib

import (
	"context"
	"database/sql"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	zombiezen "zombiezen.com/go/sqlite"

	"github.com/headpond/headpond/backends/sqlite"
)

// pinned returns a *sql.DB whose sessions pin one database, and how many do.
func pinned(t *testing.T, database sqlite.Options, options Options) (db *sql.DB, pins *atomic.Int32) {
	_, under := open(t, database, Options{})
	pins = new(atomic.Int32)
	db = sql.OpenDB(NewPinConnector(func(context.Context) (*sqlite.DB, func(), error) {
		pins.Add(1)
		return under, func() { pins.Add(-1) }, nil
	}, options))
	t.Cleanup(func() {
		assert.NoError(t, db.Close())
		assert.Zero(t, pins.Load())
	})
	return db, pins
}

func TestPin_LastsAsLongAsOpenRows(t *testing.T) {
	idle := make(chan bool, 1)
	db, pins := pinned(t, sqlite.Options{OnFinding: onIdle(idle)}, Options{IdleInTx: 20 * time.Millisecond})
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	rows, err := conn.QueryContext(t.Context(), "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 5000) SELECT i FROM n")
	require.NoError(t, err)
	require.True(t, rows.Next(), "they keep a reader of their own")
	do(t, conn, "CREATE TEMP TABLE x (y)")
	<-idle
	assert.EqualValues(t, 1, pins.Load(), "the rows are open")
	assert.Len(t, readAll[int](t, rows), 4999)
	require.NoError(t, rows.Close())
	require.NoError(t, conn.Close())
	assert.Zero(t, pins.Load())
}

// onIdle returns an OnFinding that says when a session was idle for too long.
func onIdle(idle chan<- bool) func(context.Context, sqlite.Finding) {
	return func(_ context.Context, f sqlite.Finding) {
		if f.Kind == sqlite.FoundIdle {
			idle <- true
		}
	}
}

func TestPin_EndsWithAPanic(t *testing.T) {
	db, pins := pinned(t, sqlite.Options{Setup: func(_ context.Context, conn *sqlite.Conn) error {
		return conn.CreateFunction("boom", &zombiezen.FunctionImpl{Scalar: func(zombiezen.Context, []zombiezen.Value) (zombiezen.Value, error) { panic("boom") }})
	}}, Options{})
	assert.PanicsWithValue(t, "boom", func() { _, _ = db.Query("SELECT boom()") })
	assert.Zero(t, pins.Load())
	assert.PanicsWithValue(t, "boom", func() { _, _ = db.Exec("SELECT boom()") })
	assert.Zero(t, pins.Load())
}
