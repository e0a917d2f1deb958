package sqlite

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
)

// reads returns what the pragma is on a reader and on the writer of db.
func reads(t *testing.T, db *DB, pragma string) (reader, writer string) {
	t.Helper()
	ask := func(_ context.Context, conn *Conn) (string, error) { return first(conn, "PRAGMA "+pragma) }
	reader, err := Read(t.Context(), db, ask)
	require.NoError(t, err)
	writer, err = Write(t.Context(), db, ask)
	require.NoError(t, err)
	return reader, writer
}

// Each spelling that SQLite takes works, in any order, with and without Schema; and is there when the file is opened again.
func TestPragmas_AreTaken(t *testing.T) {
	for _, c := range []struct {
		pragmas []Pragma
		want    map[string]string // of reader and writer
	}{
		{[]Pragma{{"page_size", "8192"}, {"auto_vacuum", "incremental"}}, map[string]string{"page_size": "8192", "auto_vacuum": "2"}},
		{[]Pragma{{"auto_vacuum", "incremental"}, {"page_size", "8192"}}, map[string]string{"page_size": "8192", "auto_vacuum": "2"}},
		{[]Pragma{{"AUTO_VACUUM", "full"}, {"encoding", "UTF-16le"}, {"page_size", "0x1000"}}, map[string]string{"page_size": "4096", "auto_vacuum": "1", "encoding": "UTF-16le"}},
		{[]Pragma{{"encoding", "UTF-16be"}}, map[string]string{"encoding": "UTF-16be"}},
		{[]Pragma{{"encoding", "UTF-16"}}, map[string]string{"encoding": nativeUTF16}},
		{[]Pragma{{"encoding", "utf8"}}, map[string]string{"encoding": "UTF-8"}},
		{[]Pragma{{"cache_spill", "off"}}, map[string]string{"cache_spill": "0"}},
		{[]Pragma{{"cache_spill", "on"}}, nil},
		{[]Pragma{{"cache_spill", "1"}}, nil},
		{[]Pragma{{"cache_spill", "100"}}, nil},
		{[]Pragma{{"cache_spill", "100000"}}, map[string]string{"cache_spill": "100000"}},
		{[]Pragma{{"secure_delete", "fast"}}, map[string]string{"secure_delete": "2"}},
		{[]Pragma{{"analysis_limit", "0x190"}}, map[string]string{"analysis_limit": "400"}},
		{[]Pragma{{"optimize", "0x10002"}}, nil},
		{[]Pragma{{"incremental_vacuum", "10"}}, nil},
		{[]Pragma{{"wal_checkpoint", "passive"}}, nil},
		{[]Pragma{{"shrink_memory", "1"}}, nil},
	} {
		for _, schema := range []*sqlitemigration.Schema{nil, {Migrations: []string{"CREATE TABLE t (x)"}}} {
			for _, empty := range []bool{false, true} {
				if empty && (schema != nil || !c.pragmas[0].ofNewFile()) {
					continue
				}
				file := path(t)
				if empty { // what another program left there
					require.NoError(t, os.WriteFile(file, nil, 0o600))
				}
				for range 2 {
					db, err := Open(t.Context(), file, Options{Pragmas: c.pragmas, Schema: schema})
					require.NoError(t, err, "%v", c.pragmas)
					for pragma, want := range c.want {
						reader, writer := reads(t, db, pragma)
						assert.Equal(t, want, reader, "%v", c.pragmas)
						assert.Equal(t, want, writer, "%v", c.pragmas)
					}
					require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
						return run(conn, "CREATE TABLE IF NOT EXISTS u (x); INSERT INTO u VALUES ('ü')")
					}))
					require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
						assert.Equal(t, "ü", get(t, conn, "SELECT x FROM u"))
						assert.Equal(t, "ok", get(t, conn, "PRAGMA integrity_check"))
						return nil
					}), "%v", c.pragmas)
					require.NoError(t, db.Close(t.Context()))
				}
			}
		}
		db, err := OpenMemory(t.Context(), Options{Pragmas: c.pragmas})
		require.NoError(t, err, "%v", c.pragmas)
		for pragma, want := range c.want {
			if pragma != "auto_vacuum" { // a database in memory has none
				reader, _ := reads(t, db, pragma)
				assert.Equal(t, want, reader, "%v", c.pragmas)
			}
		}
		require.NoError(t, db.Close(t.Context()))
	}
}

