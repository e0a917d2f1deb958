package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"sync"

	headpond "github.com/headpond/headpond/backends/sqlite"
	"github.com/mattn/go-sqlite3"
	_ "modernc.org/sqlite"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// What everybody does, in the same words.
const (
	people   = 10_000
	accounts = 1_000

	schema = `
		PRAGMA journal_mode = WAL;
		CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, score INTEGER NOT NULL);
		CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
		CREATE TABLE entries (id INTEGER PRIMARY KEY, account INTEGER NOT NULL, amount INTEGER NOT NULL);
		WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
			INSERT INTO people SELECT i, 'person ' || i, 'person.' || i || '@example.com', i % 100 FROM n;
		INSERT INTO accounts SELECT id, 0 FROM people WHERE id < 1000;`

	point  = `SELECT name FROM people WHERE id = ?`
	scan   = `SELECT id, name, email, score FROM people WHERE id >= ? ORDER BY id LIMIT 20`
	insert = `INSERT INTO entries (account, amount) VALUES (?, 1)`
	update = `UPDATE accounts SET balance = balance + 1 WHERE id = ?`
)

// A store is a way to use one SQLite file from many goroutines.
type store struct {
	name, settings string
	open           func(path, synchronous string, readers, writers int) database // writers 0: for reading alone
}

// database is an open one.
type database struct {
	point    func(ctx context.Context, id int) error                   // one row by its key
	scan     func(ctx context.Context, id int) error                   // 20 rows, all columns
	snapshot func(ctx context.Context, ids [10]int, then func()) error // 10 point reads in one transaction, which then prolongs
	write    func(ctx context.Context, account int) error              // an insert and an update in one transaction
	close    func()
}

var (
	headpondDB = store{"headpond", "its defaults; a point read or a scan alone by DB.Readers().Do, a snapshot by DB.Read, a write by DB.Write; statements cached",
		openDB(func(db *headpond.DB) (plain, reading, writing lender) { return db.Readers().Do, db.Read, db.Write })}

	headpondRead = store{"headpond, Read", "as headpond, with DB.Read for every read",
		openDB(func(db *headpond.DB) (plain, reading, writing lender) { return db.Read, db.Read, db.Write })}

	headpondBatch = store{"headpond, Batch", "as headpond, with DB.Batch for every write",
		openDB(func(db *headpond.DB) (plain, reading, writing lender) { return db.Readers().Do, db.Read, db.Batch })}

	bare = store{"bare connection", "zombiezen's Conn, one for reading and one for writing; statements cached, an interrupt armed once; no pool, one goroutine", openBare}

	bareC = store{"bare connection, C", "mattn's Conn without database/sql, one for reading and one for writing; _mutex=no; statements prepared; no pool, one goroutine", openBareC}

	sqlitexPool = store{"sqlitex.Pool", "WAL and block on busy (its defaults); statements cached; " +
		"one pool for reading and one for writing, with sqlitex.ImmediateTransaction", openSqlitex}

	mattn = store{"mattn", "database/sql; _journal_mode=WAL, _busy_timeout=10000, _mutex=no, _stmt_cache_size=16; statements prepared; " +
		"one sql.DB for reading and one with _txlock=immediate for writing; all connections kept idle",
		openSQL("sqlite3", "file:%s?_journal_mode=WAL&_busy_timeout=10000&_mutex=no&_stmt_cache_size=16&_synchronous=%s&_txlock=%s")}

	modernc = store{"modernc", "database/sql; as mattn, but for _mutex and _stmt_cache_size, which it does not know",
		openSQL("sqlite", "file:%s?_journal_mode=WAL&_busy_timeout=10000&_synchronous=%s&_txlock=%s")}
)

// stores are those that a server would choose between.
var stores = []store{headpondDB, sqlitexPool, mattn, modernc}

// With a connection of zombiezen's: the same functions for all whose connections these are.

type (
	using  = func(ctx context.Context, conn *sqlite.Conn) error
	lender = func(ctx context.Context, use using) error // lends use a connection, perhaps in a transaction
)

