package recipes

import (
	"context"
	"net/http"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Adopt opens a database that goose has migrated so far. migrations are goose's, in the same order, and new ones after them:
// those that goose has applied do not run again.
func Adopt(ctx context.Context, path string, migrations []string) (*sqlite.DB, error) {
	return sqlite.Open(ctx, path, sqlite.Options{
		Schema: &sqlitemigration.Schema{Migrations: migrations},
		Baseline: func(_ context.Context, conn *sqlite.Conn) (int, error) { // asked once, of a file that has tables and no number
			return sqlitex.ResultInt(conn.Prep("SELECT count(*) FROM goose_db_version WHERE version_id > 0 AND is_applied"))
		},
	})
}

// Healthy answers 200 if the database can be read within a second, and 503 if not.
func Healthy(db *sqlite.DB) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if err := db.Ping(ctx); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable) // err is for the log, not for the world
		}
	}
}

// Rename returns the row as the write has left it, with no second query.
func Rename(ctx context.Context, db *sqlite.DB, id int64, name string) (stored string, err error) {
	return sqlite.Write(ctx, db, func(_ context.Context, conn *sqlite.Conn) (stored string, err error) {
		err = sqlitex.Execute(conn, "UPDATE thing SET name = trim(?) WHERE id = ? RETURNING name", &sqlitex.ExecOptions{
			Args:       []any{name, id},
			ResultFunc: func(row *zombiezen.Stmt) error { stored = row.ColumnText(0); return nil },
		})
		return stored, err
	})
}

// Names reads what is committed. A Read that begins after a Write or Batch has returned sees what that wrote, on whichever reader.
func Names(ctx context.Context, db *sqlite.DB) (names []string, err error) {
	return sqlite.Read(ctx, db, func(_ context.Context, conn *sqlite.Conn) (names []string, err error) {
		err = sqlitex.Execute(conn, "SELECT name FROM thing ORDER BY id", &sqlitex.ExecOptions{
			ResultFunc: func(row *zombiezen.Stmt) error { names = append(names, row.ColumnText(0)); return nil },
		})
		return names, err
	})
}
