package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

// newPool makes a Pool on a new file with a counter, that is closed with the test.
func newPool(t testing.TB, options Options) *Pool {
	t.Helper()
	p, err := NewPool(path(t), options)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		broken := t.Failed() || t.Skipped()
		if broken {
			cancel() // do not wait for what the test did not put back
		}
		err := p.CloseContext(ctx)
		if unfinalized := new(UnfinalizedError); !broken && !errors.As(err, &unfinalized) {
			require.NoError(t, err)
		}
	})
	conn := take(t, p)
	do(t, conn, "CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER NOT NULL); INSERT INTO counter VALUES (1, 0)")
	p.Put(conn)
	return p
}

func take(t testing.TB, p *Pool) *Conn {
	t.Helper()
	conn, err := p.Take(t.Context())
	require.NoError(t, err)
	return conn
}

// noneLeft asserts that no goroutine is left but those of before. One that is about to end has time to do so.
func noneLeft(t *testing.T, before goleak.Option) {
	t.Helper()
	var err error
	for range 25 { // of 0.4 s
		if err = goleak.Find(before); err == nil {
			return
		}
	}
	assert.NoError(t, err)
}

func TestNewPoolDoesNoIO(t *testing.T) {
	before := goleak.IgnoreCurrent()
	file := path(t)
	p, err := NewPool(file, Options{})
	require.NoError(t, err)
	assert.Empty(t, files(t, file))
	noneLeft(t, before)
	require.NoError(t, p.Close())
	assert.Empty(t, files(t, file))

	p, err = NewPool(filepath.Join(t.TempDir(), "missing", "app.db"), Options{})
	require.NoError(t, err, "to look there would be I/O")
	_, err = p.Take(t.Context())
	assert.ErrorIs(t, err, ErrNoDirectory)
	assert.ErrorIs(t, err, fs.ErrNotExist)
	var failed *OpenError
	assert.ErrorAs(t, err, &failed)
	require.NoError(t, p.Close())
}

func TestNewPoolNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		path    string
		options Options
		want    string
	}{
		{"", Options{}, "the path is empty"},
		{":memory:", Options{ReadOnly: true}, "Options.ReadOnly is true"},
		{"file::memory:?mode=ro", Options{}, "Options.ReadOnly is true"},
		{"file:", Options{}, "the path is empty"},
		{"file:app.db", Options{Flags: sqlite.OpenReadWrite}, "URIs are not interpreted"},
		{"file:app.db?mode=rx", Options{}, `its parameter mode is "rx": NewPool does not know that`},
		{"file:app.db?immutable=1", Options{}, `its parameter immutable is "1": NewPool does not know that`},
		{"file:app.db?cache=none", Options{}, `its parameter cache is "none"`},
		{"file:app.db?vfs=unix-none", Options{}, `its parameter vfs is "unix-none"`},
		{"file://server/app.db", Options{}, `its authority is "server"`},
		{"file:%zz.db", Options{}, `invalid URL escape "%zz"`},
		{"file:app.db?mode=rw", Options{Flags: sqlite.OpenReadOnly | sqlite.OpenURI}, "its parameter mode is rw, and Options.Flags has OpenReadOnly"},
		{"app.db", Options{Flags: sqlite.OpenCreate}, "it must have either OpenReadOnly or OpenReadWrite"},
		{"app.db", Options{Flags: sqlite.OpenReadOnly | sqlite.OpenReadWrite}, "it must have either OpenReadOnly or OpenReadWrite"},
		{"app.db", Options{Flags: sqlite.OpenReadOnly | sqlite.OpenCreate}, "Options.Flags has OpenCreate: that needs OpenReadWrite"},
		{"app.db", Options{Flags: sqlite.OpenReadWrite | 1<<28}, "Options.Flags has 0x10000000: NewPool does not know it"},
		{"app.db", Options{Readers: -1}, "Options.Readers is -1"},
		{"app.db", Options{MaxWaiters: -1}, "Options.MaxWaiters is -1"},
		{"app.db", Options{ReadOnly: true, Schema: &sqlitemigration.Schema{}}, "Options.Schema is set: it must be nil with ReadOnly"},
		{"app.db", Options{Pragmas: []Pragma{{Name: "busy_timeout", Value: "1"}}}, "set Options.BusyTimeout instead"},
		{"app.db", Options{WriterPolicy: resource.Policy{MaxUses: -1}}, "Options.Policy.MaxUses is -1"},
		{"app.db", Options{ReadOnly: true, ReaderPolicy: resource.Policy{MaxUses: -1}}, "Options.Policy.MaxUses is -1"},
	} {
		p, err := NewPool(c.path, c.options)
		assert.ErrorContains(t, err, c.want, "%q", c.path)
		assert.Nil(t, p)
	}
	for _, options := range []Options{{Flags: sqlite.OpenReadWrite}, {Flags: sqlite.OpenReadOnly}} {
		const want = "it is for NewPool; set ReadOnly, or call OpenMemory"
		_, err := Open(t.Context(), path(t), options)
		assert.ErrorContains(t, err, want)
		_, err = OpenMemory(t.Context(), options)
		assert.ErrorContains(t, err, want)
		_, err = Hooks(path(t), Writer, options).Construct(t.Context())
		assert.ErrorContains(t, err, want)
	}
}

