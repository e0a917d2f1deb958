package sqlite_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool/poollog"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

// A database of a service.
func ExampleOptions() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{
		Schema:         schema,
		Readers:        16,
		Synchronous:    sqlite.SyncFull, // an order that was confirmed survives a loss of power
		CacheSize:      16 << 20,        // of each connection
		AcquireTimeout: 2 * time.Second,
		MaxWaiters:     200,
		LeakAfter:      time.Minute,
		Observer:       poollog.Observer(slog.Default()),
		OnFinding: func(ctx context.Context, finding sqlite.Finding) {
			slog.WarnContext(ctx, "a connection came back changed", "finding", finding)
		},
		OnPinned: func(pinned sqlite.Pinned) {
			slog.Warn("the write-ahead log grows", "why", pinned)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(db.Close(ctx))
	// Output: <nil>
}

// Open brings the file up to date before anybody reads: here an older one, with a new migration.
func ExampleOptions_schema() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	older := &sqlitemigration.Schema{Migrations: []string{
		"CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (1)",
	}}
	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: older})
	if err != nil {
		log.Fatal(err)
	}
	if err := db.Close(ctx); err != nil {
		log.Fatal(err)
	}

	newer := &sqlitemigration.Schema{Migrations: append(older.Migrations,
		"ALTER TABLE orders ADD COLUMN paid INTEGER NOT NULL DEFAULT 0",
	)}
	db, err = sqlite.Open(ctx, path, sqlite.Options{Schema: newer})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	err = db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		unpaid, err := sqlitex.ResultInt64(conn.Prep("SELECT count(*) FROM orders WHERE NOT paid"))
		fmt.Println("unpaid:", unpaid)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: unpaid: 1
}

// Setup registers a function on every connection.
func ExampleOptions_setup() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{
		Setup: func(_ context.Context, conn *sqlite.Conn) error {
			return conn.CreateFunction("twice", &zombiezen.FunctionImpl{
				NArgs:         1,
				Deterministic: true,
				Scalar: func(_ zombiezen.Context, args []zombiezen.Value) (zombiezen.Value, error) {
					return zombiezen.IntegerValue(2 * args[0].Int64()), nil
				},
			})
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	err = db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		n, err := sqlitex.ResultInt64(conn.Prep("SELECT twice(21)"))
		fmt.Println(n)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 42
}

// A pragma reaches every connection, and is read back. One that a field stands for is an error.
func ExampleOptions_pragmas() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Pragmas: []sqlite.Pragma{
		{Name: "temp_store", Value: "memory"},
		{Name: "recursive_triggers", Value: "on"},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	err = db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		on, err := sqlitex.ResultBool(conn.Prep("PRAGMA recursive_triggers"))
		fmt.Println(on)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: true
}

func ExamplePragma() {
	ctx := context.Background()
	_, err := sqlite.OpenMemory(ctx, sqlite.Options{Name: "orders", Pragmas: []sqlite.Pragma{
		{Name: "recursive_trigger", Value: "on"},
	}})
	fmt.Println(err != nil) // SQLite would have ignored it
	// Output: true
}

// What a commit waits for.
func ExampleSynchronous() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Synchronous: sqlite.SyncFull})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	err = db.Write(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		level, err := sqlitex.ResultInt64(conn.Prep("PRAGMA synchronous"))
		fmt.Println(level) // SQLite's number for FULL
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 2
}

// What borrowers leave behind is mended, counted, and told on the goroutine that was careless.
func ExampleOptions_onFinding() {
	ctx := context.Background()
	db, err := sqlite.OpenMemory(ctx, sqlite.Options{OnFinding: func(_ context.Context, finding sqlite.Finding) {
		fmt.Println("found:", finding)
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	err = db.Writer().Do(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		return sqlitex.ExecuteTransient(conn, "BEGIN", nil)
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(db.Stats().Found[sqlite.FoundTransaction])
	// Output:
	// found: transaction
	// 1
}
