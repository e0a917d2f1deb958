package tenants_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/headpond/headpond/pool"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
	"zombiezen.com/go/sqlite/sqlitex"
)

// notes is the schema of each tenant in the examples.
var notes = &sqlitemigration.Schema{Migrations: []string{"CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"}}

// openNotes makes a pool in a directory of its own; remove closes it and takes the directory away.
func openNotes(options tenants.Options) (p *tenants.Pool, directory string, remove func()) {
	directory, err := os.MkdirTemp("", "headpond-example-")
	if err != nil {
		log.Fatal(err)
	}
	options.Path, options.Database.Schema = tenants.Directory(directory), notes
	p, err = tenants.New(options)
	if err != nil {
		log.Fatal(err)
	}
	return p, directory, func() {
		if err := p.Close(context.Background()); err != nil {
			log.Fatal(err)
		}
		_ = os.RemoveAll(directory)
	}
}

// add writes a note.
func add(text string) func(ctx context.Context, conn *sqlite.Conn) error {
	return func(_ context.Context, conn *sqlite.Conn) error {
		return sqlitex.Execute(conn, "INSERT INTO note (text) VALUES (?)", &sqlitex.ExecOptions{Args: []any{text}})
	}
}

// show prints the notes.
func show(_ context.Context, conn *sqlite.Conn) error {
	return sqlitex.Execute(conn, "SELECT text FROM note ORDER BY id", &sqlitex.ExecOptions{ResultFunc: func(row *zombiezen.Stmt) error {
		fmt.Println(row.ColumnText(0))
		return nil
	}})
}

