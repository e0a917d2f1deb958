// Copies the seats of a hall from a SQLite file to PostgreSQL: all of them as they were at one moment, or none.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/headpond/headpond/backends/postgres"
	headpond "github.com/headpond/headpond/backends/sqlite"
	"github.com/jackc/pgx/v5"
	"zombiezen.com/go/sqlite"
)

func main() {
	if err := run(context.Background(), os.Getenv("DATABASE_FILE"), os.Getenv("DATABASE_URL")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, path, url string) (err error) {
	from, err := headpond.Open(ctx, path, headpond.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close(ctx)) }()
	to, err := postgres.Open(ctx, url, postgres.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close(ctx)) }()
	var copied int64
	err = from.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		return to.Write(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
			if _, err := tx.Exec(ctx, "CREATE TABLE seats (id bigint PRIMARY KEY, buyer text)"); err != nil {
				return err
			}
			copied, err = copyTable(ctx, conn, tx, "seats", "id", "buyer")
			return err
		})
	})
	fmt.Printf("%d seats copied\n", copied)
	return err
}

// copyTable copies columns of a table, row by row as COPY takes them.
func copyTable(ctx context.Context, from *sqlite.Conn, to pgx.Tx, table string, columns ...string) (int64, error) {
	list := pgx.Identifier{columns[0]}.Sanitize()
	for _, column := range columns[1:] {
		list += ", " + pgx.Identifier{column}.Sanitize()
	}
	stmt, _, err := from.PrepareTransient("SELECT " + list + " FROM " + pgx.Identifier{table}.Sanitize())
	if err != nil {
		return 0, err
	}
	defer stmt.Finalize()
	return to.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		if more, err := stmt.Step(); err != nil || !more {
			return nil, err
		}
		row := make([]any, len(columns))
		for i := range row {
			switch stmt.ColumnType(i) {
			case sqlite.TypeInteger:
				row[i] = stmt.ColumnInt64(i)
			case sqlite.TypeFloat:
				row[i] = stmt.ColumnFloat(i)
			case sqlite.TypeText:
				row[i] = stmt.ColumnText(i)
			case sqlite.TypeBlob:
				blob := make([]byte, stmt.ColumnLen(i))
				stmt.ColumnBytes(i, blob)
				row[i] = blob
			}
		}
		return row, nil
	}))
}
