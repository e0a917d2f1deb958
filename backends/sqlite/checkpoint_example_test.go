package sqlite_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
)

// The file is complete by itself afterwards, as for a tool that copies it.
func ExampleDB_Checkpoint() {
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

	err = db.Write(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		_, err := conn.Prep("UPDATE stock SET n=7").Step()
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("in the log:", db.Stats().WAL.Size > 0)
	done, err := db.Checkpoint(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("complete:", done.Complete, "in the log:", done.Size)
	// Output:
	// in the log: true
	// complete: true in the log: 0
}

// A reader that stays makes the log grow: the log of the program names it.
func ExampleOptions_onPinned() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	told := make(chan sqlite.Pinned, 1)
	db, err := sqlite.Open(ctx, filepath.Join(dir, "orders.db"), sqlite.Options{
		Schema: schema, LeakAfter: time.Minute, // for the stack
		PinnedAfter: time.Millisecond, OnPinned: func(pinned sqlite.Pinned) { told <- pinned },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	err = db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		if _, err := stock(conn); err != nil {
			return err
		}
		err := db.Write(context.Background(), func(ctx context.Context, conn *sqlite.Conn) error {
			_, err := conn.Prep("UPDATE stock SET n=7").Step()
			return err
		})
		pinned := <-told
		fmt.Println(pinned.Reader != nil, pinned.Pages > pinned.Moved)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: true true
}
