package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
)

var counters = &sqlitemigration.Schema{Migrations: []string{
	"CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER NOT NULL); INSERT INTO counter VALUES (1, 0), (2, 0)",
	"CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
}}

// open makes a DB with counters, in a file or in memory, that is closed with the test.
func open(t testing.TB, memory bool, options Options) *DB {
	t.Helper()
	options.Schema = counters
	if options.AcquireTimeout == 0 {
		options.AcquireTimeout = time.Minute // a busy machine may take longer than the default
	}
	var db *DB
	var err error
	if memory {
		db, err = OpenMemory(t.Context(), options)
	} else {
		db, err = Open(t.Context(), path(t), options)
	}
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = db.Close(ctx)
			return
		}
		require.NoError(t, db.Close(context.Background()))
	})
	return db
}

// both runs a test on a file and in memory.
func both(t *testing.T, test func(t *testing.T, memory bool)) {
	t.Run("file", func(t *testing.T) { test(t, false) })
	t.Run("memory", func(t *testing.T) { test(t, true) })
}

const increment = "UPDATE counter SET n=n+1 WHERE id=1"

func count(t testing.TB, db *DB) (n string) {
	t.Helper()
	require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) (err error) {
		n, err = first(conn, "SELECT n FROM counter WHERE id=1")
		return err
	}))
	return n
}

// 50 goroutines that read, then write, see no BUSY.
// Answers mattn/go-sqlite3#274, django/django#17760, zombiezen/go-sqlite#98, rancher/rancher#52872.
func TestWrite_AReadThenAWriteIsNeverBusy(t *testing.T) {
	both(t, func(t *testing.T, memory bool) {
		db := open(t, memory, Options{AcquireTimeout: -1})
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				for range 20 {
					assert.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
						n, err := first(conn, "SELECT n FROM counter WHERE id=1")
						if err != nil {
							return err
						}
						return run(conn, "UPDATE counter SET n="+n+"+1 WHERE id=1")
					}))
					assert.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
						_, err := first(conn, "SELECT n FROM counter WHERE id=1")
						return err
					}))
				}
			})
		}
		group.Wait()
		assert.Equal(t, "1000", count(t, db))
		assert.Equal(t, Found{}, db.Stats().Found)
	})
}

// Nesting never deadlocks, across both pools.
// Answers jackc/pgx#2499, golang/go#16873, brettwooldridge/HikariCP#442.
func TestNested_NeverDeadlocks(t *testing.T) {
	both(t, func(t *testing.T, memory bool) {
		db := open(t, memory, Options{Readers: 1})
		type call = func(ctx context.Context, use func(context.Context, *Conn) error) error
		calls := map[string]call{"Read": db.Read, "Write": db.Write}
		allowed := map[string]bool{"Read in Write": !memory}
		for outer, outerCall := range calls {
			for inner, innerCall := range calls {
				name := inner + " in " + outer
				began := time.Now()
				var kept context.Context
				require.NoError(t, outerCall(t.Context(), func(ctx context.Context, _ *Conn) error {
					kept = ctx
					err := innerCall(ctx, func(context.Context, *Conn) error { return nil })
					if allowed[name] {
						assert.NoError(t, err, name)
					} else {
						assert.ErrorIs(t, err, pool.ErrNested, name)
						assert.ErrorAs(t, err, new(*pool.Error), name)
					}
					return nil
				}))
				assert.Less(t, time.Since(began), 30*time.Second, "%s: half of AcquireTimeout", name)
				assert.NoError(t, innerCall(kept, func(context.Context, *Conn) error { return nil }), "the outer one is over")
			}
		}
	})
}

// One FIFO writer; a write on a reader fails at once.
// Answers rails/rails#51958, launchbadge/sqlx#459, pocketbase/pocketbase#1187.
func TestRead_AWriteFailsAtOnce(t *testing.T) {
	both(t, func(t *testing.T, memory bool) {
		db := open(t, memory, Options{})
		err := db.Read(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, increment) })
		assert.Equal(t, sqlite.ResultReadOnly, sqlite.ErrCode(err))
		assert.ErrorContains(t, err, "use Write")
		assert.Equal(t, "0", count(t, db))
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, increment) }))
		assert.Equal(t, "1", count(t, db))
	})
}

