package main

import (
	"container/list"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	headpond "github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/tenants"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

const (
	tenantCount = 2000 // all of them open are 10,000 file descriptors
	tenantsOpen = 200
)

// createTenants makes a database for each tenant, in a directory of their own.
func (in directory) createTenants() (path func(tenant string) (string, error), remove func()) {
	own, err := os.MkdirTemp(string(in), "headpond-benchmarks-")
	check(err)
	model := filepath.Join(own, "model")
	conn, err := sqlite.OpenConn(model)
	check(err)
	check(sqlitex.ExecuteScript(conn, "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL); INSERT INTO people VALUES (1, 'a person')", nil))
	check(conn.Close())
	content, err := os.ReadFile(model)
	check(err)
	path = tenants.Directory(own)
	for n := range tenantCount {
		at, err := path(fmt.Sprint(n))
		check(err)
		check(os.WriteFile(at, content, 0o600))
	}
	return path, func() { check(os.RemoveAll(own)) }
}

// tenantWork is what is done with one tenant's database: a point read, or with one chance of ten an insert.
type tenantWork func(ctx context.Context, tenant string, write bool) error

const (
	tenantRead  = "SELECT name FROM people WHERE id = 1"
	tenantWrite = "INSERT INTO people (name) VALUES ('another person')"
)

// hosted is headpond's pool of databases.
func hosted(name string, open int) (string, string, func(path func(string) (string, error)) (tenantWork, func())) {
	settings := fmt.Sprintf("tenants.Pool with MaxOpen %d, one reader for each database; reads by Read, writes by Write", open)
	return name, settings, func(path func(string) (string, error)) (tenantWork, func()) {
		p, err := tenants.New(tenants.Options{Path: path, MaxOpen: open, AcquireTimeout: -1})
		check(err)
		if open > tenantCount {
			for n := range tenantCount {
				check(p.Read(context.Background(), fmt.Sprint(n), func(_ context.Context, conn *headpond.Conn) error { return execute(conn, tenantRead) }))
			}
		}
		return func(ctx context.Context, tenant string, write bool) error {
			if write {
				return p.Write(ctx, tenant, func(_ context.Context, conn *headpond.Conn) error { return execute(conn, tenantWrite) })
			}
			return p.Read(ctx, tenant, func(_ context.Context, conn *headpond.Conn) error { return execute(conn, tenantRead) })
		}, func() { check(p.Close(context.Background())) }
	}
}

func execute(conn *sqlite.Conn, query string) error {
	stmt, err := conn.Prepare(query)
	if err != nil {
		return err
	}
	if _, err := stmt.Step(); err != nil {
		return err
	}
	return stmt.Reset()
}

// mapped is a map of *sql.DB behind a mutex, as people write it: a database is opened, and the least recently used one
// closed, under the mutex. That one is closed while it is in use is what it must avoid: it counts its users.
func mapped(name, driver, source string, open int) (string, string, func(path func(string) (string, error)) (tenantWork, func())) {
	settings := fmt.Sprintf("a map of *sql.DB behind a mutex, %d at most, which count their users; the least recently used one is closed; 2 connections each; %s", open, source)
	type handle struct {
		db    *sql.DB
		users int
		used  *list.Element
	}
	return name, settings, func(path func(string) (string, error)) (tenantWork, func()) {
		var mu sync.Mutex
		all, used := map[string]*handle{}, list.New()
		take := func(tenant string) (*handle, error) {
			mu.Lock()
			defer mu.Unlock()
			if h := all[tenant]; h != nil {
				h.users++
				used.MoveToFront(h.used)
				return h, nil
			}
			for last := used.Back(); last != nil && len(all) >= open; {
				victim, before := last.Value.(string), last.Prev()
				if h := all[victim]; h.users == 0 {
					check(h.db.Close())
					used.Remove(last)
					delete(all, victim)
				}
				last = before
			}
			at, err := path(tenant)
			if err != nil {
				return nil, err
			}
			db, err := sql.Open(driver, fmt.Sprintf(source, at))
			if err != nil {
				return nil, err
			}
			db.SetMaxOpenConns(2)
			db.SetMaxIdleConns(2)
			h := &handle{db: db, users: 1, used: used.PushFront(tenant)}
			all[tenant] = h
			return h, nil
		}
		do := func(ctx context.Context, tenant string, write bool) error {
			h, err := take(tenant)
			if err != nil {
				return err
			}
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				h.users--
			}()
			if write {
				_, err := h.db.ExecContext(ctx, tenantWrite)
				return err
			}
			var name string
			return h.db.QueryRowContext(ctx, tenantRead).Scan(&name)
		}
		return do, func() {
			for _, h := range all {
				check(h.db.Close())
			}
		}
	}
}

// manyTenants measures databases by the thousand.
func manyTenants(in directory) group {
	// Names are drawn as often as those of accounts are in services: the n-th most used one about 1/n^s as often as the first.
	under := func(l load, s float64) func(name, settings string, open func(path func(string) (string, error)) (tenantWork, func())) entrant {
		return func(name, settings string, open func(path func(string) (string, error)) (tenantWork, func())) entrant {
			return entrant{name, settings, func() (func(time.Duration) figures, func()) {
				path, remove := in.createTenants()
				do, end := open(path)
				var seed atomic.Uint64
				turn := func(d time.Duration) figures {
					zipfs := sync.Pool{New: func() any {
						return rand.NewZipf(rand.New(rand.NewPCG(seed.Add(1), 1)), s, 1, tenantCount-1)
					}}
					return l.run(d, func(ctx context.Context, _ int) error {
						zipf := zipfs.Get().(*rand.Zipf)
						tenant := fmt.Sprint(zipf.Uint64())
						zipfs.Put(zipf)
						return do(ctx, tenant, rand.IntN(10) == 0)
					})
				}
				return turn, func() { end(); remove() }
			}}
		}
	}
	const (
		moderncSource = "file:%s?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_pragma=synchronous(NORMAL)&_txlock=immediate"
		mattnSource   = "file:%s?_journal_mode=WAL&_busy_timeout=10000&_synchronous=NORMAL&_txlock=immediate"
	)
	g := group{
		name:  "tenants",
		title: "SQLite: a database for each of many tenants",
		about: fmt.Sprintf("%d databases of one small table, of which %d may be open; 16 goroutines; each operation is with 9 chances of 10 a point read, else an insert, "+
			"in the database of a tenant that is drawn by Zipf's law: with exponent 1.1 three operations of four go to a tenth of the tenants, with 2 nearly all go to a few. synchronous=NORMAL.", tenantCount, tenantsOpen),
		columns: percentiles,
		base:    "map of *sql.DB, mattn",
		chart:   bars,
	}
	for _, s := range []float64{1.1, 1.5, 2} {
		enter := under(load{goroutines: 16, timed: true}, s)
		g.contests = append(g.contests, contest{fmt.Sprintf("exponent %g, operations a second", s), 600 * time.Millisecond, []entrant{
			enter(hosted("headpond", tenantsOpen)),
			enter(hosted("headpond, all open", 2*tenantCount)),
			enter(mapped("map of *sql.DB, mattn", "sqlite3", mattnSource, tenantsOpen)),
			enter(mapped("map of *sql.DB, modernc", "sqlite", moderncSource, tenantsOpen)),
		}})
	}
	return g
}
