package tenants_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

// schema has a table for the name of the tenant, by which each test sees whose database it has.
var schema = &sqlitemigration.Schema{Migrations: []string{"CREATE TABLE owner (n INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT"}}

// open makes a pool of databases in a directory of the test, and closes it at the end.
func open(t testing.TB, options tenants.Options) *tenants.Pool {
	if options.Path == nil {
		options.Path = tenants.Directory(t.TempDir())
	}
	if options.Database.Schema == nil {
		options.Database.Schema = schema
	}
	p, err := tenants.New(options)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, p.Close(context.Background())) })
	return p
}

// sign writes the name of a tenant into its database.
func sign(ctx context.Context, p *tenants.Pool, tenant string) error {
	return p.Write(ctx, tenant, func(_ context.Context, conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, "INSERT INTO owner (name) VALUES (?)", &sqlitex.ExecOptions{Args: []any{tenant}})
	})
}

// owners returns the names that are in the database of a tenant, and how many rows there are.
func owners(ctx context.Context, p *tenants.Pool, tenant string) (names string, rows int, err error) {
	err = p.Read(ctx, tenant, func(_ context.Context, conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, "SELECT ifnull(group_concat(DISTINCT name), ''), count(*) FROM owner", &sqlitex.ExecOptions{ResultFunc: func(row *zombiezen.Stmt) error {
			names, rows = row.ColumnText(0), row.ColumnInt(1)
			return nil
		}})
	})
	return names, rows, err
}

func TestPool_EachTenantHasItsOwnDatabase(t *testing.T) {
	directory := t.TempDir()
	p := open(t, tenants.Options{Path: tenants.Directory(directory), MaxOpen: 3})
	for round := range 3 {
		for n := range 10 {
			require.NoError(t, sign(t.Context(), p, fmt.Sprint("tenant-", n)))
			assert.LessOrEqual(t, p.Stats().Open, 3)
		}
		for n := range 10 {
			name, rows, err := owners(t.Context(), p, fmt.Sprint("tenant-", n))
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprint("tenant-", n), name)
			assert.Equal(t, round+1, rows)
		}
	}
	for n := range 10 {
		_, err := os.Stat(filepath.Join(directory, fmt.Sprint("tenant-", n, ".db")))
		assert.NoError(t, err)
	}
	stats := p.Stats()
	assert.EqualValues(t, stats.Opened, stats.Evicted+uint64(stats.Open+stats.Closing))
}

// names are tenants, as Migrate and Backup take them.
func names(all ...string) func(yield func(string) bool) { return slices.Values(all) }
