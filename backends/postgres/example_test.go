package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/headpond/headpond/backends/postgres"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"github.com/jackc/pgx/v5"
)

// The examples need a server, so they are compiled, and not run.

func Example() {
	ctx := context.Background()
	db, err := postgres.Open(ctx, "postgres://app@db.example.com/orders", postgres.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	err = db.Write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE stock SET n = n - 1 WHERE id = $1", 7)
		return err
	})
	switch {
	case errors.Is(err, postgres.ErrOutcomeUnknown): // look whether it was done before it is done again
	case err != nil:
		log.Fatal(err)
	}
	left, err := postgres.Read(ctx, db, func(ctx context.Context, tx pgx.Tx) (n int, err error) {
		err = tx.QueryRow(ctx, "SELECT n FROM stock WHERE id = $1", 7).Scan(&n)
		return n, err
	})
	fmt.Println(left, err)
}

func ExampleOpen_replicas() {
	db, err := postgres.Open(context.Background(), "postgres://app@db1.example.com,db2.example.com,db3.example.com/orders", postgres.Options{
		MaxLag: time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, server := range db.Stats().Cluster.Servers {
		fmt.Println(server.Host, server.Role, server.Fit, server.Lag)
	}
}

func ExampleHooks() {
	config, err := pgx.ParseConfig("postgres://app@db.example.com/orders")
	if err != nil {
		log.Fatal(err)
	}
	conns, err := pool.New(postgres.Hooks(config, postgres.Options{}), pool.Options{
		Name: "orders", MaxSize: 10, Policy: resource.Policy{MaxLifetime: time.Hour},
	})
	if err != nil {
		log.Fatal(err)
	}
	lease, err := conns.Acquire(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release()
	fmt.Println(lease.Value().Ping(context.Background()))
}

func ExampleOpenDB() {
	db, err := postgres.Open(context.Background(), "postgres://app@db.example.com/orders", postgres.Options{})
	if err != nil {
		log.Fatal(err)
	}
	sqlDB := postgres.OpenDB(db.Writer()) // for what wants a *sql.DB
	defer sqlDB.Close()
}
