package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/postgres"
	"github.com/headpond/headpond/pool"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sessionState is what a borrower can see of a session that is not the database's. It asks in a way that is not seen as a change.
const sessionState = `
SELECT 'setting ' || name || ' = ' || setting || ' from ' || source FROM pg_settings
	WHERE name NOT IN ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable')
	AND name NOT LIKE 'plpgsql.%' -- which are there as soon as a function was called
UNION ALL SELECT 'custom ' || name || ' = ' || coalesce(nullif(current_setting(name, true), ''), 'NULL')
	FROM unnest(ARRAY['app.me', 'app.you']) name
UNION ALL SELECT 'role ' || current_setting('role') || ' ' || current_user || ' ' || session_user
UNION ALL SELECT 'path ' || array_to_string(current_schemas(true), ',')
UNION ALL SELECT 'lock ' || locktype || ' ' || mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype NOT IN ('virtualxid', 'relation')
UNION ALL SELECT 'cursor ' || name FROM pg_cursors WHERE is_holdable
UNION ALL SELECT 'channel ' || pg_listening_channels()
UNION ALL SELECT 'prepared ' || name FROM pg_prepared_statements WHERE from_sql
UNION ALL SELECT 'temp ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND pg_my_temp_schema() <> 0
UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = pg_my_temp_schema() AND pg_my_temp_schema() <> 0
UNION ALL SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE active_pid = pg_backend_pid()
ORDER BY 1`

// stateOf returns the state of a session, and of what pgx knows of it, in lines.
func stateOf(t testing.TB, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(context.Background(), sessionState, pgx.QueryExecModeExec)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if heard, _ := conn.WaitForNotification(over); heard != nil {
		lines = append(lines, "notification "+heard.Channel)
	}
	lines = append(lines, "status "+string(conn.PgConn().TxStatus()))
	for i, line := range lines { // a temporary schema stays in the path of a session that ever had one, and is empty
		if strings.HasPrefix(line, "path pg_temp_") {
			_, rest, _ := strings.Cut(line, ",")
			lines[i] = "path " + rest
		}
	}
	return lines
}