// nativeUTF16 is what UTF-16 is on this machine.
var nativeUTF16 = func() string {
	db, err := OpenMemory(context.Background(), Options{})
	if err != nil {
		panic(err)
	}
	defer db.Close(context.Background())
	name, err := Write(context.Background(), db, func(_ context.Context, conn *Conn) (string, error) {
		if err := run(conn, "PRAGMA encoding='UTF-16'"); err != nil {
			return "", err
		}
		return first(conn, "PRAGMA encoding")
	})
	if err != nil {
		panic(err)
	}
	return name
}()

// The view that makes an encoding last leaves nothing behind.
func TestPragmas_AnEncodingLeavesNothingInTheSchema(t *testing.T) {
	db, err := Open(t.Context(), path(t), Options{Pragmas: []Pragma{{"encoding", "UTF-16le"}}})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(t.Context())) }()
	n, err := Read(t.Context(), db, func(_ context.Context, conn *Conn) (string, error) {
		return first(conn, "SELECT (SELECT count(*) FROM sqlite_schema)||(SELECT freelist_count FROM pragma_freelist_count)||(SELECT page_count FROM pragma_page_count)")
	})
	require.NoError(t, err)
	assert.Equal(t, "001", n)
}

// What can't work is said at Open, and why.
func TestPragmas_AreRefused(t *testing.T) {
	for want, pragma := range map[string]Pragma{
		`Options.Pragmas[0].Value is "1000": page_size must be a power of two from 512 to 65536`:               {"page_size", "1000"},
		`Options.Pragmas[0].Value is "256": page_size`:                                                         {"page_size", "256"},
		`Options.Pragmas[0].Value is "131072": page_size`:                                                      {"page_size", "131072"},
		`Options.Pragmas[0].Value is "large": page_size`:                                                       {"Page_Size", "large"},
		`Options.Pragmas[0].Value is "latin1": encoding must be UTF-8, UTF-16, UTF-16le or UTF-16be`:           {"encoding", "latin1"},
		`Options.Pragmas[0].Name is "defer_foreign_keys": it ends with every transaction: set it inside Write`: {"defer_foreign_keys", "1"},
		`Options.Pragmas[0].Name is "data_version": SQLite only tells it`:                                      {"data_version", "1"},
		`Options.Pragmas[0].Name is "schema_version": it is SQLite's own`:                                      {"schema_version", "1"},
		`Options.Pragmas[0].Name is "Journal_Mode": it is WAL`:                                                 {"Journal_Mode", "delete"},
		`PRAGMA max_page_count is 4294967294, not many: SQLite did not take the value`:                         {"max_page_count", "many"},
	} {
		file := path(t)
		_, err := Open(t.Context(), file, Options{Pragmas: []Pragma{pragma}})
		assert.ErrorContains(t, err, want)
		assert.Empty(t, files(t, file), "%v", pragma)
	}
	file := path(t)
	db, err := Open(t.Context(), file, Options{})
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
	for _, pragma := range []Pragma{{"encoding", "UTF-16"}, {"page_size", "512"}, {"auto_vacuum", "full"}} {
		_, err := Open(t.Context(), file, Options{Pragmas: []Pragma{pragma}})
		assert.ErrorContains(t, err, "it can only be chosen when the file is created")
	}
}

// A value is quoted as it has to be: a quote in it is doubled.
func TestPragmas_AQuoteInAValue(t *testing.T) {
	_, err := Open(t.Context(), path(t), Options{Pragmas: []Pragma{{"temp_store", "it's"}}})
	assert.ErrorContains(t, err, "PRAGMA temp_store is 0, not it's", "SQLite has read it")
}

