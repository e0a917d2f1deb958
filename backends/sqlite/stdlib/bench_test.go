package stdlib

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headpond/headpond/backends/sqlite"
)

// BenchmarkPointRead reads one row through a prepared statement, with a ctx that can be cancelled.
func BenchmarkPointRead(b *testing.B) {
	db, _ := open(b, sqlite.Options{}, Options{})
	numbers(b, db, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stmt, err := db.Prepare("SELECT name FROM t WHERE id=?")
	require.NoError(b, err)
	defer stmt.Close()
	b.ReportAllocs()
	for b.Loop() {
		var name string
		if err := stmt.QueryRowContext(ctx, 500).Scan(&name); err != nil {
			b.Fatal(err)
		}
	}
}
