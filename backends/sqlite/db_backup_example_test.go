package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"path/filepath"

	"github.com/headpond/headpond/backends/sqlite"
)

// A copy of a database in use, which is a database by itself.
func ExampleDB_Backup() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	monday := filepath.Join(filepath.Dir(path), "monday.db")
	err = db.Backup(ctx, monday, func(done, total int) {
		fmt.Printf("%d%%\n", 100*done/total)
	})
	if err != nil {
		log.Fatal(err)
	}
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
	// overwrites nothing: true
	// pears: 2
}
