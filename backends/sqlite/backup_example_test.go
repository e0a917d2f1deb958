package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/headpond/headpond/backends/sqlite"
)

func ExampleDB_Backup() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.Open(ctx, filepath.Join(dir, "orders.db"), sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	monday := filepath.Join(dir, "monday.db")
	err = db.Backup(ctx, monday, func(done, total int) {
		fmt.Printf("%d%%\n", 100*done/total)
	})
	fmt.Println(err)
	err = db.Backup(ctx, monday, nil)
	fmt.Println("overwrites nothing:", errors.Is(err, fs.ErrExist))

	restored, err := sqlite.Open(ctx, monday, sqlite.Options{ReadOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	defer restored.Close(ctx)
	err = restored.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		n, err := stock(conn)
		fmt.Println("pears:", n)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// 100%
	// <nil>
	// overwrites nothing: true
	// pears: 2
}