func TestNewPoolDefaults(t *testing.T) {
	p, err := NewPool("orders.db", Options{})
	require.NoError(t, err)
	assert.Equal(t, "orders", p.Conns().Name())
	assert.Equal(t, 5, p.Conns().Options().MaxSize)
	assert.Equal(t, 5*time.Second, p.Conns().Options().AcquireTimeout)
	assert.Equal(t, 30*time.Second, p.database.options.BusyTimeout)

	p, err = NewPool("orders.db", Options{
		Name: "o", Readers: 2, AcquireTimeout: -1, BusyTimeout: time.Second,
		MaxWaiters: 3, MaintainEvery: time.Minute, LeakAfter: time.Hour, WriterPolicy: resource.Policy{MaxUses: 7},
	})
	require.NoError(t, err)
	options := p.Conns().Options()
	assert.Equal(t, "o", options.Name)
	assert.Equal(t, 2, options.MaxSize)
	assert.EqualValues(t, -1, options.AcquireTimeout)
	assert.Equal(t, time.Second, p.database.options.BusyTimeout)
	assert.Equal(t, 3, options.MaxWaiters)
	assert.Equal(t, time.Minute, options.MaintainEvery)
	assert.Equal(t, time.Hour, options.LeakAfter)
	assert.Equal(t, 7, options.Policy.MaxUses)
}

func TestPoolReadOnly(t *testing.T) {
	p := newPool(t, Options{})
	readers, err := NewPool(p.database.path, Options{ReadOnly: true})
	require.NoError(t, err)
	conn := take(t, readers)
	assert.Equal(t, "0", get(t, conn, "SELECT n FROM counter"))
	assert.Equal(t, sqlite.ResultReadOnly, sqlite.ErrCode(run(conn, increment)).ToPrimary())
	readers.Put(conn)
	require.NoError(t, readers.Close())

	missing, err := NewPool(path(t), Options{ReadOnly: true})
	require.NoError(t, err)
	_, err = missing.Take(t.Context())
	assert.ErrorIs(t, err, ErrNoFile)
	require.NoError(t, missing.Close())
}

// The end of its ctx interrupts a query, a wait for a lock, and a wait for a connection.
// Answers mattn/go-sqlite3#863, elixir-sqlite/exqlite#343.
func TestTake_HearsCancel(t *testing.T) {
	p := newPool(t, Options{Readers: 2, AcquireTimeout: -1})
	holder := take(t, p)
	do(t, holder, "BEGIN IMMEDIATE")
	p.Put(take(t, p)) // opened
	for _, sql := range []string{forever, "BEGIN IMMEDIATE"} {
		ends(t, 20*time.Millisecond, func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			conn, err := p.Take(ctx)
			require.NoError(t, err)
			defer p.Put(conn)
			defer time.AfterFunc(20*time.Millisecond, cancel).Stop()
			_, err = first(conn, sql)
			assert.Error(t, err)
		})
	}
	other := take(t, p)
	ends(t, 20*time.Millisecond, func() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := p.Take(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
	p.Put(other)
	p.Put(holder)
	conn := take(t, p)
	do(t, conn, increment)
	p.Put(conn)
	assert.EqualValues(t, 0, p.Stats().Destroyed[resource.ResetFailed])
}

// A caller that finds all connections taken learns what to do, and of the holders.
// Answers jackc/pgx#1974, brettwooldridge/HikariCP#808, npgsql/npgsql#5276.
func TestTake_SaysWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Options{Readers: 1, LeakAfter: time.Hour})
		conn := take(t, p)
		_, err := p.Take(t.Context())
		assert.ErrorIs(t, err, pool.ErrAcquireTimeout)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "pool_test.go:")
		assert.ErrorContains(t, err, "or raise Options.Readers (each Take needs a Put)")
		var full *pool.Error
		require.ErrorAs(t, err, &full)
		assert.Equal(t, 1, full.Stats.Held)
		require.Len(t, full.Holders, 1)
		assert.Equal(t, p.Conns().Holders()[0].ID, full.Holders[0].ID)
		p.Put(conn)
		assert.EqualValues(t, 1, p.Stats().TimedOut)
	})
}