// In memory Read has the one connection, which can write: nor does it if the function undoes what forbids that.
func TestRead_InMemoryCommitsNothing(t *testing.T) {
	for _, script := range []string{
		"PRAGMA query_only=0; " + increment,
		"PRAGMA query_only=0; " + increment + "; COMMIT",
		"COMMIT; PRAGMA query_only=0; " + increment,
	} {
		db := open(t, true, Options{})
		err := db.Read(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, script) })
		assert.ErrorContains(t, err, "in Read, which does not write: use Write", script)
		assert.Equal(t, "0", count(t, db))
		require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "COMMIT; BEGIN; SELECT * FROM counter") }))
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, increment) }))
		assert.Equal(t, "1", count(t, db))
	}
}

// Answers rails/rails#51958, launchbadge/sqlx#459, pocketbase/pocketbase#1187.
func TestWrite_WritersComeInTheirOrder(t *testing.T) {
	db := open(t, false, Options{})
	withoutRuns(db) // one would wait for its turn as well
	var mu sync.Mutex
	var order []int
	var group sync.WaitGroup
	require.NoError(t, db.Write(t.Context(), func(context.Context, *Conn) error {
		for i := range 20 {
			group.Go(func() {
				assert.NoError(t, db.Write(t.Context(), func(context.Context, *Conn) error {
					mu.Lock()
					order = append(order, i)
					mu.Unlock()
					return nil
				}))
			})
			for db.Stats().Writer.Waiting != i+1 {
				runtime.Gosched()
			}
		}
		return nil
	}))
	group.Wait()
	for i, got := range order {
		require.Equal(t, i, got)
	}
}

func TestReadSeesOneSnapshot(t *testing.T) {
	db := open(t, false, Options{})
	require.NoError(t, db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		assert.Equal(t, "0", get(t, conn, "SELECT n FROM counter WHERE id=1"))
		done := make(chan error)
		go func() {
			done <- db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, increment) })
		}()
		require.NoError(t, <-done)
		assert.Equal(t, "0", get(t, conn, "SELECT n FROM counter WHERE id=1"))
		return nil
	}))
	assert.Equal(t, "1", count(t, db))
}

func TestWriteRollsBack(t *testing.T) {
	both(t, func(t *testing.T, memory bool) {
		db := open(t, memory, Options{})
		mine := errors.New("mine")
		err := db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
			do(t, conn, increment)
			return mine
		})
		assert.Equal(t, mine, err, "as it is")
		assert.PanicsWithValue(t, "mine", func() {
			_ = db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
				do(t, conn, increment)
				panic("mine")
			})
		})
		exited := make(chan struct{})
		go func() {
			defer close(exited)
			_ = db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
				do(t, conn, increment)
				runtime.Goexit()
				return nil
			})
		}()
		<-exited
		assert.Equal(t, "0", count(t, db))
		err = db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "INSERT INTO child VALUES (7)") })
		assert.Equal(t, sqlite.ResultConstraintForeignKey, sqlite.ErrCode(err), "a deferred key, at COMMIT")
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, increment) }))
		assert.Equal(t, "1", count(t, db))
	})
}

