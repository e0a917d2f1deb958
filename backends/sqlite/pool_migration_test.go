package sqlite

import (
	"context"
	"errors"
	"os"
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

// What a program does with either of them.
var (
	_ migrator = (*MigrationPool)(nil)
	_ migrator = (*sqlitemigration.Pool)(nil)
)

type migrator interface {
	Get(ctx context.Context) (*sqlite.Conn, error)
	Take(ctx context.Context) (*sqlite.Conn, error)
	Put(conn *sqlite.Conn)
	CheckHealth() error
	Close() error
}

var oneTable = sqlitemigration.Schema{AppID: 7, Migrations: []string{"CREATE TABLE t (x)", "INSERT INTO t VALUES (1)"}}

// The first Take of many makes the migrations, once, in a file and in memory.
func TestNewPool_Schema(t *testing.T) {
	for _, name := range []string{path(t), ":memory:"} {
		for range 2 {
			starts := 0
			p, err := NewPool(name, Options{Readers: 4, Schema: &oneTable})
			require.NoError(t, err)
			p.first.onStart = func() { starts++ }
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					conn, err := p.Take(t.Context())
					if assert.NoError(t, err) {
						assert.Equal(t, "1", get(t, conn, "SELECT count(*) FROM t"))
						p.Put(conn)
					}
				})
			}
			all.Wait()
			assert.Equal(t, 1, starts)
			require.NoError(t, p.Close())
		}
	}
}

// A lease of Conns waits for the migrations, too.
func TestNewPool_SchemaIsThereForConns(t *testing.T) {
	p, err := NewPool(path(t), Options{Schema: &oneTable})
	require.NoError(t, err)
	require.NoError(t, p.Conns().Do(t.Context(), func(_ context.Context, conn *Conn) error {
		assert.Equal(t, "1", get(t, conn, "SELECT count(*) FROM t"))
		return nil
	}))
	require.NoError(t, p.Close())
}

// A schema that can't be applied is the error of each Take; the next one tries again.
func TestNewPool_SchemaThatFails(t *testing.T) {
	fails := true
	file := path(t)
	p, err := NewPool(file, Options{
		Schema: &sqlitemigration.Schema{Migrations: []string{"CREATE TABLE t AS SELECT now() AS x"}},
		Setup: func(_ context.Context, conn *Conn) error {
			if fails {
				return nil // it is no function then
			}
			return conn.CreateFunction("now", &sqlite.FunctionImpl{NArgs: 0, Scalar: func(sqlite.Context, []sqlite.Value) (sqlite.Value, error) {
				return sqlite.IntegerValue(1), nil
			}})
		},
	})
	require.NoError(t, err)
	for range 2 {
		_, err = p.Take(t.Context())
		assert.ErrorContains(t, err, "migrate: ")
		assert.ErrorContains(t, err, "no such function: now")
		var failed *OpenError
		assert.ErrorAs(t, err, &failed)
	}
	assert.Empty(t, files(t, file))
	fails = false
	conn := take(t, p)
	assert.Equal(t, "1", get(t, conn, "SELECT x FROM t"))
	p.Put(conn)
	require.NoError(t, p.Close())
}

// slowSchema has a migration that calls wait.
func slowSchema(wait func()) (sqlitemigration.Schema, Options) {
	return sqlitemigration.Schema{Migrations: []string{"CREATE TABLE t AS SELECT slow() AS x"}}, Options{Setup: func(_ context.Context, conn *Conn) error {
		return conn.CreateFunction("slow", &sqlite.FunctionImpl{NArgs: 0, Scalar: func(sqlite.Context, []sqlite.Value) (sqlite.Value, error) {
			wait()
			return sqlite.IntegerValue(1), nil
		}})
	}}
}

// A migration takes as long as it takes: only the ctx of a Take bounds its wait.
func TestMigrationPool_MigratesInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		schema, options := slowSchema(func() { <-time.After(time.Minute) })
		ready, started := 0, 0
		p := NewMigrationPool(path(t), schema, MigrationPoolOptions{
			Options: options, OnStartMigrate: func() { started++ }, OnReady: func() { ready++ }, OnError: func(err error) { t.Error(err) },
		})
		synctest.Wait()
		assert.ErrorIs(t, p.CheckHealth(), errNotReady)
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := p.Get(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(began))
		conn, err := p.Get(context.Background())
		require.NoError(t, err)
		assert.GreaterOrEqual(t, time.Since(began), time.Minute)
		assert.Equal(t, "1", get(t, conn, "SELECT x FROM t"))
		p.Put(conn)
		assert.NoError(t, p.CheckHealth())
		synctest.Wait()
		assert.Equal(t, 1, ready)
		assert.NotZero(t, started)
		assert.EqualValues(t, 1, p.Pool().Stats().Acquired)
		require.NoError(t, p.Close())
		require.NoError(t, p.Close())
		assert.ErrorIs(t, p.CheckHealth(), pool.ErrClosed)
		_, err = p.Take(context.Background())
		assert.ErrorIs(t, err, pool.ErrClosed)
	})
}