func TestPutIgnoresWhatItDidNotLend(t *testing.T) {
	p, other := newPool(t, Options{}), newPool(t, Options{})
	p.Put(nil)
	assert.Zero(t, p.Stats().IgnoredPuts)

	foreign, err := sqlite.OpenConn(filepath.Join(t.TempDir(), "foreign.db"))
	require.NoError(t, err)
	p.Put(foreign)
	do(t, foreign, "CREATE TABLE t (a)")
	require.NoError(t, foreign.Close(), "it is its owner's")
	p.Put(foreign)
	p.Put(new(sqlite.Conn))

	theirs := take(t, other)
	p.Put(theirs)
	do(t, theirs, increment)
	other.Put(theirs)

	lease, err := p.Conns().Acquire(t.Context())
	require.NoError(t, err)
	p.Put(lease.Value())
	do(t, lease.Value(), increment)
	lease.Release()

	twice := take(t, p)
	p.Put(twice)
	p.Put(twice)
	assert.Same(t, twice, take(t, p))
	p.Put(twice)

	assert.EqualValues(t, 6, p.Stats().IgnoredPuts)
	assert.Contains(t, p.Conns().Figures(), counter("puts.ignored", "{put}", "Calls of Put with a connection that was not taken out.", 6))
	assert.Zero(t, other.Stats().IgnoredPuts)
	assert.Equal(t, Found{}, p.Stats().Found)
	assert.Equal(t, 1, p.Stats().Idle)
}

// A connection that many put at the same time came back once.
// Answers jackc/pgx#2564, mattn/go-sqlite3#445.
func TestPut_OneCounts(t *testing.T) {
	p := newPool(t, Options{})
	before := p.Stats().Released
	for range 100 {
		conn := take(t, p)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() { p.Put(conn) })
		}
		group.Wait()
	}
	assert.EqualValues(t, before+100, p.Stats().Released)
	assert.EqualValues(t, 700, p.Stats().IgnoredPuts)
	assert.Equal(t, 1, p.Stats().Idle)
}

// Put never panics, whatever was done to the connection, and the next borrower finds it at its baseline.
// Answers zombiezen/go-sqlite#72.
func TestPut_NeverPanics(t *testing.T) {
	for name, careless := range map[string]func(conn *Conn){
		"closed":                func(conn *Conn) { _ = conn.Close() },
		"closed by the package": func(conn *Conn) { _ = Close(conn) },
		"in a transaction":      func(conn *Conn) { _ = run(conn, "BEGIN IMMEDIATE; "+increment) },
		"in the middle of rows": func(conn *Conn) { _ = stepOnce(conn, true, "SELECT 1 UNION ALL SELECT 2") },
		"with a leaked write":   func(conn *Conn) { _ = stepOnce(conn, false, "INSERT INTO counter VALUES (2, 0), (3, 0) RETURNING id") },
		"with a pragma":         func(conn *Conn) { _ = run(conn, "PRAGMA foreign_keys=off") },
		"with a temp table":     func(conn *Conn) { _ = run(conn, "CREATE TEMP TABLE counter (n)") },
		"interrupted": func(conn *Conn) {
			gone := make(chan struct{})
			close(gone)
			conn.SetInterrupt(gone)
		},
		"panicked": func(conn *Conn) {
			_ = sqlitex.ExecuteTransient(conn, "SELECT 1", &sqlitex.ExecOptions{ResultFunc: func(*sqlite.Stmt) error { panic("in the middle") }})
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, Options{Readers: 1})
			func() {
				defer func() { _ = recover() }()
				conn := take(t, p)
				defer func() { assert.NotPanics(t, func() { p.Put(conn) }) }()
				careless(conn)
			}()
			conn := take(t, p)
			assert.Equal(t, "1", get(t, conn, "PRAGMA foreign_keys"))
			assert.Equal(t, "0", get(t, conn, "SELECT sum(n) FROM main.counter"))
			do(t, conn, "BEGIN IMMEDIATE; "+increment+"; COMMIT")
			p.Put(conn)
		})
	}
}