// If the transaction is lost inside, Write says so, and nothing autocommits behind the caller.
// Answers mattn/go-sqlite3#769, mattn/go-sqlite3#681, superseriousbusiness/gotosocial#2731.
func TestWrite_NothingAutocommitsBehindTheCaller(t *testing.T) {
	cancelled := func(text string) func(*testing.T, context.CancelFunc, *Conn) {
		return func(t *testing.T, cancel context.CancelFunc, conn *Conn) {
			timer := time.AfterFunc(20*time.Millisecond, cancel)
			defer timer.Stop()
			assert.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(run(conn, text)))
		}
	}
	script := func(text string) func(*testing.T, context.CancelFunc, *Conn) {
		return func(t *testing.T, _ context.CancelFunc, conn *Conn) { _ = run(conn, text) }
	}
	for name, lose := range map[string]func(*testing.T, context.CancelFunc, *Conn){
		"ROLLBACK":               script("ROLLBACK"),
		"ROLLBACK and BEGIN":     script("ROLLBACK; BEGIN"),
		"ROLLBACK and IMMEDIATE": script("ROLLBACK; BEGIN IMMEDIATE"),
		"COMMIT":                 script("COMMIT"),
		"END and BEGIN":          func(_ *testing.T, _ context.CancelFunc, conn *Conn) { _ = run(conn, "END"); _ = run(conn, "BEGIN") },
		"OR ROLLBACK":            script("INSERT OR ROLLBACK INTO counter VALUES (1, 9)"),
		"RAISE(ROLLBACK)":        script("CREATE TRIGGER r AFTER INSERT ON parent BEGIN SELECT RAISE(ROLLBACK, 'no'); END; INSERT INTO parent VALUES (1)"),
		"an interrupted write":   cancelled("INSERT INTO parent(id) " + forever),
		"an interrupted query":   cancelled(forever),
		"a cached COMMIT": func(_ *testing.T, _ context.CancelFunc, conn *Conn) {
			for range 2 {
				_, _ = conn.Prep("COMMIT").Step()
			}
		},
		"a write in the middle of its rows": func(t *testing.T, _ context.CancelFunc, conn *Conn) {
			_ = run(conn, "ROLLBACK")
			_ = stepOnce(conn, true, "INSERT INTO parent VALUES (5), (6) RETURNING id")
		},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, memory bool) {
				db := open(t, memory, Options{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				err := db.Write(ctx, func(_ context.Context, conn *Conn) error {
					do(t, conn, increment)
					lose(t, cancel, conn)
					_ = run(conn, increment)
					_ = run(conn, "INSERT INTO parent VALUES (3)")
					return nil // noticed nothing
				})
				require.Error(t, err)
				if ctx.Err() != nil {
					assert.ErrorIs(t, err, context.Canceled)
				} else {
					assert.ErrorIs(t, err, ErrRolledBack)
				}
				assert.Equal(t, "0", count(t, db))
				require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
					assert.Equal(t, "0", get(t, conn, "SELECT count(*) FROM parent"))
					return run(conn, increment)
				}))
				assert.Equal(t, "1", count(t, db))
			})
		})
	}
}

func TestACommitThatIsReturnedSaysWhy(t *testing.T) {
	db := open(t, false, Options{})
	err := db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		do(t, conn, increment)
		return run(conn, "COMMIT")
	})
	assert.ErrorIs(t, err, ErrRolledBack)
	assert.ErrorContains(t, err, "for Write to commit")
	assert.Equal(t, sqlite.ResultConstraintCommitHook, sqlite.ErrCode(err))
}

func TestAStatementLeftOpenDoesNotFailTheCommit(t *testing.T) {
	db := open(t, false, Options{})
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return stepOnce(conn, true, "UPDATE counter SET n=n+1 RETURNING n")
	}))
	assert.Equal(t, "1", count(t, db))
	assert.EqualValues(t, 1, db.Stats().Found[FoundStatement])
}

// Write waits for another process's lock as long as its ctx and BusyTimeout allow.
// Answers mattn/go-sqlite3#863, elixir-sqlite/exqlite#343.
func TestWrite_WaitsForAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, false, Options{})
		stranger := construct(t, db.database.path, Writer, Options{})
		do(t, stranger.conn, "BEGIN IMMEDIATE")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		err := db.Write(ctx, func(context.Context, *Conn) error { return nil })
		assert.Equal(t, 50*time.Millisecond, time.Since(began))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, sqlite.ResultBusy, sqlite.ErrCode(err).ToPrimary())
		assert.NoError(t, db.Read(t.Context(), func(context.Context, *Conn) error { return nil }), "readers wait for nobody")

		done := make(chan error)
		go func() { done <- db.Write(t.Context(), func(context.Context, *Conn) error { return nil }) }()
		<-time.After(time.Second)
		do(t, stranger.conn, "COMMIT")
		require.NoError(t, <-done)
	})
}

