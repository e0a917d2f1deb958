// Copyright (c) 2018 David Crawshaw <david@zentus.com>
// Copyright (c) 2021 Roxy Light <roxy@zombiezen.com>
//
// Permission to use, copy, modify, and distribute this software for any
// purpose with or without fee is hereby granted, provided that the above
// copyright notice and this permission notice appear in all copies.
//
// THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
// WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
// MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
// ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
// WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
// ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
// OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
//
// SPDX-License-Identifier: ISC

// The programs here are those of the documentation and the tests of zombiezen's sqlitex.Pool.
// What was changed has the line that it was in a comment: the import and the constructor;
// in tests also the deprecated Get and ExecTransient, which are Take and ExecuteTransient.

package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	headpond "github.com/headpond/headpond/backends/sqlite"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// What a program does with either of them.
var (
	_ lender = (*headpond.Pool)(nil)
	_ lender = (*sqlitex.Pool)(nil)
)

type lender interface {
	Take(ctx context.Context) (*sqlite.Conn, error)
	Put(conn *sqlite.Conn)
	Close() error
}

func ExamplePool() {
	// Open a pool.
	dbpool, err := headpond.NewPool("foo.db", headpond.Options{}) // sqlitex.NewPool("foo.db", sqlitex.PoolOptions{})
	if err != nil {
		// handle err
	}
	defer func() {
		if err := dbpool.Close(); err != nil {
			// handle err
		}
	}()

	// While handling a request:
	ctx := context.TODO()
	conn, err := dbpool.Take(ctx)
	if err != nil {
		// handle err
	}
	defer dbpool.Put(conn)
}

func TestSqlitexExamplePool(t *testing.T) {
	t.Chdir(t.TempDir())
	ExamplePool()
	_, err := os.Stat("foo.db")
	require.NoError(t, err)
}

var dbpool *headpond.Pool // *sqlitex.Pool

// Using a Pool to execute SQL in a concurrent HTTP handler.
func ExampleNewPool_http() {
	var err error
	dbpool, err = headpond.NewPool("file:memory:?mode=memory", headpond.Options{ // sqlitex.NewPool("file:memory:?mode=memory", sqlitex.PoolOptions{
		Readers: 10, // PoolSize: 10,
	})
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", handle)
	log.Fatal(http.ListenAndServe(":8080", nil))
}

func handle(w http.ResponseWriter, r *http.Request) {
	conn, err := dbpool.Take(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer dbpool.Put(conn)

	stmt := conn.Prep("SELECT foo FROM footable WHERE id = $id;")
	stmt.SetText("$id", "_user_id_")
	for {
		if hasRow, err := stmt.Step(); err != nil {
			// ... handle error
		} else if !hasRow {
			break
		}
		foo := stmt.GetText("foo")
		// ... use foo
		fmt.Fprintln(w, foo)
	}
}

func TestSqlitexExampleHTTP(t *testing.T) {
	var err error
	dbpool, err = headpond.NewPool(filepath.Join(t.TempDir(), "foo.db"), headpond.Options{Readers: 10, AcquireTimeout: -1})
	require.NoError(t, err)
	conn, err := dbpool.Take(t.Context())
	require.NoError(t, err)
	require.NoError(t, sqlitex.ExecuteScript(conn, `
		CREATE TABLE footable (id TEXT, foo TEXT);
		INSERT INTO footable VALUES ('_user_id_', 'one'), ('_user_id_', 'two'), ('another', 'three');`, nil))
	dbpool.Put(conn)
	server := httptest.NewServer(http.HandlerFunc(handle))
	defer server.Close()
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			response, err := http.Get(server.URL)
			if !assert.NoError(t, err) {
				return
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			assert.NoError(t, err)
			assert.Equal(t, "one\ntwo\n", string(body))
		})
	}
	group.Wait()
	require.NoError(t, dbpool.Close())
	response, err := http.Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
}

const poolSize = 20

func newSqlitexPool(t *testing.T) *headpond.Pool {
	t.Helper()
	dbpool, err := headpond.NewPool("file::memory:?mode=memory&cache=shared", headpond.Options{ // sqlitex.NewPool(the same, sqlitex.PoolOptions{
		Flags:          sqlite.OpenReadWrite | sqlite.OpenCreate | sqlite.OpenURI | sqlite.OpenSharedCache,
		Readers:        poolSize,                   // PoolSize: poolSize,
		AcquireTimeout: -1, BusyTimeout: time.Hour, // sqlitex.Pool waits for ever
	})
	if err != nil {
		t.Fatal(err)
	}
	return dbpool
}

