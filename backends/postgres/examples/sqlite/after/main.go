// Sells the 100 seats of a hall at four counters.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/headpond/headpond/backends/postgres"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

func main() {
	if err := run(context.Background(), os.Getenv("DATABASE_URL")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url string) (err error) {
	db, err := postgres.Open(ctx, url, postgres.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
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
	db *postgres.DB
}

func (h *hall) create(ctx context.Context) error {
	return h.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			DROP TABLE IF EXISTS seats;
			CREATE TABLE seats (id bigint PRIMARY KEY, buyer text);
			INSERT INTO seats SELECT generate_series(1, 100);
		`)
		return err
	})
}

// sell sells the next free seat and returns its number, 0 if there is none.
func (h *hall) sell(ctx context.Context, buyer string) (seat int64, err error) {
	err = h.db.Write(ctx, func(ctx context.Context, tx pgx.Tx) (err error) {
		seat, err = sellNext(ctx, tx, buyer)
		return err
	})
	return seat, err
}

// sellNext is what sell does in its transaction.
func sellNext(ctx context.Context, tx pgx.Tx, buyer string) (seat int64, err error) {
	err = tx.QueryRow(ctx, "SELECT id FROM seats WHERE buyer IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED").Scan(&seat)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, "UPDATE seats SET buyer = $1 WHERE id = $2", buyer, seat)
	return seat, err
}

// count returns how many seats are sold, and to how many buyers.
func (h *hall) count(ctx context.Context) (sold, buyers int64, err error) {
	err = h.db.Read(ctx, func(ctx context.Context, tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT count(buyer), count(DISTINCT buyer) FROM seats").Scan(&sold, &buyers)
	})
	return sold, buyers, err
}
