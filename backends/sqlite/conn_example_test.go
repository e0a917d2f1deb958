package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Reset serves connections that come from elsewhere, too.
func ExampleReset() {
	ctx := context.Background()
	conn, err := zombiezen.OpenConn(":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	if err := sqlitex.ExecuteTransient(conn, "BEGIN", nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println("in a transaction:", !conn.AutocommitEnabled())
	if err := sqlite.Reset(ctx, conn); err != nil {
		log.Fatal(err) // close it
	}
	fmt.Println("in a transaction:", !conn.AutocommitEnabled())
	// Output:
	// in a transaction: true
	// in a transaction: false
}

// A connection that left its pool is its owner's to close.
func ExampleClose() {
	ctx := context.Background()
	db, err := sqlite.OpenMemory(ctx, sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	lease, err := db.Writer().Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	conn := lease.Detach()
	fmt.Println(sqlite.Close(conn)) // not conn.Close()
	// Output: <nil>
}

// A statement that was never finalized keeps the file open: the error says which.
func ExampleUnfinalizedError() {
	ctx := context.Background()
	db, err := sqlite.OpenMemory(ctx, sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	lease, err := db.Writer().Acquire(ctx)
	if err != nil {
		log.Fatal(err)
	}
	conn := lease.Detach()
	if _, _, err := conn.PrepareTransient("SELECT 1"); err != nil { // and no Finalize
		log.Fatal(err)
	}
	err = sqlite.Close(conn)
	var unfinalized *sqlite.UnfinalizedError
	if errors.As(err, &unfinalized) {
		fmt.Println(unfinalized.Count, unfinalized.Texts)
	}
	// Output: 1 [SELECT 1]
}

// Where and why a connection could not be opened.
func ExampleOpenError() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	_, err := sqlite.Open(ctx, filepath.Dir(path), sqlite.Options{})
	var failed *sqlite.OpenError
	if errors.As(err, &failed) {
		fmt.Println(filepath.IsAbs(failed.Path), failed.Mode, failed.Step)
		fmt.Println(errors.Is(err, sqlite.ErrNotFile))
	}
	// Output:
	// true writer look
	// true
}

// What telemetry may have of the error: a name without the path.
func ExampleOpenError_ErrorType() {
	ctx := context.Background()
	path, remove := newFile()
	defer remove()
	if err := os.WriteFile(path, []byte(strings.Repeat("a letter\n", 100)), 0o600); err != nil {
		log.Fatal(err)
	}
	_, err := sqlite.Open(ctx, path, sqlite.Options{})
	var failed *sqlite.OpenError
	if errors.As(err, &failed) {
		fmt.Println(failed.ErrorType(), errors.Is(err, sqlite.ErrNotDatabase))
	}
	// Output: SQLITE_NOTADB true
}

// A finding on a reader or the writer, as a log could have it.
func ExampleFinding() {
	ctx := context.Background()
	db, err := sqlite.OpenMemory(ctx, sqlite.Options{OnFinding: func(_ context.Context, finding sqlite.Finding) {
		fmt.Println(finding.Mode, "came back with:", finding)
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	err = db.Writer().Do(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		return sqlitex.ExecuteTransient(conn, "PRAGMA recursive_triggers=on", nil)
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: writer came back with: pragma (recursive_triggers)
}

// How often what was left behind. Anything but zero is a mistake in the program.
func ExampleFound() {
	ctx := context.Background()
	db, err := sqlite.OpenMemory(ctx, sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	err = db.Writer().Do(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		return sqlitex.ExecuteScript(conn, "CREATE TEMP TABLE mine (x)", nil)
	})
	if err != nil {
		log.Fatal(err)
	}
	for kind, count := range db.Stats().Found {
		if count > 0 {
			fmt.Println(sqlite.FindingKind(kind), count)
		}
	}
	// Output: temp 1
}

// The names are the kinds of the figure headpond.sqlite.findings.
func ExampleFindingKind() {
	for kind := range sqlite.FindingKinds {
		fmt.Print(kind, " ")
	}
	fmt.Println()
	// Output: statement transaction limit busy_handler interrupt idle_transaction temp attach pragma function authorizer session statements closed wedged unfinalized
}

// What a caller can do about an error of SQLite's.
func ExampleDB_Write_codes() {
	ctx := context.Background()
	db, err := sqlite.OpenMemory(ctx, sqlite.Options{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close(ctx)
	err = db.Write(ctx, func(ctx context.Context, conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, "INSERT INTO stock VALUES ('pear', 1)", nil)
	})
	switch {
	case errors.Is(err, pool.ErrAcquireTimeout):
		fmt.Println("too many write: later")
	case zombiezen.ErrCode(err).ToPrimary() == zombiezen.ResultBusy:
		fmt.Println("another process writes: later")
	case zombiezen.ErrCode(err) == zombiezen.ResultConstraintPrimaryKey:
		fmt.Println("it is there already")
	case err != nil:
		fmt.Println(err)
	}
	// Output: it is there already
}