// A database that a connection finds broken is retired from both pools.
func TestEvict_BothPoolsRetire(t *testing.T) {
	db := open(t, false, Options{})
	withoutRuns(db) // one would open the writer again
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		return run(conn, "CREATE TABLE big (x); INSERT INTO big SELECT zeroblob(4000) FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT 50) SELECT n FROM c)")
	}))
	lease, err := db.Writer().Acquire(t.Context())
	require.NoError(t, err)
	do(t, lease.Value(), "PRAGMA wal_checkpoint(TRUNCATE)")
	lease.Release()
	breakFile(t, db.database.path)
	err = db.Read(t.Context(), func(_ context.Context, conn *Conn) error {
		_, err := first(conn, "SELECT sum(length(x)) FROM big")
		return err
	})
	require.Equal(t, sqlite.ResultCorrupt, sqlite.ErrCode(err).ToPrimary())
	for db.Stats().Readers.Live()+db.Stats().Writer.Live() > 0 {
		runtime.Gosched() // destroyed in the background
	}
}

func TestReadOnlyDatabase(t *testing.T) {
	file := path(t)
	_, err := Open(t.Context(), file, Options{ReadOnly: true})
	require.ErrorIs(t, err, ErrNoFile)
	writer, err := Open(t.Context(), file, Options{Schema: counters})
	require.NoError(t, err)
	require.NoError(t, writer.Close(t.Context()))
	assert.Equal(t, []string{"app.db"}, files(t, file), "the last close leaves one file")

	db, err := Open(t.Context(), file, Options{ReadOnly: true})
	require.NoError(t, err)
	assert.Equal(t, "0", count(t, db))
	assert.ErrorIs(t, db.Write(t.Context(), func(context.Context, *Conn) error { return nil }), ErrReadOnly)
	assert.Nil(t, db.Writer())
	assert.Zero(t, db.Stats().Writer)
	require.NoError(t, db.Close(t.Context()))
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for want, options := range map[string]Options{
		"Options.Readers is -1":    {Readers: -1},
		"Options.MaxWaiters is -1": {MaxWaiters: -1},
		"migrate: ":                {Schema: &sqlitemigration.Schema{Migrations: []string{"nonsense"}}},
	} {
		file := path(t)
		_, err := Open(t.Context(), file, options)
		assert.ErrorContains(t, err, want)
		assert.Empty(t, files(t, file))
		_, err = OpenMemory(t.Context(), options)
		assert.ErrorContains(t, err, want)
	}
	_, err := OpenMemory(t.Context(), Options{ReadOnly: true})
	assert.ErrorContains(t, err, "Options.ReadOnly")
	file := path(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Open(ctx, file, Options{})
	assert.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, files(t, file))
	assert.Zero(t, descriptors(t, filepath.Dir(file)))
}

// An Open whose ctx ends while it makes the file leaves nothing open when it returns, and no goroutine that is about to close something.
func TestAnOpenThatIsCancelledLeavesNothingOpen(t *testing.T) {
	for range 50 {
		file := path(t)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Open(ctx, file, Options{Setup: func(context.Context, *Conn) error { cancel(); return nil }})
		require.Zero(t, descriptors(t, filepath.Dir(file)))
		require.ErrorIs(t, err, context.Canceled)
		require.Empty(t, files(t, file))
	}
}

