package tenants_test

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/stdlib"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/headpond/headpond/pool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// eventually waits until something holds that follows soon.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); runtime.Gosched() {
		require.Less(t, time.Since(began), 10*time.Second, what)
	}
}

// TestSQL uses many tenants through database/sql, through few places: each is evicted between statements.
func TestSQL(t *testing.T) {
	p := open(t, tenants.Options{MaxOpen: 3, AcquireTimeout: time.Minute})
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			tenant := fmt.Sprint("tenant-", n)
			for range 5 {
				db := p.SQL(tenant)
				_, err := db.ExecContext(t.Context(), "INSERT INTO owner (name) VALUES (?)", tenant)
				assert.NoError(t, err)
				tx, err := db.BeginTx(t.Context(), nil)
				if !assert.NoError(t, err) {
					return
				}
				_, err = tx.Exec("INSERT INTO owner (name) VALUES (?)", tenant)
				assert.NoError(t, err)
				assert.NoError(t, tx.Commit())
			}
			var name string
			var rows int
			assert.NoError(t, p.SQL(tenant).QueryRow("SELECT group_concat(DISTINCT name), count(*) FROM owner").Scan(&name, &rows))
			assert.Equal(t, tenant, name)
			assert.Equal(t, 10, rows)
		})
	}
	all.Wait()
	stats := p.Stats()
	assert.Zero(t, stats.Calls, "nothing is held between statements")
	assert.Greater(t, stats.Evicted, uint64(8))
}

func TestSQL_Pins(t *testing.T) {
	p := open(t, tenants.Options{MaxOpen: 1, AcquireTimeout: 50 * time.Millisecond})
	db := p.SQL("a")
	eventually(t, "a busy machine opens it in time", func() bool { return db.Ping() == nil })
	assert.Zero(t, p.Stats().Calls)
	others := func(what string) {
		t.Helper()
		assert.Equal(t, 1, p.Stats().Calls, what)
		_, err := p.SQL("b").Exec("SELECT 1")
		assert.ErrorIs(t, err, pool.ErrAcquireTimeout, what)
	}
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	others("a transaction")
	assert.NoError(t, tx.Rollback())
	assert.Zero(t, p.Stats().Calls)

	rows, err := db.Query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 5000) SELECT i FROM n")
	require.NoError(t, err)
	require.True(t, rows.Next())
	others("rows")
	assert.NoError(t, rows.Close())
	assert.Zero(t, p.Stats().Calls)

	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	assert.Zero(t, p.Stats().Calls, "a Conn that has run nothing")
	require.NoError(t, stdlib.Conn(t.Context(), conn, func(conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, "SELECT name FROM owner", &sqlitex.ExecOptions{ResultFunc: func(*zombiezen.Stmt) error { return nil }})
	}))
	others("a Conn")
	assert.NoError(t, conn.Close())
	assert.Zero(t, p.Stats().Calls)
	eventually(t, "the place is free", func() bool { return p.SQL("b").Ping() == nil })

	var statement *sql.Stmt
	eventually(t, "a busy machine opens it in time", func() bool {
		statement, err = db.Prepare("SELECT count(*) FROM owner")
		return err == nil
	})
	eventually(t, "its database is evicted", func() bool { return p.SQL("b").Ping() == nil })
	var count int
	eventually(t, "and opened anew for the statement", func() bool { return statement.QueryRow().Scan(&count) == nil })
	assert.NoError(t, statement.Close())
}

// TestSQL_SessionPragmas sets one that migrations rely on: it stays, though the database is opened anew meanwhile.
func TestSQL_SessionPragmas(t *testing.T) {
	p := open(t, tenants.Options{MaxOpen: 1})
	db := p.SQL("a")
	db.SetMaxOpenConns(1)
	_, err := db.Exec("PRAGMA foreign_keys=OFF")
	require.NoError(t, err)
	require.NoError(t, p.SQL("b").Ping())
	require.Len(t, p.Tenants(), 1)
	require.Equal(t, "b", p.Tenants()[0].Name)
	var on bool
	require.NoError(t, db.QueryRow("PRAGMA foreign_keys").Scan(&on))
	assert.False(t, on)
}

// TestSQL_ForgottenTransaction is rolled back after IdleInTx, and then does not keep the place any more.
func TestSQL_ForgottenTransaction(t *testing.T) {
	p := open(t, tenants.Options{MaxOpen: 1, AcquireTimeout: time.Minute, SQL: stdlib.Options{IdleInTx: 100 * time.Millisecond}})
	tx, err := p.SQL("a").Begin()
	require.NoError(t, err)
	require.NoError(t, p.SQL("b").Ping())
	_, err = tx.Exec("INSERT INTO owner (name) VALUES ('lost')")
	assert.ErrorIs(t, err, sqlite.ErrRolledBack)
	assert.Error(t, tx.Commit())
	eventually(t, "nothing is held", func() bool { return p.Stats().Calls == 0 })
}

func TestSQL_OneForATenant(t *testing.T) {
	p := open(t, tenants.Options{})
	a := p.SQL("a")
	assert.Same(t, a, p.SQL("a"))
	assert.NotSame(t, a, p.SQL("b"))
	require.NoError(t, a.Close())
	again := p.SQL("a")
	assert.NotSame(t, a, again, "a closed one is forgotten")
	assert.NoError(t, a.Close(), "again")
	assert.Same(t, again, p.SQL("a"))
	require.NoError(t, again.Ping())
	assert.ErrorContains(t, p.SQL("").Ping(), "the name is empty")

	goroutines := runtime.NumGoroutine()
	require.NoError(t, p.Close(t.Context()))
	assert.EqualError(t, again.Ping(), "sql: database is closed", "as database/sql has it")
	late := p.SQL("late")
	assert.Error(t, late.Ping())
	eventually(t, "its goroutines end", func() bool { return runtime.NumGoroutine() < goroutines })
}

// TestSQL_Nested has the ctx of a call: a statement that could wait for that call is refused.
func TestSQL_Nested(t *testing.T) {
	p := open(t, tenants.Options{MaxOpen: 1})
	require.NoError(t, p.Do(t.Context(), "a", func(ctx context.Context, _ *sqlite.DB) error {
		_, err := p.SQL("b").ExecContext(ctx, "INSERT INTO owner (name) VALUES ('b')")
		assert.ErrorIs(t, err, pool.ErrNested)
		_, err = p.SQL("a").ExecContext(ctx, "INSERT INTO owner (name) VALUES ('a')")
		return err
	}))
}