// What Setup must not undo, and what an error says of it.
func TestSetup_MustNotUndoWhatOpenPromises(t *testing.T) {
	exec := func(sql string) func(conn *Conn) error { return func(conn *Conn) error { return run(conn, sql) } }
	for want, undo := range map[string]func(conn *Conn) error{
		"it set PRAGMA journal_mode, which is delete now, not wal: it is WAL":                              exec("PRAGMA journal_mode=delete"),
		"it set PRAGMA locking_mode, which is exclusive now, not normal":                                   exec("PRAGMA locking_mode=exclusive"),
		"it set PRAGMA synchronous, which is 0 now, not 1: set Options.Synchronous instead":                exec("PRAGMA synchronous=off"),
		"it set PRAGMA foreign_keys, which is 0 now, not 1: set Options.NoForeignKeys instead":             exec("PRAGMA foreign_keys=off"),
		"it set PRAGMA trusted_schema, which is 1 now, not 0: set Options.TrustedSchema instead":           exec("PRAGMA trusted_schema=on"),
		"it set PRAGMA query_only, which is 1 now":                                                         exec("PRAGMA query_only=on"),
		"it set PRAGMA writable_schema, which is 1 now":                                                    func(conn *Conn) error { return writableSchema(conn) },
		"it set PRAGMA wal_autocheckpoint, which is 0 now, not 1000":                                       exec("PRAGMA wal_autocheckpoint=0"),
		"it set PRAGMA journal_size_limit, which is -1 now, not 67108864: set Options.JournalSizeLimit":    exec("PRAGMA journal_size_limit=-1"),
		"it set PRAGMA cache_spill, which is 0 now, not on: Options.Pragmas says otherwise":                exec("PRAGMA cache_spill=off"),
		"it set PRAGMA busy_timeout, or another busy handler: set Options.BusyTimeout instead: ":           exec("PRAGMA busy_timeout=10"),
		"it set PRAGMA busy_timeout, or another busy handler: set Options.BusyTimeout instead: the pragma": func(conn *Conn) error { conn.SetBusyTimeout(9); return nil },
		"it set an authorizer: headpond needs its own there": func(conn *Conn) error {
			return conn.SetAuthorizer(sqlite.AuthorizeFunc(func(sqlite.Action) sqlite.AuthResult { return sqlite.AuthResultOK }))
		},
	} {
		t.Run(want, func(t *testing.T) {
			file, undoes := path(t), true
			options := Options{NoDefensive: true, Pragmas: []Pragma{{"cache_spill", "on"}}, Setup: func(_ context.Context, conn *Conn) error {
				if !undoes {
					return nil
				}
				return undo(conn)
			}}
			_, err := Open(t.Context(), file, options)
			assert.ErrorContains(t, err, "as writer: Setup: "+want)
			assert.Empty(t, files(t, file))
			undoes = false
			db, err := Open(t.Context(), file, options)
			require.NoError(t, err)
			require.NoError(t, db.Close(t.Context()))
			undoes = true
			_, err = Open(t.Context(), file, options)
			assert.ErrorContains(t, err, "as writer: Setup: "+want)
			assert.Zero(t, descriptors(t, file))
			undoes = false
			db, err = Open(t.Context(), file, options)
			require.NoError(t, err)
			assert.NoError(t, db.Write(t.Context(), func(context.Context, *Conn) error { return db.Ping(t.Context()) }))
			require.NoError(t, db.Close(t.Context()))
		})
	}
}

func writableSchema(conn *Conn) error { return run(conn, "PRAGMA writable_schema=on") }

// What Open does not promise is Setup's own, and the baseline.
func TestSetup_MaySetWhatNoOptionStandsFor(t *testing.T) {
	db := openBatch(t, Options{Setup: func(_ context.Context, conn *Conn) error {
		return run(conn, "PRAGMA cache_size=77; PRAGMA recursive_triggers=on; PRAGMA temp_store=memory")
	}})
	for pragma, want := range map[string]string{"cache_size": "77", "recursive_triggers": "1", "temp_store": "2"} {
		reader, writer := reads(t, db, pragma)
		assert.Equal(t, want, reader)
		assert.Equal(t, want, writer)
	}
	assert.Zero(t, db.Stats().Found)
}