func get(t *testing.T, dbpool *headpond.Pool) *sqlite.Conn {
	t.Helper()
	conn, err := dbpool.Take(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestSqlitexPool(t *testing.T) {
	dbpool := newSqlitexPool(t)
	defer func() {
		if err := dbpool.Close(); err != nil {
			t.Error(err)
		}
	}()

	c := get(t, dbpool)
	c.Prep("DROP TABLE IF EXISTS footable;").Step()
	if hasRow, err := c.Prep("CREATE TABLE footable (col1 integer);").Step(); err != nil {
		t.Fatal(err)
	} else if hasRow {
		t.Errorf("CREATE TABLE reports having a row")
	}
	dbpool.Put(c)
	c = nil

	var wg sync.WaitGroup
	for i := 0; i < poolSize; i++ {
		wg.Add(1)
		go func(i int) {
			for j := 0; j < 10; j++ {
				testInsert(t, fmt.Sprintf("%d-%d", i, j), dbpool)
			}
			wg.Done()
		}(i)
	}
	wg.Wait()

	c = get(t, dbpool)
	defer dbpool.Put(c)
	stmt := c.Prep("SELECT COUNT(*) FROM footable;")
	if hasRow, err := stmt.Step(); err != nil {
		t.Fatal(err)
	} else if hasRow {
		count := int(stmt.ColumnInt64(0))
		if want := poolSize * 10 * insertCount; count != want {
			t.Errorf("SELECT COUNT(*) = %d, want %d", count, want)
		}
	} else {
		t.Errorf("SELECT COUNT(*) reports not having a row")
	}
	stmt.Reset()
}

const insertCount = 120

func testInsert(t *testing.T, id string, dbpool *headpond.Pool) {
	c, err := dbpool.Take(context.Background())
	if err != nil {
		t.Error(err)
		return
	}
	defer dbpool.Put(c)

	begin := c.Prep("BEGIN;")
	commit := c.Prep("COMMIT;")
	stmt := c.Prep("INSERT INTO footable (col1) VALUES (?);")

	if _, err := begin.Step(); err != nil {
		t.Errorf("id=%s: BEGIN step: %v", id, err)
	}
	for i := int64(0); i < insertCount; i++ {
		if err := stmt.Reset(); err != nil {
			t.Errorf("id=%s: reset: %v", id, err)
		}
		stmt.BindInt64(1, i)
		if _, err := stmt.Step(); err != nil {
			t.Errorf("id=%s: step: %v", id, err)
		}
	}
	if _, err := commit.Step(); err != nil {
		t.Errorf("id=%s: COMMIT step: %v", id, err)
	}
}

func TestSqlitexPoolAfterClose(t *testing.T) {
	// verify that Get after close never try to initialize a Conn and segfault
	dbpool := newSqlitexPool(t)

	err := dbpool.Close()
	if err != nil {
		t.Fatal(err)
	}

	for i := 0; i < 10*poolSize; i++ {
		conn, _ := dbpool.Take(context.Background())
		if conn != nil {
			t.Fatal("dbpool: Get after Close -> !nil conn")
		}
	}
}

// See https://github.com/crawshaw/sqlite/issues/119 and
// https://github.com/zombiezen/go-sqlite/issues/14
func TestSqlitexPoolWALClose(t *testing.T) {
	dbName := filepath.Join(t.TempDir(), "wal-close.db")
	// sqlitex.NewPool(dbName, sqlitex.PoolOptions{
	// 	Flags:    sqlite.OpenReadWrite | sqlite.OpenCreate | sqlite.OpenWAL,
	// 	PoolSize: 10,
	pool, err := headpond.NewPool(dbName, headpond.Options{Readers: 10})
	if err != nil {
		t.Fatal(err)
	}
	conn := get(t, pool)
	if _, err := os.Stat(dbName + "-wal"); err != nil {
		t.Error(err)
	}
	err = sqlitex.ExecuteTransient(conn, `CREATE TABLE foo (id integer primary key);`, nil)
	if err != nil {
		t.Error(err)
	}
	pool.Put(conn)
	if err := pool.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dbName + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("After close: %v; want %v", err, os.ErrNotExist)
	}
}

func TestSqlitexPoolPrepareConn(t *testing.T) {
	dbName := filepath.Join(t.TempDir(), "foo.db")
	pool, err := headpond.NewPool(dbName, headpond.Options{ // sqlitex.NewPool(dbName, sqlitex.PoolOptions{
		Setup: func(_ context.Context, conn *sqlite.Conn) error { // PrepareConn: func(conn *sqlite.Conn) error {
			err := sqlitex.ExecuteTransient(conn, `PRAGMA foreign_keys = on;`, nil)
			if err != nil {
				t.Error("Prepare internal error:", err)
			}
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := pool.Close(); err != nil {
			t.Error("Close:", err)
		}
	}()

	conn := get(t, pool)
	if conn == nil {
		t.Fatal("conn == nil")
	}
	defer pool.Put(conn)

	fkEnabled := false
	err = sqlitex.ExecuteTransient(conn, `PRAGMA foreign_keys;`, &sqlitex.ExecOptions{
		ResultFunc: func(stmt *sqlite.Stmt) error {
			fkEnabled = stmt.ColumnBool(0)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !fkEnabled {
		t.Error("foreign_keys not enabled")
	}
}
