package recipes

import (
	"context"

	"github.com/headpond/headpond/backends/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Take sells one of what is left, and reports whether there was one. It may run twice: so it sets sold, and has no other effect.
func Take(ctx context.Context, db *sqlite.DB, item string) (sold bool, err error) {
	return sqlite.Batch(ctx, db, func(_ context.Context, conn *sqlite.Conn) (bool, error) {
		err := sqlitex.Execute(conn, "UPDATE stock SET n = n - 1 WHERE item = ? AND n > 0", &sqlitex.ExecOptions{Args: []any{item}})
		return conn.Changes() == 1, err
	})
}
