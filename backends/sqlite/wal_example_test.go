package sqlite_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
)

// The file is complete by itself afterwards, as for a tool that copies it.
func ExampleDB_Checkpoint() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	if err := db.Write(ctx, sell); err != nil {
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

// A snapshot that is in the way is no error: the checkpoint says whose it most likely is.
func ExampleCheckpoint() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	reading, enough := make(chan error), make(chan struct{})
	go func() {
		err := db.Read(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
			_, err := stock(conn) // the snapshot begins
			reading <- err
			<-enough
			return nil
		})
		reading <- err
	}()
	if err := <-reading; err != nil {
		log.Fatal(err)
	}
	if err := db.Write(ctx, sell); err != nil {
		log.Fatal(err)
	}
	done, err := db.Checkpoint(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("complete:", done.Complete, "a reader is in the way:", done.Pinned != nil)
	close(enough)
	if err := <-reading; err != nil {
		log.Fatal(err)
	}
	// Output: complete: false a reader is in the way: true
}

// How the write-ahead log stands, for a page or an alarm.
func ExampleWAL() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	if err := db.Write(ctx, sell); err != nil {
		log.Fatal(err)
	}
	wal := db.Stats().WAL
	fmt.Println("in the log:", wal.Pages, "page, the file has bytes:", wal.Size > 0, "pinned for", wal.PinnedFor)
	// Output: in the log: 1 page, the file has bytes: true pinned for 0s
}

// A reader that stays makes the log grow: OnPinned says which.
func ExampleOptions_onPinned() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	told := make(chan sqlite.Pinned, 1)
	db, err := sqlite.Open(ctx, path, sqlite.Options{
		Schema:      schema,
		LeakAfter:   time.Minute,      // so that a reader knows its caller
		PinnedAfter: time.Millisecond, // the default is 5s
		OnPinned:    func(pinned sqlite.Pinned) { told <- pinned },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)

	err = db.Read(ctx, func(_ context.Context, conn *sqlite.Conn) error {
		if _, err := stock(conn); err != nil { // the snapshot begins
			return err
		}
		sold := make(chan error)
		go func() { sold <- db.Write(ctx, sell) }() // another caller
		if err := <-sold; err != nil {
			return err
		}
		pinned := <-told
		fmt.Println(pinned.Reader.Stack.Frames()[0].Function != "", pinned.Moved < pinned.Pages)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: true true
}

func ExamplePinned() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	db, err := sqlite.Open(ctx, path, sqlite.Options{OnPinned: func(pinned sqlite.Pinned) {
		log.Print(pinned) // for how long, how large the log is, and most likely who
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	fmt.Println(sqlite.Pinned{For: 5 * time.Second, Pages: 2400, Moved: 100, Size: 9 << 20})
	// Output: a snapshot has kept the write-ahead log from starting over for 5s (100 of 2400 pages are in the database file, the log has 9437184 bytes): another process, or a connection that left its pool
}