// After a storm of cancelled Takes nothing is out, and never more than Readers were open.
// Answers ClickHouse/clickhouse-go#1759, djc/bb8#59, launchbadge/sqlx#3513.
func TestTake_ManyAreCancelled(t *testing.T) {
	p := newPool(t, Options{AcquireTimeout: -1})
	var held, most atomic.Int64
	var group sync.WaitGroup
	for worker := range 64 {
		group.Go(func() {
			for round := range 30 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(worker*round%7)*time.Millisecond)
				conn, err := p.Take(ctx)
				if err != nil {
					assert.ErrorIs(t, err, context.DeadlineExceeded)
					cancel()
					continue
				}
				now := held.Add(1)
				for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
				}
				_, err = first(conn, "SELECT n FROM counter")
				if err != nil {
					assert.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(err))
				}
				held.Add(-1)
				p.Put(conn)
				cancel()
			}
		})
	}
	group.Wait()
	stats := p.Stats()
	assert.LessOrEqual(t, most.Load(), int64(5))
	assert.Zero(t, stats.Held)
	assert.LessOrEqual(t, stats.Live(), 5)
	assert.Empty(t, p.taken)
}

// 64 writers on 5 connections, which wait for each other: none is told that the database is locked.
func TestPoolIsNeverLocked(t *testing.T) {
	p := newPool(t, Options{AcquireTimeout: -1, BusyTimeout: time.Hour}) // which end on a machine that is slow
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			for range 10 {
				conn, err := p.Take(t.Context())
				if !assert.NoError(t, err) {
					return
				}
				func() {
					defer p.Put(conn)
					end, err := sqlitex.ImmediateTransaction(conn)
					if !assert.NoError(t, err) {
						return
					}
					defer func() { assert.NoError(t, err) }()
					defer end(&err)
					n, err := first(conn, "SELECT n FROM counter WHERE id=1")
					if err == nil {
						err = run(conn, "UPDATE counter SET n="+n+"+1 WHERE id=1")
					}
				}()
			}
		})
	}
	group.Wait()
	conn := take(t, p)
	assert.Equal(t, "640", get(t, conn, "SELECT n FROM counter WHERE id=1"))
	p.Put(conn)
	assert.Equal(t, Found{}, p.Stats().Found)
}

// Whichever connection is the last to be closed takes the log away, also of databases that close at the same moment.
func TestTheLastConnectionTakesTheLogAway(t *testing.T) {
	file := path(t)
	for range 50 {
		var opened []*Pool
		for range 4 {
			p, err := NewPool(file, Options{})
			require.NoError(t, err)
			a, b := take(t, p), take(t, p)
			do(t, a, "CREATE TABLE IF NOT EXISTS t (n); INSERT INTO t VALUES (1)")
			p.Put(a)
			p.Put(b)
			opened = append(opened, p)
		}
		var group sync.WaitGroup
		together := make(chan struct{})
		for _, p := range opened {
			group.Go(func() {
				<-together
				assert.NoError(t, p.Close())
			})
		}
		close(together)
		group.Wait()
		require.Equal(t, []string{"app.db"}, files(t, file))
	}
}

// A close that hangs, as on a disk that does, holds up no close of another file, and nothing is kept of a file that has closed.
func TestClosings_AreEachFilesOwn(t *testing.T) {
	turns := turns{files: map[string]*turn{}}
	leave := turns.enter("hangs")
	for n := range 1000 {
		turns.enter(strconv.Itoa(n))()
	}
	file := turns.files["hangs"]
	assert.Len(t, turns.files, 1)
	assert.False(t, file.mu.TryLock(), "it is the one that hangs that has the turn")
	second := make(chan struct{})
	go func() {
		turns.enter("hangs")()
		close(second)
	}()
	for users := 1; users < 2; runtime.Gosched() {
		turns.mu.Lock()
		users = file.users
		turns.mu.Unlock()
	}
	leave()
	<-second
	assert.Empty(t, turns.files)
}

func TestPoolCloseLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	p := newPool(t, Options{})
	a, b := take(t, p), take(t, p)
	do(t, a, increment)
	p.Put(a)
	p.Put(b)
	require.NoError(t, p.Close())
	require.NoError(t, p.Close(), "again")
	noneLeft(t, before)
	assert.Zero(t, descriptors(t, p.database.path))
	assert.Equal(t, []string{"app.db"}, files(t, p.database.path))
	assert.Empty(t, p.database.live)
	_, err := p.Take(t.Context())
	assert.ErrorIs(t, err, pool.ErrClosed)
	p.Put(a)
}