// difference returns the lines that one state has and the other has not.
func difference(want, got []string) (lines []string) {
	for _, line := range got {
		if !slices.Contains(want, line) {
			lines = append(lines, "+ "+line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			lines = append(lines, "- "+line)
		}
	}
	return lines
}

// borrowings are what random borrowers do, %d being a number of their own. Some of it fails.
var borrowings = []string{
	"SET work_mem = '%dMB'", "SET search_path = s%d, public", "set session timezone = 'UTC'", "SET TIME ZONE 'Europe/Vienna'",
	"SET app.me = 'me%d'", "SELECT set_config('app.you', 'you%d', false)", "SELECT set_config('app.you', 'you%d', true)",
	"SELECT set_config('ap' || 'p.me', 'me%d', false)", "SET LOCAL work_mem = '%dMB'", "SET statement_timeout = 1000", "SET lock_timeout = 1",
	"SET statement_timeout = 1",
	"SET ROLE reset_other", "SET SESSION AUTHORIZATION reset_other", "SET application_name = 'me%d'", "SET client_encoding = 'LATIN1'",
	"SET default_transaction_read_only = on", "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
	"SET DateStyle = 'German'", "SET standard_conforming_strings = off", "SET enable_seqscan = off", "SET search_path = ''",
	"RESET ALL", "RESET ROLE", "RESET work_mem",
	"LISTEN c%d", "UNLISTEN *", "LISTEN c; NOTIFY c, 'x'",
	"CREATE TEMP TABLE t%d (a int)", "CREATE TEMPORARY VIEW v%d AS SELECT 1 AS a", "SELECT 1 AS a INTO TEMP u%d", "CREATE TEMP SEQUENCE q%d",
	"CREATE TABLE pg_temp.w%d (a serial)", "CREATE FUNCTION pg_temp.f%d() RETURNS int LANGUAGE sql AS 'SELECT 1'",
	"CREATE TEMP TABLE d%d ON COMMIT DROP AS SELECT 1 AS a", "DROP TABLE IF EXISTS t%d",
	"BEGIN", "COMMIT", "ROLLBACK", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SAVEPOINT a", "ROLLBACK TO a", "SELECT 1/0", "syntax error",
	"DECLARE c%d CURSOR WITH HOLD FOR SELECT generate_series(1, 10)", "DECLARE n%d CURSOR FOR SELECT 1", "FETCH 1 FROM c%d", "CLOSE ALL",
	"PREPARE p%d AS SELECT 1", "EXECUTE p%d", "DEALLOCATE p%d", "PREPARE l%d AS SELECT set_config('app.me', 'l', false)", "EXECUTE l%d",
	"SELECT pg_advisory_lock(%d)", "SELECT pg_try_advisory_lock_shared(%d, 2)", "SELECT pg_advisory_unlock(%d)", "SELECT pg_advisory_xact_lock(%d)",
	"DO $$ BEGIN PERFORM set_config('work_mem', '%dMB', false); END $$", "CALL reset_procedure('%dMB')",
	"DO $$ BEGIN CREATE TEMP TABLE IF NOT EXISTS o%d (a int); EXECUTE 'PREPARE o%d AS SELECT 1'; END $$",
	"SELECT nextval('reset_sequence')", "SELECT 1", "SELECT generate_series(1, 10)",
	"DISCARD TEMP", "DISCARD SEQUENCES", "DISCARD PLANS", "DISCARD ALL", "DEALLOCATE ALL", "LOAD 'auto_explain'",
	"SELECT pg_create_physical_replication_slot('slot%d', false, true)",
	"SET work_mem = '%dMB'; SET app.me = 'x'; LISTEN d%d; SELECT 1",
	"/* why */ SET /* not */ work_mem = '%dMB' -- ;", "EXPLAIN ANALYZE CREATE TEMP TABLE e%d AS SELECT 1",
	"SELECT '\\'; SET ROLE reset_other; --'",                                                  // with standard_conforming_strings = off it is a string
	"SET standard_conforming_strings = off; SELECT '\\''; SET ROLE reset_other; SELECT '\\''", // and here it is not
}

// modes are the ways in which pgx executes a statement.
var modes = []any{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol}

// borrow does something to a connection.
func borrow(ctx context.Context, random *rand.Rand, conn *pgx.Conn) (did string) {
	statement := borrowings[random.IntN(len(borrowings))]
	statement = strings.ReplaceAll(statement, "%d", fmt.Sprint(random.IntN(5)+1))
	mode := modes[random.IntN(len(modes))]
	switch random.IntN(10) {
	case 0: // in a batch
		batch := &pgx.Batch{}
		batch.Queue(statement)
		batch.Queue("SELECT 1")
		_ = conn.SendBatch(ctx, batch).Close()
		return "batch: " + statement
	case 1: // without pgx
		_, _ = conn.PgConn().Exec(ctx, statement).ReadAll()
		return "pgconn: " + statement
	case 2:
		rows, err := conn.Query(ctx, statement, mode)
		if err == nil && random.IntN(10) > 0 {
			rows.Close()
			return fmt.Sprintf("%v: %s", mode, statement)
		}
		return fmt.Sprintf("%v, left open: %s", mode, statement)
	case 3: // in a transaction
		_ = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, statement, mode)
			return err
		})
		return "transaction: " + statement
	case 4: // by a name that pgx knows
		if _, err := conn.Prepare(ctx, "pgx"+fmt.Sprint(random.IntN(3)), statement); err == nil {
			return "prepared: " + statement
		}
		return "not prepared: " + statement
	default:
		_, _ = conn.Exec(ctx, statement, mode)
		return fmt.Sprintf("%v: %s", mode, statement)
	}
}