// Close interrupts a migration, and nothing of it is left.
func TestMigrationPool_CloseInterruptsAMigration(t *testing.T) {
	file := path(t)
	runs := make(chan struct{})
	once := sync.OnceFunc(func() { close(runs) })
	schema, options := slowSchema(once)
	schema.Migrations[0] = "CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT slow() UNION ALL SELECT i+1 FROM n) SELECT count(*) AS x FROM n"
	failed := make(chan error, 1)
	p := NewMigrationPool(file, schema, MigrationPoolOptions{Options: options, OnError: func(err error) { failed <- err }, OnReady: func() { t.Error("ready") }})
	waits := make(chan error, 1)
	go func() {
		_, err := p.Take(context.Background())
		waits <- err
	}()
	<-runs
	require.NoError(t, p.Close())
	assert.ErrorIs(t, <-waits, pool.ErrClosed)
	assert.ErrorIs(t, <-failed, context.Canceled)
	assert.Empty(t, files(t, file))
}

// What is wrong with the name or the options is an error of every method that has one, and of OnError.
func TestMigrationPool_NamesWhatIsWrong(t *testing.T) {
	for want, c := range map[string]struct {
		name    string
		options Options
	}{
		"the path is empty":                           {"", Options{}},
		"Options.Readers is -1":                       {"app.db", Options{Readers: -1}},
		"Options.Schema is set":                       {"app.db", Options{Schema: &oneTable}},
		`its parameter mode is "x": NewPool does not`: {"file:app.db?mode=x", Options{}},
	} {
		told := make(chan error, 1)
		p := NewMigrationPool(c.name, oneTable, MigrationPoolOptions{Options: c.options, OnError: func(err error) { told <- err }})
		assert.ErrorContains(t, <-told, want)
		_, err := p.Get(t.Context())
		assert.ErrorContains(t, err, want)
		assert.ErrorContains(t, p.CheckHealth(), want)
		p.Put(nil)
		assert.Nil(t, p.Pool())
		assert.NoError(t, p.Close())
	}
}

// What was in the way may be gone at the next Take.
func TestMigrationPool_TriesAgain(t *testing.T) {
	directory := t.TempDir() + "/later"
	told := make(chan error, 8)
	ready := make(chan struct{})
	p := NewMigrationPool(directory+"/app.db", oneTable, MigrationPoolOptions{OnError: func(err error) { told <- err }, OnReady: func() { close(ready) }})
	assert.ErrorIs(t, <-told, ErrNoDirectory)
	_, err := p.Take(t.Context())
	assert.ErrorIs(t, err, ErrNoDirectory)
	assert.ErrorIs(t, p.CheckHealth(), ErrNoDirectory)
	require.NoError(t, os.Mkdir(directory, 0o700))
	conn, err := p.Take(t.Context())
	require.NoError(t, err)
	<-ready
	p.Put(conn)
	require.NoError(t, p.Close())
}

// A Setup that panics, or ends its goroutine, ends no more than the try.
func TestMigrationPool_SetupThatPanics(t *testing.T) {
	for want, fail := range map[string]func(){"panicked: setup": func() { panic("setup") }, "called runtime.Goexit": runtime.Goexit} {
		told := make(chan error, 1)
		p := NewMigrationPool(":memory:", oneTable, MigrationPoolOptions{
			Options: Options{Setup: func(context.Context, *Conn) error { fail(); return errors.New("never") }},
			OnError: func(err error) { told <- err },
		})
		assert.ErrorContains(t, <-told, "connect: a function of Options, such as Setup, "+want)
		assert.ErrorContains(t, p.CheckHealth(), want)
		require.NoError(t, p.Close())
	}
}

// So does an OnStartMigrate; the connection that was opened for the try is closed, and the error blames nobody else.
func TestMigrationPool_OnStartMigrateThatPanics(t *testing.T) {
	for want, fail := range map[string]func(){"panicked: start": func() { panic("start") }, "called runtime.Goexit": runtime.Goexit} {
		for _, name := range []string{path(t), ":memory:"} {
			told := make(chan error, 4)
			p := NewMigrationPool(name, oneTable, MigrationPoolOptions{OnStartMigrate: fail, OnError: func(err error) { told <- err }})
			assert.ErrorContains(t, <-told, "migrate: OnStartMigrate "+want)
			_, err := p.Take(t.Context())
			assert.ErrorContains(t, err, "migrate: OnStartMigrate "+want)
			assert.Empty(t, p.pool.database.live, "no connection is left")
			require.NoError(t, p.Close())
		}
	}
}

// The functions are called where no caller could recover.
func TestMigrationPool_OnReadyAndOnErrorMayPanic(t *testing.T) {
	told := make(chan string, 1)
	ready := NewMigrationPool(":memory:", oneTable, MigrationPoolOptions{OnReady: func() {
		told <- "ready"
		panic("OnReady")
	}})
	conn, err := ready.Take(t.Context())
	require.NoError(t, err)
	ready.Put(conn)
	assert.Equal(t, "ready", <-told)
	onError := func(err error) {
		told <- err.Error()
		panic("OnError")
	}
	failing := NewMigrationPool(t.TempDir()+"/missing/app.db", oneTable, MigrationPoolOptions{OnError: onError})
	assert.Contains(t, <-told, ErrNoDirectory.Error())
	invalid := NewMigrationPool("", oneTable, MigrationPoolOptions{OnError: onError})
	assert.Contains(t, <-told, "the path is empty")
	for _, p := range []*MigrationPool{ready, failing, invalid} {
		require.NoError(t, p.Close())
	}
}
