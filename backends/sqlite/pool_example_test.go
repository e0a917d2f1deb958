package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// lend returns a Pool of a new file, and what removes it.
func lend(options sqlite.Options) (*sqlite.Pool, func()) {
	directory, err := os.MkdirTemp("", "headpond")
	if err != nil {
		panic(err)
	}
	conns, err := sqlite.NewPool(filepath.Join(directory, "orders.db"), options)
	if err != nil {
		panic(err)
	}
	return conns, func() {
		if err := errors.Join(conns.Close(), os.RemoveAll(directory)); err != nil {
			panic(err)
		}
	}
}

func ExamplePool_Take() {
	conns, remove := lend(sqlite.Options{Readers: 1})
	defer remove()
	conn, err := conns.Take(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conns.Put(conn)
	fmt.Println(sqlitex.ExecuteScript(conn, "CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (7)", nil))

	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err = conns.Take(ctx) // the only one is taken
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// <nil>
	// true
}

func ExamplePool_Put() {
	conns, remove := lend(sqlite.Options{})
	defer remove()
	conn, err := conns.Take(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sqlitex.ExecuteTransient(conn, "BEGIN IMMEDIATE", nil))
	conns.Put(conn) // which rolls back
	conns.Put(conn) // which does nothing
	stats := conns.Stats()
	fmt.Println(stats.Held, stats.Found[sqlite.FoundTransaction], stats.IgnoredPuts)
	// Output:
	// <nil>
	// 0 1 1
}

func ExamplePool_Conns() {
	conns, remove := lend(sqlite.Options{})
	defer remove()
	err := conns.Conns().Do(context.Background(), func(_ context.Context, conn *sqlite.Conn) error {
		fmt.Println(len(conns.Conns().Holders()), "held")
		return sqlitex.ExecuteTransient(conn, "SELECT 1", nil)
	})
	fmt.Println(err)
	// Output:
	// 1 held
	// <nil>
}

func ExamplePool_CloseContext() {
	conns, remove := lend(sqlite.Options{})
	defer remove()
	conn, err := conns.Take(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	go conns.Put(conn)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // for what is under way
	defer cancel()
	fmt.Println(conns.CloseContext(ctx))
	// Output: <nil>
}