// TestReset_TheNextBorrowersSessionIsLikeANewOne lets random borrowers do random things, and looks at what the next one finds.
func TestReset_TheNextBorrowersSessionIsLikeANewOne(t *testing.T) {
	rounds, seed := 150, uint64(1)
	if *long {
		rounds, seed = 10_000, uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	url := newDatabase(t)
	admin := openURL(t, url, postgres.Options{})
	exec(t, admin, "CREATE ROLE reset_other SUPERUSER")
	defer exec(t, admin, "DROP ROLE reset_other")
	exec(t, admin, "CREATE SEQUENCE reset_sequence")
	exec(t, admin, "CREATE PROCEDURE reset_procedure(memory text) LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('work_mem', memory, false); END $$")
	fresh, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	want := stateOf(t, fresh)
	require.NoError(t, fresh.Close(t.Context()))

	hooks := postgres.Hooks(parse(t, url), postgres.Options{})
	conns, err := pool.New(hooks, pool.Options{MaxSize: 2})
	require.NoError(t, err)
	defer func() { require.NoError(t, conns.Close(context.Background())) }()
	var group sync.WaitGroup
	for worker := range 2 {
		random := rand.New(rand.NewPCG(seed, uint64(worker)))
		group.Go(func() {
			for range rounds / 2 {
				lease, err := conns.Acquire(t.Context())
				if !assert.NoError(t, err) {
					return
				}
				var did []string
				for range 1 + random.IntN(6) {
					ctx, cancel := context.WithCancel(t.Context())
					if random.IntN(20) == 0 {
						cancel()
					}
					did = append(did, borrow(ctx, random, lease.Value()))
					cancel()
				}
				id := lease.ID()
				lease.Release()
				lease, err = conns.Acquire(t.Context())
				if !assert.NoError(t, err) {
					return
				}
				got := stateOf(t, lease.Value())
				lease.Release()
				if !assert.Empty(t, difference(want, got), "after #%d did:\n%s", id, strings.Join(did, "\n")) {
					return
				}
			}
		})
	}
	group.Wait()
	stats := conns.Stats()
	t.Logf("%d connections for %d leases", stats.Created, stats.Released)
	assert.Less(t, stats.Created, stats.Released/2, "most connections go on")
}

func parse(t testing.TB, url string) *pgx.ConnConfig {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	return config
}

// TestReset_APlantedChangeIsFound plants what a reset would have to undo behind its back, and sees that the comparison of sessions is not blind.
func TestReset_APlantedChangeIsFound(t *testing.T) {
	url := newDatabase(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	want := stateOf(t, conn)
	assert.Empty(t, difference(want, stateOf(t, conn)))
	_, err = conn.Exec(t.Context(), "CREATE ROLE planted; SET ROLE planted")
	require.NoError(t, err)
	assert.NotEmpty(t, difference(want, stateOf(t, conn)))
	_, err = conn.Exec(t.Context(), "RESET ROLE; DROP ROLE planted")
	require.NoError(t, err)
	assert.Empty(t, difference(want, stateOf(t, conn)))
}

// TestReset_Findings leaves behind one thing of each kind.
func TestReset_Findings(t *testing.T) {
	var mu sync.Mutex
	var heard []postgres.Finding
	db := open(t, postgres.Options{Writers: 1, OnFinding: func(_ context.Context, finding postgres.Finding) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, finding)
	}})
	exec(t, db, "CREATE ROLE found_role")
	defer exec(t, db, "DROP ROLE found_role")
	exec(t, db, "CREATE FUNCTION hidden() RETURNS text LANGUAGE sql AS $$ SELECT set_config('role', 'found_role', false) $$")
	exec(t, db, "CREATE FUNCTION zone() RETURNS text LANGUAGE sql AS $$ SELECT set_config('timezone', 'Europe/Vienna', false) $$")
	exec(t, db, "CREATE TABLE t (a int)")
	use := func(do func(ctx context.Context, conn *pgx.Conn)) {
		t.Helper()
		lease, err := db.Writer().Acquire(t.Context())
		require.NoError(t, err)
		do(t.Context(), lease.Value())
		lease.Release()
	}
	run := func(sql string) func(ctx context.Context, conn *pgx.Conn) {
		return func(ctx context.Context, conn *pgx.Conn) {
			_, err := conn.Exec(ctx, sql)
			require.NoError(t, err)
		}
	}
	created := db.Stats().Writer.Created
	for _, test := range []struct {
		name string
		do   func(ctx context.Context, conn *pgx.Conn)
		want []postgres.Finding // nil: nothing
		ends bool               // the connection
	}{
		{"nothing", run("SELECT 1"), nil, false},
		{"transaction", run("BEGIN"), []postgres.Finding{{postgres.FoundTransaction, ""}}, false},
		{"failed transaction", func(ctx context.Context, conn *pgx.Conn) {
			run("BEGIN")(ctx, conn)
			_, err := conn.Exec(ctx, "SELECT 1/0")
			require.Error(t, err)
		}, []postgres.Finding{{postgres.FoundTransaction, ""}}, false},
		{"setting", run("SET work_mem = '5MB'"), []postgres.Finding{{postgres.FoundSetting, "work_mem"}}, false},
		{"setting of one's own", run("SELECT set_config('app.me', 'x', false)"), []postgres.Finding{{postgres.FoundSetting, "app.me"}}, false},
		{"setting in DO", run("DO $$ BEGIN SET work_mem = '5MB'; END $$"), []postgres.Finding{{postgres.FoundSetting, "work_mem"}}, false},
		{"setting that the server reports", run("SELECT set_config('Time' || 'Zone', 'Europe/Vienna', false)"), []postgres.Finding{{postgres.FoundSetting, "timezone"}}, false},
		{"setting and back", run("SET work_mem = '5MB'; RESET work_mem"), nil, false},
		{"setting, rolled back", run("BEGIN; SET work_mem = '5MB'; ROLLBACK"), nil, false},
		{"setting of the transaction", run("BEGIN; SET LOCAL work_mem = '5MB'; COMMIT"), nil, false},
		{"role", run("SET ROLE found_role"), []postgres.Finding{{postgres.FoundRole, "found_role"}}, false},
		{"role in a function", run("SELECT hidden()"), []postgres.Finding{{postgres.FoundRole, "found_role"}}, false},
		{"setting in a function that the server reports", run("SELECT zone()"), []postgres.Finding{{postgres.FoundSetting, "timezone"}}, false},
		{"statement that pgx caches", func(ctx context.Context, conn *pgx.Conn) {
			_, err := conn.Exec(ctx, "SELECT set_config('work_mem', $1, false)", "5MB")
			require.NoError(t, err)
		}, []postgres.Finding{{postgres.FoundSetting, "work_mem"}}, false},
		{"statement that pgx has cached", func(ctx context.Context, conn *pgx.Conn) {
			_, err := conn.Exec(ctx, "SELECT set_config('work_mem', $1, false)", "6MB")
			require.NoError(t, err)
		}, []postgres.Finding{{postgres.FoundSetting, "work_mem"}}, false},
		{"listen", run("LISTEN x"), []postgres.Finding{{postgres.FoundListen, "x"}}, false},
		{"cursor", run("DECLARE c CURSOR WITH HOLD FOR SELECT 1"), []postgres.Finding{{postgres.FoundCursor, "c"}}, false},
		{"prepared", run("PREPARE p AS SELECT 1"), []postgres.Finding{{postgres.FoundPrepared, "p"}}, false},
		{"prepared and deallocated", run("PREPARE p AS SELECT 1; DEALLOCATE p"), nil, false},
		{"temp", run("CREATE TEMP TABLE x (a int)"), []postgres.Finding{{postgres.FoundTemp, "x"}}, false},
		{"temp until COMMIT", run("BEGIN; CREATE TEMP TABLE x (a int) ON COMMIT DROP; COMMIT"), nil, false},
		{"advisory lock", run("SELECT pg_advisory_lock(7)"), []postgres.Finding{{postgres.FoundAdvisoryLock, "0 7"}}, false},
		{"much", func(ctx context.Context, conn *pgx.Conn) {
			run("SET work_mem = '5MB'; LISTEN x")(ctx, conn)
			run("BEGIN")(ctx, conn)
		}, []postgres.Finding{
			{postgres.FoundTransaction, ""}, {postgres.FoundSetting, "work_mem"}, {postgres.FoundListen, "x"}}, false},
		{"statements of pgx's go on", func(ctx context.Context, conn *pgx.Conn) {
			_, err := conn.Prepare(ctx, "one", "SELECT 1")
			require.NoError(t, err)
			run("SET work_mem = '5MB'")(ctx, conn)
		}, []postgres.Finding{{postgres.FoundSetting, "work_mem"}}, false},
		{"statements of pgx's are there", func(ctx context.Context, conn *pgx.Conn) {
			var one int
			require.NoError(t, conn.QueryRow(ctx, "one").Scan(&one))
		}, nil, false},
		{"rows", func(ctx context.Context, conn *pgx.Conn) {
			_, err := conn.Query(ctx, "SELECT generate_series(1, 100)")
			require.NoError(t, err)
		}, []postgres.Finding{{postgres.FoundRows, ""}}, true},
		{"statements", run("DEALLOCATE ALL"), []postgres.Finding{{postgres.FoundStatements, ""}}, true},
		{"all", run("DISCARD ALL"), []postgres.Finding{{postgres.FoundStatements, ""}}, true},
		{"a statement of pgx's", func(ctx context.Context, conn *pgx.Conn) {
			_, err := conn.Prepare(ctx, "two", "SELECT 2")
			require.NoError(t, err)
			run("DEALLOCATE two")(ctx, conn)
		}, []postgres.Finding{{postgres.FoundStatements, ""}}, true},
		{"lasting", run("LOAD 'auto_explain'"), []postgres.Finding{{postgres.FoundLasting, "LOAD"}}, true},
		{"slot", run("SELECT pg_create_physical_replication_slot('found', false, true)"), []postgres.Finding{{postgres.FoundLasting, "found"}}, true},
	} {
		before := db.Stats().Found
		heard = nil
		use(test.do)
		assert.Equal(t, test.want, heard, test.name)
		for _, finding := range test.want {
			before[finding.Kind]++
		}
		assert.Equal(t, before, db.Stats().Found, test.name)
		if test.ends {
			created++
		}
	}
	use(run("SELECT 1"))
	assert.Equal(t, created, db.Stats().Writer.Created, "connections are replaced only where they have to be")
}