func ExampleNew() {
	directory, err := os.MkdirTemp("", "headpond-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(directory)
	p, err := tenants.New(tenants.Options{
		Path:      tenants.Directory(directory),
		Database:  sqlite.Options{Schema: notes},
		MaxOpen:   200,
		IdleAfter: 10 * time.Minute,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := p.Write(ctx, "acme", add("buy rope")); err != nil {
		log.Fatal(err)
	}
	if err := p.Read(ctx, "acme", show); err != nil {
		log.Fatal(err)
	}
	if err := p.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: buy rope
}

func ExampleDirectory() {
	path := tenants.Directory("/var/lib/app")
	for _, tenant := range []string{"acme", "Acme", "a/b", "con"} {
		at, err := path(tenant)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(filepath.Base(at))
	}
	_, err := path("")
	fmt.Println(err)
	// Output:
	// acme.db
	// =41cme.db
	// a=2fb.db
	// =63on.db
	// the name is empty
}

// Names that come from outside must be known, or any of them makes a file.
func ExampleDirectory_known() {
	directory, err := os.MkdirTemp("", "headpond-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(directory)
	known := map[string]bool{"acme": true}
	files := tenants.Directory(directory)
	p, err := tenants.New(tenants.Options{
		Database: sqlite.Options{Schema: notes},
		Path: func(tenant string) (string, error) {
			if !known[tenant] {
				return "", errors.New("no such tenant")
			}
			return files(tenant)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	fmt.Println(p.Write(ctx, "acme", add("buy rope")))
	fmt.Println(p.Write(ctx, "acme'--", add("buy rope")))
	fmt.Println(tenants.List(directory))
	if err := p.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// <nil>
	// headpond/tenants "tenants": "acme'--": path: no such tenant
	// [acme] <nil>
}

func ExampleList() {
	p, directory, remove := openNotes(tenants.Options{})
	defer remove()
	for _, tenant := range []string{"zeta", "Acme"} {
		if err := p.Write(context.Background(), tenant, add("hello")); err != nil {
			log.Fatal(err)
		}
	}
	all, err := tenants.List(directory)
	fmt.Println(all, err)
	// Output: [Acme zeta] <nil>
}

func ExamplePool_Batch() {
	p, _, remove := openNotes(tenants.Options{})
	defer remove()
	ctx := context.Background()
	// Many goroutines that write a little for one tenant share commits.
	if err := p.Batch(ctx, "acme", add("buy rope")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Read(ctx, "acme", show))
	// Output:
	// buy rope
	// <nil>
}

func ExamplePool_Do() {
	p, _, remove := openNotes(tenants.Options{})
	defer remove()
	ctx := context.Background()
	err := p.Do(ctx, "acme", func(ctx context.Context, db *sqlite.DB) error { // it stays open until this returns
		if err := db.Write(ctx, add("buy rope")); err != nil {
			return err
		}
		return db.Read(ctx, show)
	})
	fmt.Println(err)
	// Output:
	// buy rope
	// <nil>
}

func ExamplePool_SQL() {
	p, _, remove := openNotes(tenants.Options{})
	defer remove()
	db := p.SQL("acme")
	if _, err := db.Exec("INSERT INTO note (text) VALUES (?)", "buy rope"); err != nil {
		log.Fatal(err)
	}
	var text string
	if err := db.QueryRow("SELECT text FROM note").Scan(&text); err != nil {
		log.Fatal(err)
	}
	fmt.Println(text)
	// Output: buy rope
}

func ExamplePool_Exclusive() {
	p, _, remove := openNotes(tenants.Options{})
	defer remove()
	ctx := context.Background()
	if err := p.Write(ctx, "acme", add("buy rope")); err != nil {
		log.Fatal(err)
	}
	err := p.Exclusive(ctx, "acme", func(_ context.Context, path string) error {
		return os.Remove(path) // it is closed, and stays so until this returns
	})
	fmt.Println(err)
	fmt.Println(p.Read(ctx, "acme", show), "and no notes")
	// Output:
	// <nil>
	// <nil> and no notes
}

func ExamplePool_Migrate() {
	p, directory, remove := openNotes(tenants.Options{})
	defer remove()
	ctx := context.Background()
	for _, tenant := range []string{"acme", "zeta"} {
		if err := p.Write(ctx, tenant, add("hello")); err != nil {
			log.Fatal(err)
		}
	}
	// Usually on a goroutine of its own when the program starts, so that it serves calls meanwhile.
	all, err := tenants.List(directory)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.Migrate(ctx, slices.Values(all), 0), p.Stats().Migrated)
	// Output: <nil> 2
}

func ExamplePool_Backup() {
	p, directory, remove := openNotes(tenants.Options{})
	defer remove()
	ctx := context.Background()
	if err := p.Write(ctx, "acme", add("buy rope")); err != nil {
		log.Fatal(err)
	}
	copies := filepath.Join(directory, "2026-11-26")
	if err := os.Mkdir(copies, 0o700); err != nil {
		log.Fatal(err)
	}
	all, err := tenants.List(directory)
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Backup(ctx, copies, slices.Values(all), 0); err != nil {
		log.Fatal(err)
	}
	fmt.Println(tenants.List(copies))
	// Output: [acme] <nil>
}

func ExamplePool_Tenants() {
	p, _, remove := openNotes(tenants.Options{})
	defer remove()
	for _, tenant := range []string{"acme", "zeta"} {
		if err := p.Write(context.Background(), tenant, add("hello")); err != nil {
			log.Fatal(err)
		}
	}
	for _, tenant := range p.Tenants() { // the most recently used first
		fmt.Println(tenant.Name, tenant.Uses)
	}
	// Output:
	// zeta 1
	// acme 1
}

func ExamplePool_Stats() {
	p, _, remove := openNotes(tenants.Options{MaxOpen: 200})
	defer remove()
	for range 3 {
		if err := p.Write(context.Background(), "acme", add("hello")); err != nil {
			log.Fatal(err)
		}
	}
	stats := p.Stats()
	fmt.Println(stats.Open, "of", stats.MaxOpen, "open;", stats.Hits, "calls found theirs open,", stats.Waited, "waited")
	// Output: 1 of 200 open; 2 calls found theirs open, 1 waited
}

func ExamplePool_Holders() {
	p, _, remove := openNotes(tenants.Options{})
	defer remove()
	_ = p.Do(context.Background(), "acme", func(context.Context, *sqlite.DB) error {
		for _, holder := range p.Holders() {
			fmt.Println(holder.Tenant)
		}
		return nil
	})
	// Output: acme
}

// A call inside a call that could wait for itself is refused at once.
func ExamplePool_Read_nested() {
	p, _, remove := openNotes(tenants.Options{MaxOpen: 1})
	defer remove()
	_ = p.Do(context.Background(), "acme", func(ctx context.Context, _ *sqlite.DB) error {
		err := p.Read(ctx, "zeta", show) // the only place is acme's
		fmt.Println(errors.Is(err, pool.ErrNested))
		return err
	})
	// Output: true
}

func ExampleError() {
	p, directory, remove := openNotes(tenants.Options{})
	defer remove()
	if err := os.WriteFile(filepath.Join(directory, "acme.db"), []byte("this is a text, and no database at all"), 0o600); err != nil {
		log.Fatal(err)
	}
	err := p.Read(context.Background(), "acme", show)
	var failed *tenants.Error
	if errors.As(err, &failed) {
		fmt.Println(failed.Tenant, failed.Op, errors.Is(err, sqlite.ErrNotDatabase))
	}
	// Output: acme open true
}
