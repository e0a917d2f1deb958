package stdlib

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each statement of database/sql is told with the ctx of its own call.
func TestStatementsAreSeen(t *testing.T) {
	type callerKey struct{}
	var mu sync.Mutex
	var told []string
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "app.db"), sqlite.Options{OnStatement: func(ctx context.Context, s sqlite.Statement) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprint(ctx.Value(callerKey{}), ": ", s.Mode, ": ", s.Text, ": ", s.Rows))
	}})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	sqlDB := OpenDB(db, Options{})
	defer sqlDB.Close()
	with := func(caller string) context.Context { return context.WithValue(t.Context(), callerKey{}, caller) }
	exec := func(caller, text string, args ...any) {
		_, err := sqlDB.ExecContext(with(caller), text, args...)
		require.NoError(t, err)
	}
	exec("a", "CREATE TABLE t (x)")
	exec("b", "INSERT INTO t VALUES (?), (?)", "s3cr3t", 2)
	rows, err := sqlDB.QueryContext(with("c"), "SELECT x FROM t")
	require.NoError(t, err)
	require.True(t, rows.Next())
	require.NoError(t, rows.Close())
	tx, err := sqlDB.BeginTx(with("d"), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(with("e"), "UPDATE t SET x=3")
	require.NoError(t, err)
	var count int
	require.NoError(t, tx.QueryRowContext(with("f"), "SELECT count(*) FROM t").Scan(&count))
	require.NoError(t, tx.Commit())
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, []string{
		"a: writer: CREATE TABLE t (x): 0",
		"b: writer: INSERT INTO t VALUES (?), (?): 2",
		"c: reader: SELECT x FROM t: 2", // which the driver reads ahead
		"e: writer: UPDATE t SET x=3: 2",
		"f: writer: SELECT count(*) FROM t: 1",
	}, told)
}
