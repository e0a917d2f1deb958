package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/postgres"
	"github.com/headpond/headpond/backends/postgres/internal/server"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// newReplicated starts a primary and a streaming replica of it.
func newReplicated(t testing.TB, settings ...string) (primary, replica *server.Server) {
	t.Helper()
	primary = newServer(t, "wal_keep_size = '64MB'", "wal_receiver_status_interval = '100ms'")
	require.NoError(t, primary.Start(t.Context()))
	replica, err := primary.Replica(t.Context(), settings...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, replica.Remove()) })
	require.NoError(t, replica.Start(t.Context()))
	return primary, replica
}

// urlOf is for both of them.
func urlOf(primary, replica *server.Server, parameters ...string) string {
	return "postgres://postgres:" + server.Password + "@" + primary.Address() + "," + replica.Address() + "/postgres?" + strings.Join(append(parameters, "sslmode=disable"), "&")
}

func openBoth(t testing.TB, primary, replica *server.Server, options postgres.Options) *postgres.DB {
	t.Helper()
	options.WatchEvery = 20 * time.Millisecond
	return openURL(t, urlOf(primary, replica), options)
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	require.Eventually(t, so, 20*time.Second, 5*time.Millisecond, what)
}

// onReplica reads where a Read does.
func onReplica(t testing.TB, db *postgres.DB) bool {
	t.Helper()
	return number(t, db, "SELECT pg_is_in_recovery()::int") == 1
}

func fit(db *postgres.DB) int {
	n := 0
	for _, s := range db.Stats().Cluster.Servers {
		if s.Fit {
			n++
		}
	}
	return n
}

func TestCluster_ReadsGoToTheReplicaAndSeeWhatWasWritten(t *testing.T) {
	primary, replica := newReplicated(t)
	db := openBoth(t, primary, replica, postgres.Options{})
	servers := db.Stats().Cluster.Servers
	require.Len(t, servers, 2)
	assert.Equal(t, []any{primary.Address(), postgres.Primary, replica.Address(), postgres.Replica}, []any{servers[0].Host, servers[0].Role, servers[1].Host, servers[1].Role})
	exec(t, db, "CREATE TABLE t (a int)")
	eventually(t, "the replica has the table", func() bool { return onReplica(t, db) })

	const rounds = 200
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for round := range rounds / 4 {
				exec(t, db, "INSERT INTO t VALUES ($1)", worker)
				if !assert.EqualValues(t, round+1, number(t, db, "SELECT count(*) FROM t WHERE a = $1", worker)) {
					return
				}
			}
		})
	}
	group.Wait()
	t.Logf("%d of %d reads right after a write went to the primary", db.Stats().Cluster.Behind, rounds)
	assert.NotZero(t, db.Stats().Readers.Acquired)
	assert.Zero(t, db.Stats().Found)
	for parameter, want := range map[string]int64{"primary": 0, "read-write": 0, "standby": 1, "read-only": 1, "prefer-standby": 1, "any": 1} {
		other := openURL(t, urlOf(primary, replica, "target_session_attrs="+parameter), postgres.Options{})
		assert.Equal(t, want, number(t, other, "SELECT pg_is_in_recovery()::int"), parameter)
		exec(t, other, "INSERT INTO t VALUES (7)")
	}
	eventually(t, "what others write comes in its time", func() bool { return number(t, db, "SELECT count(*) FROM t WHERE a = 7") == 6 })
}

func TestCluster_AReplicaThatIsBehind(t *testing.T) {
	primary, replica := newReplicated(t)
	db := openBoth(t, primary, replica, postgres.Options{MaxLag: 200 * time.Millisecond, Writers: 1})
	direct := openURL(t, replica.TCP("postgres"), postgres.Options{ReadOnly: true})
	exec(t, db, "CREATE TABLE t (a int)")
	eventually(t, "the replica has the table", func() bool { return onReplica(t, db) })
	number(t, direct, "SELECT 1 FROM (SELECT pg_wal_replay_pause()) paused")
	exec(t, db, "INSERT INTO t VALUES (1)")
	assert.EqualValues(t, 1, number(t, db, "SELECT count(*) FROM t"), "on the primary")
	assert.NotZero(t, db.Stats().Cluster.Behind)
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, _ pgx.Tx) error {
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		assert.ErrorIs(t, db.Read(ctx, func(context.Context, pgx.Tx) error { return nil }), context.DeadlineExceeded,
			"inside a Write that has the only writer, it waits for the replica")
		return nil
	}))
	eventually(t, "it is left out", func() bool { return fit(db) == 0 })
	assert.GreaterOrEqual(t, db.Stats().Cluster.Servers[1].Lag, 200*time.Millisecond)
	assert.False(t, onReplica(t, db))
	number(t, direct, "SELECT 1 FROM (SELECT pg_wal_replay_resume()) resumed")
	eventually(t, "it is back", func() bool { return fit(db) == 1 && onReplica(t, db) })
	assert.EqualValues(t, 1, number(t, db, "SELECT count(*) FROM t"))
}

