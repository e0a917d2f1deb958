package ecosystem

import (
	"testing"
	"testing/fstest"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	migratesqlite "github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var steps = fstest.MapFS{
	"1_orders.up.sql": {Data: []byte(`
		CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL);
		-- the first; with a semicolon
		INSERT INTO orders (customer) VALUES ('a;b'), ('c');
	`)},
	"1_orders.down.sql": {Data: []byte("DROP TABLE orders")},
	"2_items.up.sql": {Data: []byte(`
		CREATE TABLE items (id INTEGER PRIMARY KEY, orders_id INTEGER NOT NULL REFERENCES orders (id));
		CREATE TRIGGER none_of_0 BEFORE INSERT ON items WHEN new.id = 0 BEGIN SELECT raise(ABORT, 'none of 0'); END;
		INSERT INTO items (orders_id) SELECT id FROM orders;
	`)},
	"2_items.down.sql": {Data: []byte("DROP TABLE items")},
	"3_fails.up.sql":   {Data: []byte("ALTER TABLE orders ADD COLUMN state TEXT; INSERT INTO items (id, orders_id) VALUES (0, 1)")},
	"3_fails.down.sql": {Data: []byte("SELECT 1")},
}

func TestGolangMigrate(t *testing.T) {
	db := open(t)
	source, err := iofs.New(steps, ".")
	require.NoError(t, err)
	driver, err := migratesqlite.WithInstance(db, &migratesqlite.Config{})
	require.NoError(t, err)
	m, err := migrate.NewWithInstance("iofs", source, "sqlite", driver)
	require.NoError(t, err)

	err = m.Up()
	var failed *database.Error
	require.ErrorAs(t, err, &failed)
	require.ErrorContains(t, failed.OrigErr, "none of 0")
	version, dirty, err := m.Version()
	require.NoError(t, err)
	assert.EqualValues(t, 3, version)
	assert.True(t, dirty)
	var count int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM items JOIN orders ON orders.id=orders_id").Scan(&count))
	assert.Equal(t, 2, count)
	require.NoError(t, db.QueryRow("SELECT count(*) FROM pragma_table_info('orders') WHERE name='state'").Scan(&count))
	assert.Zero(t, count, "what failed was rolled back")

	require.ErrorAs(t, m.Up(), new(migrate.ErrDirty))
	require.NoError(t, m.Force(2))
	require.NoError(t, m.Down())
	require.NoError(t, m.Steps(1))
	require.ErrorIs(t, m.Migrate(1), migrate.ErrNoChange)
	require.NoError(t, m.Drop())
	require.NoError(t, db.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&count))
	assert.Zero(t, count)
}
