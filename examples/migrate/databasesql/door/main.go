// Sells the 100 seats of a hall at four counters.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "github.com/headpond/headpond/backends/sqlite/stdlib"
	"golang.org/x/sync/errgroup"
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
	db, err := sql.Open("headpond", filepath.Join(directory, "seats.db")+"?synchronous=full")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
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
	db *sql.DB
}

func (h *hall) create(ctx context.Context) error {
	_, err := h.db.ExecContext(ctx, `
		CREATE TABLE seats (id INTEGER PRIMARY KEY, buyer TEXT);
		WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 100)
		INSERT INTO seats (id) SELECT id FROM n;
	`)
	return err
}

// sell sells the next free seat and returns its number, 0 if there is none.
func (h *hall) sell(ctx context.Context, buyer string) (seat int64, err error) {
	tx, err := h.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	seat, err = sellNext(ctx, tx, buyer)
	if err != nil {
		return 0, err
	}
	return seat, tx.Commit()
}

// sellNext is what sell does in its transaction.
func sellNext(ctx context.Context, tx *sql.Tx, buyer string) (seat int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT coalesce(min(id), 0) FROM seats WHERE buyer IS NULL").Scan(&seat)
	if err != nil || seat == 0 {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, "UPDATE seats SET buyer = ? WHERE id = ?", buyer, seat)
	return seat, err
}

// count returns how many seats are sold, and to how many buyers.
func (h *hall) count(ctx context.Context) (sold, buyers int64, err error) {
	err = h.db.QueryRowContext(ctx, "SELECT count(buyer), count(DISTINCT buyer) FROM seats").Scan(&sold, &buyers)
	return sold, buyers, err
}