// lent is a database whose connections come from lenders: as they are, in a transaction that reads, in one that writes.
func lent(plain, reading, writing lender, close func()) database {
	return database{
		point: func(ctx context.Context, id int) error {
			return plain(ctx, func(_ context.Context, conn *sqlite.Conn) error { return pointOn(conn, id) })
		},
		scan: func(ctx context.Context, id int) error {
			return plain(ctx, func(_ context.Context, conn *sqlite.Conn) error { return scanOn(conn, id) })
		},
		snapshot: func(ctx context.Context, ids [10]int, then func()) error {
			return reading(ctx, func(_ context.Context, conn *sqlite.Conn) error {
				for _, id := range ids {
					if err := pointOn(conn, id); err != nil {
						return err
					}
				}
				then()
				return nil
			})
		},
		write: func(ctx context.Context, account int) error {
			return writing(ctx, func(_ context.Context, conn *sqlite.Conn) error { return writeOn(conn, account) })
		},
		close: close,
	}
}

func pointOn(conn *sqlite.Conn, id int) error {
	stmt, err := conn.Prepare(point)
	if err != nil {
		return err
	}
	stmt.BindInt64(1, int64(id))
	if _, err := stmt.Step(); err != nil {
		return err
	}
	_ = stmt.ColumnText(0)
	return stmt.Reset()
}

func scanOn(conn *sqlite.Conn, id int) error {
	stmt, err := conn.Prepare(scan)
	if err != nil {
		return err
	}
	stmt.BindInt64(1, int64(id))
	for {
		if row, err := stmt.Step(); err != nil || !row {
			return err
		}
		_, _, _, _ = stmt.ColumnInt64(0), stmt.ColumnText(1), stmt.ColumnText(2), stmt.ColumnInt64(3)
	}
}

func writeOn(conn *sqlite.Conn, account int) error {
	for _, query := range [...]string{insert, update} {
		stmt, err := conn.Prepare(query)
		if err != nil {
			return err
		}
		stmt.BindInt64(1, int64(account))
		if _, err := stmt.Step(); err != nil {
			return err
		}
	}
	return nil
}

// plainly, deferred and immediate are ways to use a connection of zombiezen's: as it is, and in a transaction.

func plainly(ctx context.Context, conn *sqlite.Conn, use using) error { return use(ctx, conn) }

func deferred(ctx context.Context, conn *sqlite.Conn, use using) (err error) {
	defer sqlitex.Transaction(conn)(&err)
	return use(ctx, conn)
}

func immediate(ctx context.Context, conn *sqlite.Conn, use using) (err error) {
	end, err := sqlitex.ImmediateTransaction(conn)
	if err != nil {
		return err
	}
	defer end(&err)
	return use(ctx, conn)
}

func setSynchronous(mode string) func(conn *sqlite.Conn) error {
	return func(conn *sqlite.Conn) error {
		return sqlitex.ExecuteTransient(conn, "PRAGMA synchronous="+mode, nil)
	}
}

func openDB(ways func(db *headpond.DB) (plain, reading, writing lender)) func(path, synchronous string, readers, writers int) database {
	modes := map[string]headpond.Synchronous{"FULL": headpond.SyncFull, "NORMAL": headpond.SyncNormal}
	return func(path, synchronous string, readers, writers int) database {
		ctx := context.Background()
		db, err := headpond.Open(ctx, path, headpond.Options{Readers: readers, ReadOnly: writers == 0, Synchronous: modes[synchronous]})
		check(err)
		plain, reading, writing := ways(db)
		return lent(plain, reading, writing, func() { check(db.Close(ctx)) })
	}
}

func openBare(path, synchronous string, _, _ int) database {
	ctx, cancel := context.WithCancel(context.Background())
	open := func() *sqlite.Conn {
		conn, err := sqlite.OpenConn(path)
		check(err)
		check(setSynchronous(synchronous)(conn))
		conn.SetInterrupt(ctx.Done())
		return conn
	}
	reading, writing := open(), open()
	lend := func(conn *sqlite.Conn, way func(context.Context, *sqlite.Conn, using) error) lender {
		return func(ctx context.Context, use using) error { return way(ctx, conn, use) }
	}
	return lent(lend(reading, plainly), lend(reading, deferred), lend(writing, immediate), func() {
		check(errors.Join(reading.Close(), writing.Close()))
		cancel()
	})
}