func TestCluster_AConflictWithRecoveryIsRepeatedOnThePrimary(t *testing.T) {
	primary, replica := newReplicated(t, "max_standby_streaming_delay = 0")
	db := openBoth(t, primary, replica, postgres.Options{})
	exec(t, db, "CREATE TABLE t (a int)")
	exec(t, db, "INSERT INTO t SELECT generate_series(1, 1000)")
	eventually(t, "the replica has the table", func() bool { return onReplica(t, db) })
	var where []bool
	require.NoError(t, db.Read(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		var recovering bool
		var count int
		require.NoError(t, tx.QueryRow(ctx, "SELECT pg_is_in_recovery(), (SELECT count(*) FROM t)").Scan(&recovering, &count))
		where = append(where, recovering)
		if !recovering {
			return nil
		}
		admin, err := pgx.Connect(t.Context(), primary.URL("postgres"))
		require.NoError(t, err)
		defer admin.Close(context.Background())
		_, err = admin.Exec(ctx, "DELETE FROM t")
		require.NoError(t, err)
		_, err = admin.Exec(ctx, "VACUUM t")
		require.NoError(t, err)
		_, err = tx.Exec(ctx, "SELECT pg_sleep(60)")
		return err
	}))
	assert.Equal(t, []bool{true, false}, where)
	assert.EqualValues(t, 1, db.Stats().Cluster.Conflicts)
}

// TestCluster_AReplicaThatIsPausedAndKilled: those who wait for it are served by the primary.
func TestCluster_AReplicaThatIsPausedAndKilled(t *testing.T) {
	primary, replica := newReplicated(t)
	db := openBoth(t, primary, replica, postgres.Options{CancelTimeout: 100 * time.Millisecond})
	exec(t, db, "CREATE TABLE t (a int)")
	for name, end := range map[string]func() error{"paused": replica.Pause, "killed": replica.Kill} {
		t.Run(name, func(t *testing.T) {
			eventually(t, "reads are on the replica", func() bool { return fit(db) == 1 && onReplica(t, db) })
			var where []bool
			require.NoError(t, db.Read(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
				var recovering bool
				if err := tx.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&recovering); err != nil {
					return err
				}
				where = append(where, recovering)
				if len(where) == 1 {
					require.NoError(t, end())
				}
				return tx.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&recovering)
			}))
			assert.Equal(t, []bool{true, false}, where)
			assert.False(t, onReplica(t, db))
			exec(t, db, "INSERT INTO t VALUES (1)")
			eventually(t, "it is left out", func() bool { return fit(db) == 0 })
			if name == "paused" {
				require.NoError(t, replica.Continue())
			} else {
				require.NoError(t, replica.Start(t.Context()))
			}
			eventually(t, "it is back", func() bool { return fit(db) == 1 && onReplica(t, db) })
		})
	}
}

