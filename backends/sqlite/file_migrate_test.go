package sqlite

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
)

// An Open that has nothing to migrate needs no write lock, which another process may hold; one that has says BUSY.
func TestMigrate_UpToDateTakesNoLock(t *testing.T) {
	file, schema := path(t), sqlitemigration.Schema{AppID: 7, Migrations: []string{"CREATE TABLE t (x)", "CREATE TABLE u (x)"}}
	db, err := Open(t.Context(), file, Options{Schema: &schema})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.Background())) }()
	open := func(change func(schema *sqlitemigration.Schema)) error {
		schema := schema
		change(&schema)
		other, err := Open(t.Context(), file, Options{Schema: &schema, BusyTimeout: 10 * time.Millisecond})
		if err == nil {
			assert.NoError(t, other.Close(context.Background()))
		}
		return err
	}
	require.NoError(t, db.Write(t.Context(), func(context.Context, *Conn) error {
		assert.NoError(t, open(func(*sqlitemigration.Schema) {}))
		assert.NoError(t, open(func(s *sqlitemigration.Schema) { s.RepeatableMigration = "it runs with a migration alone" }))
		assert.NoError(t, open(func(s *sqlitemigration.Schema) { s.Migrations = nil }), "it counts none: another tool may have its versions there")
		err := open(func(s *sqlitemigration.Schema) { s.Migrations = append(s.Migrations, "CREATE TABLE v (x)") })
		assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(err))
		assert.ErrorContains(t, open(func(s *sqlitemigration.Schema) { s.AppID = 8 }), "its application_id is 0x7, not 0x8")
		return nil
	}))
}

func TestMigrate_EachMigrationOnce(t *testing.T) {
	file, schema := path(t), sqlitemigration.Schema{RepeatableMigration: "INSERT INTO t VALUES ('again')"}
	want := "0"
	for i := range 4 {
		schema.Migrations = append(schema.Migrations, []string{
			"CREATE TABLE t (x)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (3)",
		}[i])
		if i == 1 {
			continue // the next Open has two to make
		}
		db, err := Open(t.Context(), file, Options{Schema: &schema})
		require.NoError(t, err)
		require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
			want = map[int]string{0: "again", 2: "again,1,2,again", 3: "again,1,2,again,3,again"}[i]
			assert.Equal(t, want, get(t, conn, "SELECT group_concat(x) FROM t"))
			assert.Equal(t, strconv.Itoa(i+1), get(t, conn, "PRAGMA user_version"))
			return nil
		}))
		require.NoError(t, db.Close(context.Background()))
	}
}

// A program whose schema is older than the database would read and write tables that it does not know.
func TestMigrate_ANewerProgramWasHere(t *testing.T) {
	file, schema := path(t), &sqlitemigration.Schema{Migrations: []string{"CREATE TABLE t (x)", "CREATE TABLE u (x)"}}
	db, err := Open(t.Context(), file, Options{Schema: schema})
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
	_, err = Open(t.Context(), file, Options{Schema: &sqlitemigration.Schema{Migrations: schema.Migrations[:1]}})
	assert.ErrorIs(t, err, ErrNewerSchema)
	assert.ErrorContains(t, err, "migrate: its user_version is 2, and Options.Schema has 1 migrations: ")
	var failed *OpenError
	assert.ErrorAs(t, err, &failed)
	assert.Zero(t, descriptors(t, file))
}

func TestMigrate_NegativeVersion(t *testing.T) {
	file := path(t)
	db, err := Open(t.Context(), file, Options{})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "PRAGMA user_version=-2") }))
	require.NoError(t, db.Close(context.Background()))
	_, err = Open(t.Context(), file, Options{Schema: counters})
	assert.ErrorContains(t, err, "its user_version is -2")
}

// Another process makes a migration at the very moment when this one has switched foreign keys off for it:
// the next one runs with foreign keys on.
func TestMigrate_TheLoserOfARaceKeepsForeignKeysOn(t *testing.T) {
	file := path(t)
	schema := sqlitemigration.Schema{
		Migrations:       []string{"CREATE TABLE a (x)", "CREATE TABLE keys AS SELECT foreign_keys AS x FROM pragma_foreign_keys"},
		MigrationOptions: []*sqlitemigration.MigrationOptions{{DisableForeignKeys: true}},
	}
	winner := construct(t, file, Writer, Options{})
	do(t, winner.conn, "PRAGMA user_version=0")
	loser := construct(t, file, Writer, Options{})
	loser.database.options.Schema = &schema
	won := false
	require.NoError(t, loser.conn.SetAuthorizer(sqlite.AuthorizeFunc(func(action sqlite.Action) sqlite.AuthResult {
		if action.Type() == sqlite.OpPragma && action.Pragma() == "foreign_keys" && action.PragmaArg() == "off" && !won {
			won = true
			do(t, winner.conn, "BEGIN IMMEDIATE; CREATE TABLE a (x); PRAGMA user_version=1; COMMIT")
		}
		return sqlite.AuthResultOK
	})))
	migrated, err := loser.database.migrate(t.Context(), loser)
	require.NoError(t, err)
	assert.True(t, migrated)
	assert.True(t, won)
	assert.Equal(t, "1", get(t, loser.conn, "SELECT x FROM keys"))
	assert.Equal(t, "1", get(t, loser.conn, "PRAGMA foreign_keys"))
	assert.Equal(t, "2", get(t, loser.conn, "PRAGMA user_version"))
}
