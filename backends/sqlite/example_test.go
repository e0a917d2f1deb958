package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

var schema = &sqlitemigration.Schema{Migrations: []string{
	"CREATE TABLE stock (item TEXT PRIMARY KEY, n INTEGER NOT NULL CHECK (n >= 0)); INSERT INTO stock VALUES ('pear', 2)",
}}

func stock(conn *sqlite.Conn) (int64, error) {
	return sqlitex.ResultInt64(conn.Prep("SELECT n FROM stock WHERE item='pear'"))
}

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	db, err := sqlite.Open(ctx, filepath.Join(dir, "orders.db"), sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	sell := func(ctx context.Context, conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, "UPDATE stock SET n=n-1 WHERE item='pear'", nil)
	}
	for range 3 {
		fmt.Println("sold:", db.Write(ctx, sell) == nil)
	}
	err = db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		n, err := stock(conn)
		fmt.Println("left:", n)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// sold: true
	// sold: true
	// sold: false
	// left: 0
}

func ExampleOpenMemory() {
	ctx := context.Background()
	db, err := sqlite.OpenMemory(ctx, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	err = db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		n, err := stock(conn)
		fmt.Println(n)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 2
}

// A write inside a read would wait for itself sooner or later: it fails at once.
func ExampleDB_Write_nested() {
	ctx := context.Background()
	db, err := sqlite.OpenMemory(ctx, sqlite.Options{Name: "orders", Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	err = db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		return db.Write(ctx, func(context.Context, *sqlite.Conn) error { return nil })
	})
	fmt.Println(errors.Is(err, pool.ErrNested))
	// Output: true
}

// A pool of connections under one's own options, without a DB.
func ExampleHooks() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	hooks := sqlite.Hooks(filepath.Join(dir, "cache.db"), sqlite.Writer, sqlite.Options{BusyTimeout: time.Second})
	conns, err := pool.New(hooks, pool.Options{Name: "cache", MaxSize: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close(ctx)
	err = conns.Do(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		return sqlitex.ExecuteScript(conn, "CREATE TABLE cache (key PRIMARY KEY, value)", nil)
	})
	fmt.Println(err)
	// Output: <nil>
}

// What borrowers leave behind is mended, counted, and told on the goroutine that was careless.
func ExampleOptions_onFinding() {
	ctx := context.Background()
	db, err := sqlite.OpenMemory(ctx, sqlite.Options{Schema: schema, OnFinding: func(_ context.Context, finding sqlite.Finding) {
		fmt.Println("found:", finding)
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	lease, err := db.Writer().Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	conn := lease.Value()
	if err := sqlitex.Execute(conn, "BEGIN", nil); err != nil {
		log.Fatal(err)
	}
	lease.Release()
	fmt.Println(db.Stats().Found[sqlite.FoundTransaction])
	// Output:
	// found: transaction
	// 1
}