// An Open that does not return, for a function of Options that panics or exits, leaves nothing open: the observer is told of each pool's end.
func TestAnOpenThatPanicsLeavesNothingOpen(t *testing.T) {
	for ending, end := range map[string]func(){"panic": func() { panic("in Open") }, "runtime.Goexit": runtime.Goexit} {
		for hook, options := range map[string]Options{
			"Setup":    {Setup: func(context.Context, *Conn) error { end(); return nil }},
			"Restore":  {Restore: func(context.Context, string) error { end(); return nil }},
			"Baseline": {Schema: counters, Baseline: func(context.Context, *Conn) (int, error) { end(); return 0, nil }},
			"Observer": {}, // the second time
		} {
			both(t, func(t *testing.T, memory bool) {
				if memory && hook != "Setup" {
					return // it is not called, or not again
				}
				file := path(t)
				if hook == "Baseline" {
					db, err := Open(t.Context(), file, Options{})
					require.NoError(t, err)
					require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, "CREATE TABLE t (x)") }))
					require.NoError(t, db.Close(t.Context()))
				}
				attached, pools := 0, 0
				options.Observer = func(pool.Inspector) pool.Tap {
					if pools++; hook == "Observer" && pools == 2 {
						end()
					}
					attached++
					return pool.Tap{Detach: func() { attached-- }}
				}
				var all sync.WaitGroup
				all.Go(func() {
					defer func() { _ = recover() }()
					if memory {
						_, _ = OpenMemory(context.Background(), options)
					} else {
						_, _ = Open(context.Background(), file, options)
					}
					t.Error("Open has returned")
				})
				all.Wait()
				assert.NotZero(t, pools)
				assert.Zero(t, attached, "%s, %s", hook, ending)
				assert.Zero(t, descriptors(t, filepath.Dir(file)))
			})
		}
	}
}

func TestMigrationThatTaints(t *testing.T) {
	db, err := Open(t.Context(), path(t), Options{Schema: &sqlitemigration.Schema{
		Migrations:       []string{"CREATE TABLE t (x); CREATE TEMP TABLE u (x)"},
		MigrationOptions: []*sqlitemigration.MigrationOptions{{DisableForeignKeys: true}},
	}})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error {
		assert.Equal(t, "1", get(t, conn, "PRAGMA foreign_keys"))
		assert.Error(t, run(conn, "SELECT * FROM u"))
		return nil
	}))
	assert.Equal(t, Found{}, db.Stats().Found)
	require.NoError(t, db.Close(t.Context()))
}

// In-memory pools never split in as many databases, and no two share one.
// Answers zombiezen/go-sqlite#92, mattn/go-sqlite3#204, ncruces/go-sqlite3#156.
func TestOpenMemory_IsOneDatabase(t *testing.T) {
	options := Options{}
	options.WriterPolicy.MaxUses = 1
	db, other := open(t, true, options), open(t, true, Options{})
	for i := range 20 {
		require.NoError(t, db.Write(t.Context(), func(_ context.Context, conn *Conn) error { return run(conn, increment) }))
		require.Equal(t, fmt.Sprint(i+1), count(t, db), "it outlives its connections")
	}
	db.Readers().Evict()
	assert.Equal(t, "20", count(t, db))
	assert.Equal(t, "0", count(t, other))
	assert.Same(t, db.Readers(), db.Writer())
}

func TestPoolsHaveNames(t *testing.T) {
	db := open(t, false, Options{})
	assert.Equal(t, "app.readers", db.Readers().Name())
	assert.Equal(t, "app.writer", db.Writer().Name())
	assert.Equal(t, "orders.writer", open(t, false, Options{Name: "orders"}).Writer().Name())
	assert.Equal(t, "memory", open(t, true, Options{}).Writer().Name())
}

// A release that finds something tells who was careless: the stack is that of the releasing goroutine.
func TestFindingsAreCountedAndTold(t *testing.T) {
	var told []Finding
	var stack string
	db := open(t, false, Options{OnFinding: func(_ context.Context, finding Finding) {
		told = append(told, finding)
		buffer := make([]byte, 1<<16)
		stack = string(buffer[:runtime.Stack(buffer, false)])
	}})
	lease, err := db.Readers().Acquire(t.Context())
	require.NoError(t, err)
	do(t, lease.Value(), "PRAGMA cache_size=3")
	carelessRelease(lease)
	assert.Equal(t, []Finding{{FoundPragma, Reader, "cache_size"}}, told)
	assert.Contains(t, stack, "carelessRelease")
	assert.EqualValues(t, 1, db.Stats().Found[FoundPragma])
	var figure float64
	for _, f := range db.Readers().Figures() {
		if f.Name == "headpond.sqlite.findings" && f.Labels[0].Value == "pragma" {
			figure = f.Value
		}
	}
	assert.EqualValues(t, 1, figure)
}

//go:noinline
func carelessRelease(lease pool.Lease[*Conn]) { lease.Release() }