// TestReset_DropsNotifications: what one borrower listened to must not reach the next.
func TestReset_DropsNotifications(t *testing.T) {
	db := open(t, postgres.Options{Writers: 1})
	lease, err := db.Writer().Acquire(t.Context())
	require.NoError(t, err)
	_, err = lease.Value().Exec(t.Context(), "LISTEN x; NOTIFY x; NOTIFY x, 'again'")
	require.NoError(t, err)
	lease.Release()
	lease, err = db.Writer().Acquire(t.Context())
	require.NoError(t, err)
	defer lease.Release()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	heard, err := lease.Value().WaitForNotification(over)
	assert.Nil(t, heard)
	assert.Error(t, err)
	assert.EqualValues(t, 1, db.Stats().Writer.Created)
}

// TestReset_AsksTheServerOnlyWhereItMust counts what goes to the server.
func TestReset_AsksTheServerOnlyWhereItMust(t *testing.T) {
	url := newDatabase(t)
	for _, always := range []bool{false, true} {
		count := &counting{}
		db := openURL(t, url, postgres.Options{Writers: 1, ResetAlways: always, Configure: count.configure})
		lease, err := db.Writer().Acquire(t.Context())
		require.NoError(t, err)
		_, err = lease.Value().Exec(t.Context(), "SELECT set_config('app.me', $1, true)", "x")
		require.NoError(t, err)
		before := count.writes.Load()
		lease.Release()
		if always {
			assert.EqualValues(t, 1, count.writes.Load()-before)
		} else {
			assert.Zero(t, count.writes.Load()-before)
		}
		lease, err = db.Writer().Acquire(t.Context())
		require.NoError(t, err)
		before = count.writes.Load()
		lease.Release()
		assert.Zero(t, count.writes.Load()-before, "it was not used")

		lease, err = db.Writer().Acquire(t.Context())
		require.NoError(t, err)
		_, err = lease.Value().Exec(t.Context(), "SET work_mem = '5MB'; LISTEN x; PREPARE p AS SELECT 1; BEGIN")
		require.NoError(t, err)
		before = count.writes.Load()
		lease.Release()
		assert.EqualValues(t, 1, count.writes.Load()-before, "one round trip undoes everything")
	}
}