// TestCluster_APromotion: the primary is killed, the replica promoted, and the old primary comes back, not knowing of it.
func TestCluster_APromotion(t *testing.T) {
	primary, replica := newReplicated(t)
	db := openBoth(t, primary, replica, postgres.Options{})
	exec(t, db, "CREATE TABLE t (a int)")
	eventually(t, "the replica has the table", func() bool { return onReplica(t, db) })
	insert := func() error {
		return db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO t VALUES (1)")
			return err
		})
	}
	require.NoError(t, primary.Kill())
	assert.Error(t, insert())
	assert.True(t, onReplica(t, db), "reads go on")
	err := insert()
	assert.ErrorIs(t, err, postgres.ErrNoPrimary)
	assert.ErrorIs(t, err, postgres.ErrReadOnly, "of the replica")
	assert.NotContains(t, err.Error(), server.Password)

	require.NoError(t, replica.Promote(t.Context()))
	promoted := time.Now()
	for insert() != nil {
	}
	t.Logf("writes go on %v after the promotion", time.Since(promoted))
	assert.Less(t, time.Since(promoted), 20*time.Second, "the backoff, 1 s at most, on a machine that is not busy")
	before := number(t, db, "SELECT count(*) FROM t")
	require.NoError(t, primary.Start(t.Context()))
	eventually(t, "the old primary is seen", func() bool { return db.Stats().Cluster.Servers[0].Role == postgres.Primary })
	for range 20 {
		db.Readers().Evict()
		db.Writer().Evict()
		require.NoError(t, insert())
		before++
		assert.Equal(t, before, number(t, db, "SELECT count(*) FROM t"), "all goes to the new primary")
	}
	assert.Equal(t, replica.Port, portOf(t, db))

	require.NoError(t, replica.Kill())
	err = nil
	eventually(t, "the new primary is gone", func() bool { err = insert(); return err != nil && !errors.Is(err, postgres.ErrOutcomeUnknown) })
	assert.ErrorIs(t, insert(), postgres.ErrNoPrimary, "the old one must not take writes")
	assert.ErrorContains(t, insert(), "replaced by another primary")
}

func portOf(t testing.TB, db *postgres.DB) (port int) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT inet_server_port()").Scan(&port)
	}))
	return port
}

// TestCluster_APrimaryThatTurnsReadOnly, by its configuration, and back.
func TestCluster_APrimaryThatTurnsReadOnly(t *testing.T) {
	s := newServer(t)
	require.NoError(t, s.Start(t.Context()))
	for name, url := range map[string]string{"one host": s.URL("postgres"), "several": urlOf(s, s)} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, s.Configure(t.Context(), "default_transaction_read_only = off"))
			db := openURL(t, url, postgres.Options{Writers: 2})
			exec(t, db, "CREATE TABLE IF NOT EXISTS t (a int)")
			calls := 0
			write := func() error {
				return db.Write(t.Context(), func(ctx context.Context, tx pgx.Tx) error {
					calls++
					_, err := tx.Exec(ctx, "INSERT INTO t VALUES (1)")
					return err
				})
			}
			require.NoError(t, s.Configure(t.Context(), "default_transaction_read_only = on"))
			var err error
			eventually(t, "it is read-only", func() bool { err = write(); return err != nil })
			assert.ErrorIs(t, err, postgres.ErrReadOnly)
			calls = 0
			assert.ErrorIs(t, write(), postgres.ErrReadOnly)
			assert.Zero(t, calls, "it is known before the function runs")
			require.NoError(t, s.Configure(t.Context(), "default_transaction_read_only = off"))
			eventually(t, "it is no more", func() bool { return write() == nil })
		})
	}
}

func TestOpen_SeveralHosts(t *testing.T) {
	s := theServer(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent(), goleak.IgnoreTopFunction("testing.(*T).Run"))
	nobody := "127.0.0.1:1"
	db, err := postgres.Open(t.Context(), fmt.Sprintf("postgres://postgres:%s@%s,%s/postgres?sslmode=prefer", server.Password, nobody, s.Address()), postgres.Options{})
	require.NoError(t, err)
	exec(t, db, "SELECT 1")
	servers := db.Stats().Cluster.Servers
	require.Len(t, servers, 2)
	assert.Equal(t, postgres.Unknown, servers[0].Role)
	assert.Error(t, servers[0].Err)
	assert.Equal(t, "primary", servers[1].Role.String())
	require.NoError(t, db.Close(t.Context()))

	_, err = postgres.Open(t.Context(), "postgres://postgres:"+server.Password+"@"+nobody+",127.0.0.1:2/x", postgres.Options{})
	assert.ErrorIs(t, err, postgres.ErrNoPrimary)
	assert.ErrorContains(t, err, nobody)
	assert.ErrorContains(t, err, "127.0.0.1:2")
	assert.NotContains(t, err.Error(), server.Password)
	assert.NotContains(t, err.Error(), "\n")
}
