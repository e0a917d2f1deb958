package sqlite_test

import (
	"context"
	"fmt"
	"log"

	"github.com/headpond/headpond/backends/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// A result without a variable outside of the function; and the code of an error, without a second import.
func ExampleRead() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	n, err := sqlite.Read(ctx, db, func(_ context.Context, conn *sqlite.Conn) (int64, error) { return stock(conn) })
	fmt.Println(n, err)

	rowID, err := sqlite.Write(ctx, db, func(_ context.Context, conn *sqlite.Conn) (int64, error) {
		err := sqlitex.Execute(conn, "INSERT INTO stock VALUES ('pear', 1)", nil)
		return conn.LastInsertRowID(), err
	})
	fmt.Println(rowID, sqlite.ErrCode(err) == sqlite.ResultConstraintPrimaryKey)
	// Output:
	// 2 <nil>
	// 0 true
}

func ExampleBatch() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	changed, err := sqlite.Batch(ctx, db, func(ctx context.Context, conn *sqlite.Conn) (int, error) {
		err := sell(ctx, conn)
		return conn.Changes(), err
	})
	fmt.Println(changed, err)
	// Output: 1 <nil>
}

// Whether the database can be read, as for a health check.
func ExampleDB_Ping() {
	ctx := context.Background()
	db, err := sqlite.OpenMemory(ctx, sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(db.Ping(ctx))
	if err := db.Close(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(db.Ping(ctx) != nil)
	// Output:
	// <nil>
	// true
}
