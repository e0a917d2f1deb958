// Tenants is an HTTP service that keeps notes, in a database for each account: tens of thousands of files,
// of which a bounded number is open at a time.
//
//	go run ./tenants -dir accounts            # then: curl -X PUT localhost:8080/accounts/acme
//	                                          #       curl -d '{"text":"buy rope"}' localhost:8080/accounts/acme/notes
//	go run ./tenants -load 5s                 # drives itself for 5 s, on 10,000 accounts in a temporary directory
//	go run ./tenants -dir accounts -backup copies
//
// A database of the service's own says which accounts there are, so that a name in a URL creates none.
// What the pool does is at /debug/poolz, the accounts whose databases are open at /debug/accounts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/pool/poollog"
	"github.com/headpond/headpond/pool/poolz"
	"zombiezen.com/go/sqlite/sqlitemigration"
)

// settings are the flags.
type settings struct {
	directory, backup, address string
	open, accounts             int
	load, drain                time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.directory, "dir", "", "the directory of the databases (default: a temporary one)")
	flag.StringVar(&s.backup, "backup", "", "copy every account's database to this directory, and stop")
	flag.StringVar(&s.address, "listen", "localhost:8080", "the address to listen on")
	flag.IntVar(&s.open, "open", 200, "the most databases that are open at the same time")
	flag.DurationVar(&s.drain, "drain", 10*time.Second, "how long requests go on that are under way at SIGTERM")
	flag.DurationVar(&s.load, "load", 0, "drive the service for so long, then stop")
	flag.IntVar(&s.accounts, "accounts", 10_000, "how many accounts -load uses")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, s); err != nil {
		slog.Error("the service failed", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	if s.directory == "" {
		if s.directory, err = os.MkdirTemp("", "headpond-tenants-"); err != nil {
			return err
		}
		defer os.RemoveAll(s.directory)
	}
	page := poolz.New()
	notes, err := open(ctx, s.directory, s.open, pool.Observers(page.Observer(), poollog.Observer(slog.Default())))
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second) // ctx has ended by now
		defer cancel()
		if err = errors.Join(err, notes.close(last)); err == nil {
			slog.Info("stopped: every database is closed")
		}
	}()
	if s.backup != "" {
		return notes.backup(ctx, s.backup)
	}
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	defer all.Wait()
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	url := "http://" + listener.Addr().String()
	slog.Info("listening", "accounts", url+"/accounts/{account}", "pools", url+"/debug/poolz", "open", url+"/debug/accounts")
	migrating := running
	all.Go(func() { notes.migrate(migrating) })
	if s.load > 0 {
		limited, cancel := context.WithTimeout(running, s.load)
		defer cancel()
		running = limited
		all.Go(func() { drive(limited, url, s.accounts); notes.report() })
	}
	return serve(running, listener, notes.handler(page), s.drain)
}

// open opens the database that lists the accounts, and makes the pool of theirs.
func open(ctx context.Context, directory string, most int, observer pool.Observer) (*service, error) {
	accounts, err := sqlite.Open(ctx, filepath.Join(directory, "accounts.db"), sqlite.Options{
		Schema:   &sqlitemigration.Schema{Migrations: []string{"CREATE TABLE account (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID"}},
		Observer: observer,
	})
	if err != nil {
		return nil, err
	}
	s := &service{accounts: accounts, directory: filepath.Join(directory, "account")}
	if err := os.Mkdir(s.directory, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, errors.Join(err, accounts.Close(ctx))
	}
	path := tenants.Directory(s.directory)
	s.notes, err = tenants.New(tenants.Options{
		Name: "notes",
		Path: func(account string) (string, error) {
			if !s.exists(account) {
				return "", errNotFound
			}
			return path(account)
		},
		Database: sqlite.Options{
			CacheSize: 256 << 10, // of each of two connections
			Schema: &sqlitemigration.Schema{Migrations: []string{
				"CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT",
				"ALTER TABLE note ADD written TEXT NOT NULL DEFAULT ''", // a migration that has run never changes
			}},
		},
		MaxOpen:    most,
		MaxWaiters: 1000, // past that the service says so at once
		IdleAfter:  time.Minute,
		Observer:   observer,
	})
	if err != nil {
		return nil, errors.Join(err, accounts.Close(ctx))
	}
	return s, nil
}

// close closes the databases of the accounts before the one that lists them, which they ask.
func (s *service) close(ctx context.Context) error {
	return errors.Join(s.notes.Close(ctx), s.accounts.Close(ctx))
}

// migrate brings every account up to date while the service runs.
func (s *service) migrate(ctx context.Context) {
	began := time.Now()
	all, err := tenants.List(s.directory)
	if err == nil {
		err = s.notes.Migrate(ctx, slices.Values(all), 1)
	}
	if err != nil && ctx.Err() == nil {
		slog.Error("some accounts could not be migrated", "err", err)
	}
	slog.Info("migrated", "accounts", s.notes.Stats().Migrated, "took", time.Since(began).Round(time.Millisecond))
}

// backup copies every account to a directory. Called again with the same one, it goes on where it stopped.
func (s *service) backup(ctx context.Context, directory string) error {
	all, err := tenants.List(s.directory)
	if err != nil {
		return err
	}
	err = s.notes.Backup(ctx, directory, slices.Values(all), 0)
	slog.Info("copied", "accounts", s.notes.Stats().BackedUp, "to", directory)
	return err
}

func (s *service) report() {
	stats := s.notes.Stats()
	fmt.Printf("%d calls found their database open, %d waited; %d databases opened, %d evicted, at most %d open\n",
		stats.Hits, stats.Waited, stats.Opened, stats.Evicted, stats.MaxOpen)
}

// serve answers requests until ctx ends: then it takes no more, and waits for those under way.
// What still runs after the time of drain is cancelled.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, drain time.Duration) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := &http.Server{
		Handler:     handler,
		BaseContext: func(net.Listener) context.Context { return requests },
		ReadTimeout: 10 * time.Second,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	defer time.AfterFunc(drain, cancel).Stop()
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), drain+2*time.Second)
	defer stop()
	return server.Shutdown(last)
}