// A migration can't undo it either: what serves is opened after it.
func TestSchema_DoesNotUndoWhatOpenPromises(t *testing.T) {
	for _, pragma := range []string{"busy_timeout=1", "locking_mode=exclusive", "foreign_keys=off", "trusted_schema=on", "wal_autocheckpoint=0"} {
		migrations := []string{"CREATE TABLE t (x)", "CREATE TABLE u (x); PRAGMA " + pragma}
		file := path(t)
		for n := range migrations { // with a file that is made, and with one that is there
			db, err := Open(t.Context(), file, Options{Schema: &sqlitemigration.Schema{Migrations: migrations[:n+1]}})
			if !assert.NoError(t, err, pragma) {
				continue
			}
			for pragma, want := range map[string]string{
				"foreign_keys": "1", "query_only": "0", "locking_mode": "normal", "journal_mode": "wal", "trusted_schema": "0",
			} {
				reader, writer := reads(t, db, pragma)
				assert.Equal(t, want, reader, pragma)
				assert.Equal(t, want, writer, pragma)
			}
			require.NoError(t, db.Close(t.Context()))
		}
	}
	// It can't be done inside of the migration's transaction.
	_, err := Open(t.Context(), path(t), Options{Schema: &sqlitemigration.Schema{Migrations: []string{"PRAGMA synchronous=off"}}})
	assert.ErrorContains(t, err, "Safety level may not be changed inside a transaction")
	_, err = Open(t.Context(), path(t), Options{Schema: &sqlitemigration.Schema{Migrations: []string{"PRAGMA query_only=on", "CREATE TABLE t (x)"}}})
	assert.ErrorContains(t, err, "attempt to write a readonly database")
}

// Setup panics, wherever it is called: nothing stays open, and nothing of a file that was about to be made.
func TestSetup_ThatPanicsLeavesNothingOpen(t *testing.T) {
	file := path(t)
	panics := true
	options := Options{Readers: 1, Setup: func(_ context.Context, conn *Conn) error {
		if panics {
			_, err := conn.Prep("SELECT 1 FROM sqlite_schema").Step()
			assert.NoError(t, err)
			stmt, _, err := conn.PrepareTransient("SELECT 1 UNION SELECT 2")
			assert.NoError(t, err)
			_, err = stmt.Step()
			assert.NoError(t, err)
			panic("setup")
		}
		return nil
	}}
	assert.PanicsWithValue(t, "setup", func() { _, _ = Open(t.Context(), file, options) })
	assert.Empty(t, files(t, file))
	assert.PanicsWithValue(t, "setup", func() { _, _ = OpenMemory(t.Context(), options) })
	panics = false
	db, err := Open(t.Context(), file, options)
	require.NoError(t, err)
	panics = true
	before := 0
	for i := range 4 {
		assert.ErrorContains(t, db.Ping(t.Context()), "construct panicked: setup")
		assert.PanicsWithValue(t, "setup", func() { _, _ = Open(t.Context(), file, options) })
		if i == 0 {
			// SQLite closes what was opened beside the writer only when that is closed: to close it drops the writer's locks.
			// The next open takes it over.
			before = descriptors(t, file)
		}
	}
	assert.Equal(t, before, descriptors(t, file))
	panics = false
	require.NoError(t, db.Ping(t.Context()))
	require.NoError(t, db.Close(t.Context()))
	assert.Zero(t, descriptors(t, file))
	left := 0
	connections.Range(func(_, c any) bool {
		if c.(*connection).database.path == file {
			left++
		}
		return true
	})
	assert.Zero(t, left, "it is known of no connection")
}

// An SQL function panics in a migration.
func TestSchema_WhoseFunctionPanicsLeavesNothingOpen(t *testing.T) {
	file := path(t)
	options := Options{Setup: func(_ context.Context, conn *Conn) error {
		return conn.CreateFunction("broken", &sqlite.FunctionImpl{NArgs: 0, Scalar: func(sqlite.Context, []sqlite.Value) (sqlite.Value, error) { panic("broken") }})
	}}
	db, err := Open(t.Context(), file, options)
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
	for _, migration := range []string{"CREATE TABLE t AS SELECT broken() AS x"} {
		options.Schema = &sqlitemigration.Schema{Migrations: []string{migration}}
		assert.Panics(t, func() { _, _ = Open(t.Context(), file, options) })
		assert.Panics(t, func() { _, _ = OpenMemory(t.Context(), options) })
		assert.Panics(t, func() { _, _ = Open(t.Context(), file+".new", options) })
	}
	assert.Zero(t, descriptors(t, file))
	assert.Equal(t, []string{"app.db"}, files(t, file))
}
