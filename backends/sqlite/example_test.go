package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

var schema = &sqlitemigration.Schema{Migrations: []string{
	"CREATE TABLE stock (item TEXT PRIMARY KEY, n INTEGER NOT NULL CHECK (n >= 0)); INSERT INTO stock VALUES ('pear', 2)",
}}

// stock returns how many pears there are.
func stock(conn *sqlite.Conn) (int64, error) {
	return sqlitex.ResultInt64(conn.Prep("SELECT n FROM stock WHERE item='pear'"))
}

// sell takes a pear from the stock.
func sell(_ context.Context, conn *sqlite.Conn) error {
	return sqlitex.Execute(conn, "UPDATE stock SET n=n-1 WHERE item='pear'", nil)
}

// newFile returns the path of a database that is to be made, and what removes it.
func newFile() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(dir, "orders.db"), func() { _ = os.RemoveAll(dir) }
}

func Example() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()

	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	for range 3 {
		err := db.Write(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
			return sqlitex.Execute(conn, "UPDATE stock SET n=n-1 WHERE item='pear'", nil)
		})
		fmt.Println("sold:", err == nil)
	}
	err = db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		n, err := sqlitex.ResultInt64(conn.Prep("SELECT n FROM stock WHERE item='pear'"))
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

// What is wrong shows at Open, with the path and the reason.
func ExampleOpen() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()

	_, err := sqlite.Open(ctx, filepath.Join(path, "of", "nowhere.db"), sqlite.Options{})
	fmt.Println(errors.Is(err, sqlite.ErrNoDirectory))

	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	fmt.Println(db.Readers().Name(), db.Writer().Name())
	// Output:
	// true
	// orders.readers orders.writer
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

// Readers go on while somebody writes.
func ExampleDB() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	var goroutines sync.WaitGroup
	goroutines.Go(func() {
		for range 2 {
			if err := db.Write(ctx, sell); err != nil {
				log.Print(err)
			}
		}
	})
	for range 4 {
		goroutines.Go(func() {
			err := db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
				_, err := stock(conn)
				return err
			})
			if err != nil {
				log.Print(err)
			}
		})
	}
	goroutines.Wait()
	fmt.Println("reads:", db.Stats().Readers.Released)
	err = db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		n, err := stock(conn)
		fmt.Println("left:", n)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// reads: 4
	// left: 0
}

// A Read sees one snapshot, whatever is written meanwhile.
func ExampleDB_Read() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	err = db.Read(ctx, func(_ context.Context, conn *sqlite.Conn) error {
		before, err := stock(conn)
		if err != nil {
			return err
		}
		sold := make(chan error)
		go func() { sold <- db.Write(ctx, sell) }() // somebody else
		if err := <-sold; err != nil {
			return err
		}
		after, err := stock(conn)
		fmt.Println(before, after)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 2 2
}

// What fails leaves nothing behind.
func ExampleDB_Write() {
	ctx := context.Background()
	db, err := sqlite.OpenMemory(ctx, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	errNoFunds := errors.New("no funds")
	err = db.Write(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		if err := sell(ctx, conn); err != nil {
			return err
		}
		return errNoFunds
	})
	fmt.Println(err == errNoFunds)
	err = db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		n, err := stock(conn)
		fmt.Println("left:", n)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// true
	// left: 2
}

// A write inside a read would wait for itself sooner or later: it fails at once.
func ExampleDB_Write_nested() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	err = db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		return db.Write(ctx, sell)
	})
	fmt.Println(errors.Is(err, pool.ErrNested))
	// Output: true
}

// Many goroutines that write share commits. Each has a result of its own.
func ExampleDB_Batch() {
	ctx := context.Background()
	db, err := sqlite.OpenMemory(ctx, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	results := make(chan error)
	for range 10 {
		go func() { results <- db.Batch(ctx, sell) }()
	}
	sold := 0
	for range 10 {
		if err := <-results; err == nil {
			sold++
		}
	}
	fmt.Println("of two pears", sold, "were sold")
	// Output: of two pears 2 were sold
}

func ExampleBatchStats() {
	ctx := context.Background()
	db, err := sqlite.OpenMemory(ctx, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	if err := db.Batch(ctx, sell); err != nil {
		log.Fatal(err)
	}
	batch := db.Stats().Batch
	fmt.Printf("%d calls in %d commits, at most %d in one, %d ran again\n", batch.Calls, batch.Batches, batch.Largest, batch.Retries)
	// Output: 1 calls in 1 commits, at most 1 in one, 0 ran again
}

// For many short reads that need no common snapshot, or a reader for longer than a function.
func ExampleDB_Readers() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	lease, err := db.Readers().Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	for range 2 {
		n, err := stock(lease.Value()) // the database as it is now
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(n)
		if err := db.Write(ctx, sell); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// 2
	// 1
}

// For what can't run inside a transaction, as VACUUM.
func ExampleDB_Writer() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	err = db.Writer().Do(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		return sqlitex.ExecuteTransient(conn, "VACUUM", nil)
	})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleDB_Stats() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema, Readers: 8})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	stats := db.Stats()
	fmt.Println("readers:", stats.Readers.Live(), "of", stats.Readers.MaxSize)
	fmt.Println("writer:", stats.Writer.Live(), "of", stats.Writer.MaxSize)
	// Output:
	// readers: 0 of 8
	// writer: 1 of 1
}

// What to watch: whether writers wait, and how large the log is.
func ExampleStats() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	if err := db.Write(ctx, sell); err != nil {
		log.Fatal(err)
	}
	stats := db.Stats()
	fmt.Println("wait for the writer:", stats.Writer.Waiting)
	fmt.Println("the log is small:", stats.WAL.Size < 1<<20)
	fmt.Println("left open:", stats.Found[sqlite.FoundStatement])
	// Output:
	// wait for the writer: 0
	// the log is small: true
	// left open: 0
}

// At the end of a program: what runs may go on for ten seconds.
func ExampleDB_Close() {
	db, err := sqlite.OpenMemory(context.Background(), sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(db.Close(ctx))

	err = db.Write(context.Background(), sell)
	fmt.Println(errors.Is(err, pool.ErrClosed))
	// Output:
	// <nil>
	// true
}

// A Conn is one of zombiezen.com/go/sqlite: what works there works here.
func ExampleConn() {
	ctx := context.Background()
	db, err := sqlite.OpenMemory(ctx, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	err = db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) (err error) {
		stmt := conn.Prep("SELECT item, n FROM stock WHERE n >= $least")
		stmt.SetInt64("$least", 1)
		for {
			row, err := stmt.Step()
			if err != nil || !row {
				return err
			}
			fmt.Println(stmt.GetText("item"), stmt.GetInt64("n"))
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: pear 2
}

// A pool of connections under one's own options, without a DB.
func ExampleHooks() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()

	hooks := sqlite.Hooks(path, sqlite.Writer, sqlite.Options{BusyTimeout: time.Second})
	conns, err := pool.New(hooks, pool.Options{Name: "cache", MaxSize: 2, Policy: resource.Policy{MaxIdleTime: time.Minute}})
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

// A connection that reads can't write by mistake.
func ExampleMode() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	for _, mode := range []sqlite.Mode{sqlite.Writer, sqlite.Reader} {
		conns, err := pool.New(sqlite.Hooks(path, mode, sqlite.Options{Schema: schema}), pool.Options{MaxSize: 1})
		if err != nil {
			log.Fatal(err)
		}
		err = conns.Do(ctx, sell)
		fmt.Println(mode, "can write:", err == nil)
		if err := conns.Close(ctx); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// writer can write: true
	// reader can write: false
}