func TestReset_OfAForeignConnection(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), newDatabase(t))
	require.NoError(t, err)
	defer conn.Close(context.Background())
	assert.ErrorContains(t, postgres.Reset(t.Context(), conn), "did not open")
}

// TestReset_Always undoes what can't be seen.
func TestReset_Always(t *testing.T) {
	url := newDatabase(t)
	for _, always := range []bool{false, true} {
		db := openURL(t, url, postgres.Options{Writers: 1, ResetAlways: always})
		exec(t, db, "CREATE OR REPLACE FUNCTION hidden() RETURNS text LANGUAGE sql AS $$ SELECT set_config('work_mem', '5MB', false) $$")
		exec(t, db, "SELECT hidden()")
		var memory string
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
			return tx.QueryRow(ctx, "SHOW work_mem").Scan(&memory)
		}))
		assert.Equal(t, map[bool]string{false: "5MB", true: "4MB"}[always], memory)
		assert.Equal(t, map[bool]uint64{false: 0, true: 1}[always], db.Stats().Found[postgres.FoundSetting])
	}
}

// TestRead_RowsLeftOpen: what was read was read, and the connection ends.
func TestRead_RowsLeftOpen(t *testing.T) {
	db := open(t, postgres.Options{Readers: 1})
	require.NoError(t, db.Read(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT generate_series(1, 1000)")
		require.True(t, rows.Next())
		return err
	}))
	assert.EqualValues(t, 1, db.Stats().Found[postgres.FoundRows])
	number(t, db, "SELECT 1")
	assert.EqualValues(t, 2, db.Stats().Readers.Created)
}
