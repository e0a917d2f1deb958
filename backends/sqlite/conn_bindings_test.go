package sqlite

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A value of any size is let go when the connection comes back, unless it is small.
func TestBindings_LargeOnesAreLetGo(t *testing.T) {
	for _, cached := range []int{0, 100} {
		db := openBatch(t, Options{Readers: 1})
		texts := map[string]int{"SELECT 1, length(?)": 100, "SELECT 2, length(?)": largeBinding, "SELECT 3, length(?)": 10 << 20}
		statements := map[string]*Stmt{} // of the one reader
		with := func(use func(conn *Conn)) {
			require.NoError(t, db.Readers().Do(t.Context(), func(_ context.Context, conn *Conn) error { use(conn); return nil }))
		}
		with(func(conn *Conn) {
			for sql, size := range texts {
				stmt := conn.Prep(sql)
				stmt.BindBytes(1, make([]byte, size))
				_, err := stmt.Step()
				require.NoError(t, err)
				require.Equal(t, size, stmt.ColumnInt(1))
				require.NoError(t, stmt.Reset())
				statements[sql] = stmt
			}
			for i := range cached {
				conn.Prep(fmt.Sprintf("SELECT %d AS other", i))
			}
		})
		for range cached / bindingsPerRelease {
			with(func(*Conn) {})
		}
		with(func(conn *Conn) {
			for sql, size := range texts {
				if size >= largeBinding {
					size = 0
				}
				stmt := statements[sql] // as it was left: Prep would clear it
				_, err := stmt.Step()
				require.NoError(t, err)
				assert.Equal(t, size, stmt.ColumnInt(1), "%s beside %d", sql, cached)
				require.NoError(t, stmt.Reset())
			}
		})
		assert.Zero(t, db.Stats().Found)
	}
}
