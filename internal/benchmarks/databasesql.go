package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	headpond "github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/stdlib"
)

// A door is a way to a *sql.DB over one SQLite file, as a program that knows nothing of it would have it: one for everything.
type door struct {
	name, settings string
	open           func(path, synchronous string) (db *sql.DB, close func())
}

var headpondDoor = door{"headpond, stdlib", "stdlib.OpenDB with its defaults, without SetMaxOpenConns", func(path, synchronous string) (*sql.DB, func()) {
	modes := map[string]headpond.Synchronous{"FULL": headpond.SyncFull, "NORMAL": headpond.SyncNormal}
	db, err := headpond.Open(context.Background(), path, headpond.Options{Synchronous: modes[synchronous]})
	check(err)
	door := stdlib.OpenDB(db, stdlib.Options{})
	door.SetMaxIdleConns(512) // sessions, which hold nothing; database/sql keeps two
	return door, func() {
		check(door.Close())
		check(db.Close(context.Background()))
	}
}}

// driverDoor is another driver with a number of connections.
func driverDoor(s store, driver, name string, connections int) door {
	plural := "s"
	if connections == 1 {
		plural = ""
	}
	return door{fmt.Sprintf("%s, %d connection%s", s.name, connections, plural), s.settings, func(path, synchronous string) (*sql.DB, func()) {
		db, err := sql.Open(driver, fmt.Sprintf(name, path, synchronous))
		check(err)
		db.SetMaxOpenConns(connections)
		db.SetMaxIdleConns(connections)
		return db, func() { check(db.Close()) }
	}}
}

func mattnDoor(connections int) door {
	return driverDoor(mattn, "sqlite3", "file:%s?_journal_mode=WAL&_busy_timeout=10000&_mutex=no&_stmt_cache_size=16&_synchronous=%s&_txlock=immediate", connections)
}

func moderncDoor(connections int) door {
	return driverDoor(modernc, "sqlite", "file:%s?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_pragma=synchronous(%s)&_txlock=immediate", connections)
}

// under returns the entrant whose turns do the same prepared statement again and again.
func (d door) under(l load, in directory, synchronous, query string, do func(ctx context.Context, stmt *sql.Stmt) error) entrant {
	return entrant{d.name, d.settings, func() (func(time.Duration) figures, func()) {
		path, remove := in.create()
		db, end := d.open(path, synchronous)
		stmt, err := db.Prepare(query)
		check(err)
		turn := func(time time.Duration) figures {
			return l.run(time, func(ctx context.Context, _ int) error { return do(ctx, stmt) })
		}
		return turn, func() {
			check(stmt.Close())
			end()
			remove()
		}
	}}
}

func insertOne(ctx context.Context, stmt *sql.Stmt) error {
	_, err := stmt.ExecContext(ctx, rand.IntN(accounts))
	return err
}

func sqlWrites(in directory, synchronous string) group {
	g := group{
		name:  "sql-write-" + strings.ToLower(synchronous),
		title: "database/sql: autocommit INSERT, synchronous=" + synchronous,
		about: "Each goroutine inserts rows through one prepared statement of one *sql.DB, one after another. " +
			"`longest wait` is the longest that one took, in any round.",
		columns: percentiles,
		base:    "modernc, 1 connection",
		chart:   lines("goroutines", "inserts a second"),
	}
	for _, goroutines := range []int{1, 64, 256} {
		var entrants []entrant
		for _, d := range []door{headpondDoor, moderncDoor(1), moderncDoor(16), mattnDoor(1), mattnDoor(16)} {
			if goroutines > 1 || !strings.Contains(d.name, "16") {
				entrants = append(entrants, d.under(load{goroutines: goroutines, timed: true}, in, synchronous, insert, insertOne))
			}
		}
		g.contests = append(g.contests, contest{commas(float64(goroutines)), 500 * time.Millisecond, entrants})
	}
	return g
}

func sqlReads(in directory) group {
	doors := []door{headpondDoor, moderncDoor(16), mattnDoor(16)}
	under := func(goroutines int, query string, do func(ctx context.Context, stmt *sql.Stmt) error) (entrants []entrant) {
		for _, d := range doors {
			entrants = append(entrants, d.under(load{goroutines: goroutines}, in, "NORMAL", query, do))
		}
		return entrants
	}
	one := func(ctx context.Context, stmt *sql.Stmt) error {
		var name string
		return stmt.QueryRowContext(ctx, rand.IntN(people)).Scan(&name)
	}
	thousand := func(ctx context.Context, stmt *sql.Stmt) error {
		rows, err := stmt.QueryContext(ctx, rand.IntN(people-1000))
		if err != nil {
			return err
		}
		defer rows.Close()
		var id, score, double int64
		var name, email string
		for rows.Next() {
			if err := rows.Scan(&id, &name, &email, &score, &double); err != nil {
				return err
			}
		}
		return rows.Err()
	}
	return group{
		name:    "sql-read",
		title:   "database/sql: reading",
		about:   "Through one prepared statement of one *sql.DB: one row by a random key, and 1,000 rows of 5 columns.",
		columns: []column{{name: "time", show: duration}, {name: "allocs", show: few}},
		base:    "modernc, 16 connections",
		chart:   bars,
		contests: []contest{
			{"point read", 150 * time.Millisecond, under(1, point, one)},
			{"point read, 16 goroutines", 150 * time.Millisecond, under(16, point, one)},
			{"scan of 1,000 rows", 300 * time.Millisecond, under(1, "SELECT id, name, email, score, score*2 FROM people WHERE id >= ? ORDER BY id LIMIT 1000", thousand)},
		},
	}
}
