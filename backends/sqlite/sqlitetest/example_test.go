package sqlitetest_test

import (
	"context"
	"testing"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/sqlitetest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite/sqlitex"
)

// A test of code that is given a database: it is there with its schema, and gone with the test.
func Example() {
	_ = func(t *testing.T) {
		db := sqlitetest.Open(t, schema)
		_, err := sqlite.Write(t.Context(), db, add)
		require.NoError(t, err)
		n, err := sqlite.Read(t.Context(), db, func(_ context.Context, conn *sqlite.Conn) (int64, error) {
			return sqlitex.ResultInt64(conn.Prep("SELECT n FROM stock WHERE item='pear'"))
		})
		require.NoError(t, err)
		assert.EqualValues(t, 2, n)
	}
}