// openBareC opens what can read a row by its key and write, without database/sql: for the speed of SQLite as C.
func openBareC(path, synchronous string, _, _ int) database {
	open := func() driver.Conn {
		conn, err := (&sqlite3.SQLiteDriver{}).Open(fmt.Sprintf("file:%s?_journal_mode=WAL&_busy_timeout=10000&_mutex=no&_synchronous=%s", path, synchronous))
		check(err)
		return conn
	}
	reading, writing := open(), open()
	prepare := func(conn driver.Conn, query string) driver.Stmt {
		stmt, err := conn.Prepare(query)
		check(err)
		return stmt
	}
	point := prepare(reading, point)
	begin, commit := prepare(writing, "BEGIN IMMEDIATE"), prepare(writing, "COMMIT")
	insert, update := prepare(writing, insert), prepare(writing, update)
	row := make([]driver.Value, 1)
	return database{
		point: func(_ context.Context, id int) error {
			rows, err := point.Query([]driver.Value{int64(id)})
			if err != nil {
				return err
			}
			if err := rows.Next(row); err != nil && err != io.EOF {
				return errors.Join(err, rows.Close())
			}
			return rows.Close()
		},
		write: func(_ context.Context, account int) error {
			for _, stmt := range [...]driver.Stmt{begin, insert, update, commit} {
				if _, err := stmt.Exec([]driver.Value{int64(account)}[:stmt.NumInput()]); err != nil {
					return err // no other one writes: none is left open
				}
			}
			return nil
		},
		close: func() {
			for _, stmt := range [...]driver.Stmt{point, begin, insert, update, commit} {
				check(stmt.Close())
			}
			check(errors.Join(reading.Close(), writing.Close()))
		},
	}
}

func openSqlitex(path, synchronous string, readers, writers int) database {
	open := func(size int) *sqlitex.Pool {
		p, err := sqlitex.NewPool(path, sqlitex.PoolOptions{PoolSize: size, PrepareConn: setSynchronous(synchronous)})
		check(err)
		return p
	}
	lend := func(p *sqlitex.Pool, way func(context.Context, *sqlite.Conn, using) error) lender {
		return func(ctx context.Context, use using) error {
			conn, err := p.Take(ctx)
			if err != nil {
				return err
			}
			defer p.Put(conn)
			return way(ctx, conn, use)
		}
	}
	reading := open(readers)
	if writers == 0 {
		return lent(lend(reading, plainly), lend(reading, deferred), nil, func() { check(reading.Close()) })
	}
	writing := open(writers)
	return lent(lend(reading, plainly), lend(reading, deferred), lend(writing, immediate), func() {
		check(reading.Close())
		check(writing.Close())
	})
}

// With database/sql.

// openSQL opens with a driver, and with a name made of path, synchronous and the kind of transaction.
func openSQL(driver, name string) func(path, synchronous string, readers, writers int) database {
	return func(path, synchronous string, readers, writers int) database {
		open := func(size int, transactions string) *sql.DB {
			db, err := sql.Open(driver, fmt.Sprintf(name, path, synchronous, transactions))
			check(err)
			db.SetMaxOpenConns(size)
			db.SetMaxIdleConns(size)
			return db
		}
		// prepared is a statement that is prepared when it is first used.
		prepared := func(db *sql.DB, query string) func() *sql.Stmt {
			return sync.OnceValue(func() *sql.Stmt {
				stmt, err := db.Prepare(query)
				check(err)
				return stmt
			})
		}
		reading, writing := open(readers, "deferred"), open(max(1, writers), "immediate") // no connection yet
		point, scan := prepared(reading, point), prepared(reading, scan)
		insert, update := prepared(writing, insert), prepared(writing, update)

		read := func(ctx context.Context, stmt *sql.Stmt, id int) error {
			var name string
			return stmt.QueryRowContext(ctx, id).Scan(&name)
		}
		return database{
			point: func(ctx context.Context, id int) error { return read(ctx, point(), id) },
			scan: func(ctx context.Context, id int) error {
				rows, err := scan().QueryContext(ctx, id)
				if err != nil {
					return err
				}
				defer rows.Close()
				var key, score int64
				var name, email string
				for rows.Next() {
					if err := rows.Scan(&key, &name, &email, &score); err != nil {
						return err
					}
				}
				return rows.Err()
			},
			snapshot: func(ctx context.Context, ids [10]int, then func()) error {
				point := point() // before the transaction has the only connection
				tx, err := reading.BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				defer tx.Rollback()
				stmt := tx.StmtContext(ctx, point)
				for _, id := range ids {
					if err := read(ctx, stmt, id); err != nil {
						return err
					}
				}
				then()
				return tx.Commit()
			},
			write: func(ctx context.Context, account int) error {
				statements := [...]*sql.Stmt{insert(), update()} // before the transaction has the only connection
				tx, err := writing.BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				defer tx.Rollback()
				for _, stmt := range statements {
					if _, err := tx.StmtContext(ctx, stmt).ExecContext(ctx, account); err != nil {
						return err
					}
				}
				return tx.Commit()
			},
			close: func() {
				check(reading.Close())
				check(writing.Close())
			},
		}
	}
}
