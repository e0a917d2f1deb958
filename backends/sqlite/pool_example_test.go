package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	"zombiezen.com/go/sqlite/sqlitex"
)

// It does no I/O: the file is made by the first Take. What can't be right shows at once.
func ExampleNewPool() {
	path, remove := newFile()
	defer remove()
	conns, err := sqlite.NewPool(path, sqlite.Options{Readers: 8})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close()
	fmt.Println("at most", conns.Stats().MaxSize)

	_, err = sqlite.NewPool("file:"+path+"?mode=reader", sqlite.Options{})
	fmt.Println(err != nil)
	// Output:
	// at most 8
	// true
}

// Its connections share the database in memory, which lives until Close.
func ExampleNewPool_memory() {
	ctx := context.Background()
	conns, err := sqlite.NewPool("file::memory:", sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close()
	conn, err := conns.Take(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Put(conn)
	fmt.Println(stock(conn))
	// Output: 2 <nil>
}

// What a program that used *sqlitemigration.Pool goes on to do: it migrates while it starts, and Get waits for that.
func ExampleNewMigrationPool() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	conns := sqlite.NewMigrationPool(path, *schema, sqlite.MigrationPoolOptions{
		OnError: func(err error) { log.Print(err) },
	})
	defer conns.Close()

	conn, err := conns.Get(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Put(conn)
	fmt.Println(stock(conn))
	fmt.Println(conns.CheckHealth())
	// Output:
	// 2 <nil>
	// <nil>
}

// What a program that used *sqlitex.Pool goes on to do.
func ExamplePool_transaction() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	conns, err := sqlite.NewPool(path, sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close()

	order := func(item string) (err error) {
		conn, err := conns.Take(ctx)
		if err != nil {
			return err
		}
		defer conns.Put(conn)
		end, err := sqlitex.ImmediateTransaction(conn)
		if err != nil {
			return err
		}
		defer end(&err)
		if err := sqlitex.ExecuteScript(conn, "CREATE TABLE IF NOT EXISTS orders (item)", nil); err != nil {
			return err
		}
		return sqlitex.Execute(conn, "INSERT INTO orders VALUES (?)", &sqlitex.ExecOptions{Args: []any{item}})
	}
	fmt.Println(order("rope"))
	// Output: <nil>
}

func ExamplePool_Take() {
	path, remove := newFile()
	defer remove()
	conns, err := sqlite.NewPool(path, sqlite.Options{Readers: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close()
	conn, err := conns.Take(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Put(conn)

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err = conns.Take(ctx) // the only one is taken
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}

// A transaction that was left open is rolled back, and a second Put does nothing.
func ExamplePool_Put() {
	path, remove := newFile()
	defer remove()
	conns, err := sqlite.NewPool(path, sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close()
	conn, err := conns.Take(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	if err := sqlitex.ExecuteTransient(conn, "BEGIN IMMEDIATE", nil); err != nil {
		log.Fatal(err)
	}
	conns.Put(conn)
	conns.Put(conn)
	stats := conns.Stats()
	fmt.Println(stats.Held, stats.Found[sqlite.FoundTransaction], stats.IgnoredPuts)
	// Output: 0 1 1
}

// The pool below has leases, Do and Holders.
func ExamplePool_Conns() {
	path, remove := newFile()
	defer remove()
	conns, err := sqlite.NewPool(path, sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close()
	err = conns.Conns().Do(context.Background(), func(_ context.Context, conn *sqlite.Conn) error {
		fmt.Println(len(conns.Conns().Holders()), "held")
		return sqlitex.ExecuteTransient(conn, "SELECT 1", nil)
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 1 held
}

func ExamplePool_Stats() {
	path, remove := newFile()
	defer remove()
	conns, err := sqlite.NewPool(path, sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close()
	conn, err := conns.Take(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Put(conn)
	stats := conns.Stats()
	fmt.Println(stats.Held, "of", stats.MaxSize, "taken")
	// Output: 1 of 5 taken
}

// Beside the figures of the pool there are those of its connections.
func ExamplePoolStats() {
	path, remove := newFile()
	defer remove()
	conns, err := sqlite.NewPool(path, sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer conns.Close()
	conn, err := conns.Take(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	if err := sqlitex.ExecuteTransient(conn, "PRAGMA recursive_triggers=on", nil); err != nil {
		log.Fatal(err)
	}
	conns.Put(conn) // and closed: the next one gets another
	stats := conns.Stats()
	fmt.Println("pragmas left behind:", stats.Found[sqlite.FoundPragma])
	// Output: pragmas left behind: 1
}

// Close interrupts what runs.
func ExamplePool_Close() {
	path, remove := newFile()
	defer remove()
	conns, err := sqlite.NewPool(path, sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(conns.Close())
	_, err = conns.Take(context.Background())
	fmt.Println(errors.Is(err, pool.ErrClosed))
	// Output:
	// <nil>
	// true
}

// CloseContext lets what runs go on, for a minute here.
func ExamplePool_CloseContext() {
	path, remove := newFile()
	defer remove()
	conns, err := sqlite.NewPool(path, sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := conns.Take(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		defer conns.Put(conn)
		if err := sqlitex.ExecuteTransient(conn, "SELECT 1", nil); err != nil {
			log.Print(err)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println(conns.CloseContext(ctx))
	// Output: <nil>
}
