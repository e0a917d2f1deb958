// Sells the 100 seats of a hall at four counters.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	headpond "github.com/headpond/headpond/backends/sqlite"
	"golang.org/x/sync/errgroup"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) (err error) {
	directory, err := os.MkdirTemp("", "seats-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	db, err := headpond.Open(ctx, filepath.Join(directory, "seats.db"), headpond.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(context.WithoutCancel(ctx))) }()
	hall := &hall{db}
	if err := hall.create(ctx); err != nil {
		return err
	}
	var counters errgroup.Group
	for counter := range 4 {
		counters.Go(func() error {
			for buyer := range 30 {
				if _, err := hall.sell(ctx, fmt.Sprintf("buyer %d at counter %d", buyer, counter)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := counters.Wait(); err != nil {
		return err
	}
	sold, buyers, err := hall.count(ctx)
	fmt.Printf("%d seats sold to %d of 120 buyers\n", sold, buyers)
	return err
}

type hall struct {
	db *headpond.DB
}

func (h *hall) create(ctx context.Context) error {
	return h.db.Write(ctx, func(_ context.Context, conn *sqlite.Conn) error {
		return sqlitex.ExecuteScript(conn, `
			CREATE TABLE seats (id INTEGER PRIMARY KEY, buyer TEXT);
			WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 100)
			INSERT INTO seats (id) SELECT id FROM n;
		`, nil)
	})
}

// sell sells the next free seat and returns its number, 0 if there is none.
func (h *hall) sell(ctx context.Context, buyer string) (seat int64, err error) {
	err = h.db.Write(ctx, func(_ context.Context, conn *sqlite.Conn) (err error) {
		seat, err = sellNext(conn, buyer)
		return err
	})
	return seat, err
}

// sellNext is what sell does in its transaction.
func sellNext(conn *sqlite.Conn, buyer string) (seat int64, err error) {
	seat, err = sqlitex.ResultInt64(conn.Prep("SELECT coalesce(min(id), 0) FROM seats WHERE buyer IS NULL"))
	if err != nil || seat == 0 {
		return 0, err
	}
	return seat, sqlitex.Execute(conn, "UPDATE seats SET buyer = ? WHERE id = ?", &sqlitex.ExecOptions{Args: []any{buyer, seat}})
}

// count returns how many seats are sold, and to how many buyers.
func (h *hall) count(ctx context.Context) (sold, buyers int64, err error) {
	err = h.db.Read(ctx, func(_ context.Context, conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, "SELECT count(buyer), count(DISTINCT buyer) FROM seats", &sqlitex.ExecOptions{
			ResultFunc: func(stmt *sqlite.Stmt) error {
				sold, buyers = stmt.ColumnInt64(0), stmt.ColumnInt64(1)
				return nil
			},
		})
	})
	return sold, buyers, err
}
