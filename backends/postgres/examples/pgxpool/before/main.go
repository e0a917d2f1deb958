// Sells the 100 seats of a hall at four counters.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

func main() {
	if err := run(context.Background(), os.Getenv("DATABASE_URL")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url string) (err error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	config.MaxConns = 8
	config.AfterRelease = func(conn *pgx.Conn) bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, err := conn.Exec(ctx, "RESET ALL")
		return err == nil
	}
	conns, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conns.Close()
	if err := conns.Ping(ctx); err != nil {
		return err
	}
	hall := &hall{conns}
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
	conns *pgxpool.Pool
}

func (h *hall) create(ctx context.Context) error {
	return pgx.BeginFunc(ctx, h.conns, func(tx pgx.Tx) error {
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
	for {
		err = pgx.BeginTxFunc(ctx, h.conns, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) (err error) {
			seat, err = sellNext(ctx, tx, buyer)
			return err
		})
		var failed *pgconn.PgError
		if !errors.As(err, &failed) || failed.Code != "40001" && failed.Code != "40P01" {
			return seat, err
		}
	}
}

// sellNext is what sell does in its transaction.
func sellNext(ctx context.Context, tx pgx.Tx, buyer string) (seat int64, err error) {
	err = tx.QueryRow(ctx, "SELECT coalesce(min(id), 0) FROM seats WHERE buyer IS NULL").Scan(&seat)
	if err != nil || seat == 0 {
		return 0, err
	}
	_, err = tx.Exec(ctx, "UPDATE seats SET buyer = $1 WHERE id = $2", buyer, seat)
	return seat, err
}

// count returns how many seats are sold, and to how many buyers.
func (h *hall) count(ctx context.Context) (sold, buyers int64, err error) {
	err = h.conns.QueryRow(ctx, "SELECT count(buyer), count(DISTINCT buyer) FROM seats").Scan(&sold, &buyers)
	return sold, buyers, err
}