// Close interrupts what runs, wakes who waits, and comes back when the connections were put back.
func TestPoolCloseInterrupts(t *testing.T) {
	p := newPool(t, Options{Readers: 2, AcquireTimeout: -1})
	var group sync.WaitGroup
	for range 2 {
		conn := take(t, p)
		failed := runForever(conn)
		group.Go(func() {
			defer p.Put(conn)
			assert.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(<-failed))
		})
	}
	group.Go(func() {
		_, err := p.Take(t.Context())
		assert.ErrorIs(t, err, pool.ErrClosed)
	})
	began := time.Now()
	require.NoError(t, p.Close())
	assert.Less(t, time.Since(began), closeLimit/2)
	group.Wait()
	assert.Zero(t, descriptors(t, p.database.path))
}

// A Take that got its connection just before Close interrupts what is out does not slip through.
func TestPoolCloseWhileTaking(t *testing.T) {
	var slow atomic.Bool
	preparing, interrupted := make(chan struct{}), make(chan struct{})
	p := newPool(t, Options{Observer: func(pool.Inspector) pool.Tap {
		return pool.Tap{Begin: func(ctx context.Context, event pool.Event) context.Context {
			if event.Op == pool.Prepare && slow.Load() {
				close(preparing)
				<-interrupted
			}
			return ctx
		}}
	}})
	slow.Store(true)
	var group sync.WaitGroup
	group.Go(func() {
		_, err := p.Take(t.Context())
		assert.ErrorIs(t, err, pool.ErrClosed)
	})
	<-preparing
	group.Go(func() { assert.NoError(t, p.Close()) })
	require.Len(t, p.database.live, 1)
	for s := range p.database.live {
		<-s.interrupter.Load().done
	}
	close(interrupted)
	group.Wait()
	assert.Zero(t, p.Stats().Live())
}

// Close of a pool whose connections were forgotten comes back, and names who forgot.
// Answers launchbadge/sqlx#1773, moov-io/base#508, golang/go#42963.
func TestPoolClose_NamesTheHolders(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(p *Pool) error
		took time.Duration
	}{
		"Close": {(*Pool).Close, closeLimit},
		"CloseContext": {func(p *Pool) error {
			ctx, cancel := context.WithTimeoutCause(context.Background(), 3*time.Second, os.ErrProcessDone)
			defer cancel()
			err := p.CloseContext(ctx)
			assert.ErrorIs(t, err, os.ErrProcessDone)
			return err
		}, 3*time.Second + closeGrace},
	} {
		t.Run(name, func(t *testing.T) {
			file := path(t)
			synctest.Test(t, func(t *testing.T) {
				p, err := NewPool(file, Options{LeakAfter: time.Hour})
				require.NoError(t, err)
				conn := take(t, p)
				began := time.Now()
				err = c.end(p)
				assert.Equal(t, c.took, time.Since(began))
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.ErrorContains(t, err, "pool_test.go:")
				var failed *pool.Error
				assert.ErrorAs(t, err, &failed)
				_, err = first(conn, "SELECT 1")
				assert.Equal(t, sqlite.ResultInterrupt, sqlite.ErrCode(err), "its holder learns it, and does not crash")
				p.Put(conn)
				require.NoError(t, p.Close())
				assert.Zero(t, descriptors(t, file))
			})
		})
	}
}

// CloseContext lets a query come to its end.
func TestPoolCloseContextDrains(t *testing.T) {
	p := newPool(t, Options{})
	conn := take(t, p)
	closed := make(chan error)
	go func() { closed <- p.CloseContext(context.Background()) }()
	for !p.Stats().Closed {
		_, _ = first(conn, "SELECT 1")
	}
	do(t, conn, increment)
	p.Put(conn)
	require.NoError(t, <-closed)

	p = newPool(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	require.NoError(t, p.Conns().Do(ctx, func(ctx context.Context, _ *Conn) error {
		assert.ErrorIs(t, p.CloseContext(ctx), pool.ErrNested)
		return nil
	}))
}

// A connection that can't be closed is reported by Close.
// Answers andersmurphy/sqlite4clj#24.
func TestPoolClose_Reports(t *testing.T) {
	p, err := NewPool(path(t), Options{})
	require.NoError(t, err)
	conn := take(t, p)
	_, _, err = conn.PrepareTransient("SELECT 'never finalised'")
	require.NoError(t, err)
	p.Put(conn)
	err = p.Close()
	var unfinalized *UnfinalizedError
	require.ErrorAs(t, err, &unfinalized)
	assert.Equal(t, 1, unfinalized.Count)
	assert.Contains(t, unfinalized.Texts[0], "never finalised")
	assert.EqualValues(t, 1, p.Stats().Found[FoundUnfinalized])
}

func BenchmarkTakePut(b *testing.B) {
	p := newPool(b, Options{})
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		conn, err := p.Take(ctx)
		if err != nil {
			b.Fatal(err)
		}
		p.Put(conn)
	}
}
