package stdlib

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/headpond/headpond/backends/sqlite"
	modernc "modernc.org/sqlite"
)

// peer is one of two programs that do the same on a *sql.Conn, in a transaction or not.
type peer struct {
	conn *sql.Conn
	tx   *sql.Tx
	code func(err error) int // the primary code of SQLite's error; -1: another error
}

func (p *peer) exec(text string, args ...any) string {
	var result sql.Result
	var err error
	if p.tx != nil {
		result, err = p.tx.ExecContext(context.Background(), text, args...)
	} else {
		result, err = p.conn.ExecContext(context.Background(), text, args...)
	}
	if err != nil {
		return fmt.Sprint("error ", p.code(err))
	}
	id, _ := result.LastInsertId()
	count, _ := result.RowsAffected()
	if !strings.HasPrefix(text, "INSERT") {
		id = 0
	}
	if !strings.HasPrefix(text, "INSERT") && !strings.HasPrefix(text, "UPDATE") && !strings.HasPrefix(text, "DELETE") {
		count = 0 // modernc repeats that of the statement before
	}
	return fmt.Sprintf("id %d, %d rows", id, count)
}

func (p *peer) query(text string, args ...any) string {
	var rows *sql.Rows
	var err error
	if p.tx != nil {
		rows, err = p.tx.QueryContext(context.Background(), text, args...)
	} else {
		rows, err = p.conn.QueryContext(context.Background(), text, args...)
	}
	if err != nil {
		return fmt.Sprint("error ", p.code(err))
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err.Error()
	}
	shown := fmt.Sprintln(names)
	for rows.Next() {
		values := make([]any, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err.Error()
		}
		for _, value := range values {
			switch value := value.(type) {
			case time.Time:
				shown += value.UTC().Format(time.RFC3339Nano) + " "
			case bool: // a column of BOOLEAN: mattn's driver has a bool there, too, and modernc's an int64
				if shown += "int64 0 "; value {
					shown = strings.TrimSuffix(shown, "0 ") + "1 "
				}
			case string: // in this driver's own form of a time it is one, without a declared type as well; modernc's leaves it a text
				if at, ok := parseWritten(value); ok {
					shown += at.UTC().Format(time.RFC3339Nano) + " "
				} else {
					shown += fmt.Sprintf("%T %v ", value, value)
				}
			case []byte:
				shown += fmt.Sprintf("blob %x ", value)
			default:
				shown += fmt.Sprintf("%T %v ", value, value)
			}
		}
		shown += "\n"
	}
	if err := rows.Err(); err != nil {
		shown += fmt.Sprint("error ", p.code(err))
	}
	return shown
}

// TestModel runs the same random programs through this driver and through modernc's: rows, counts, ids and classes of error are the same.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		directory := t.TempDir()
		under, err := sqlite.Open(context.Background(), filepath.Join(directory, "ours.db"), sqlite.Options{})
		require.NoError(rt, err)
		ours := OpenDB(under, Options{})
		theirs, err := sql.Open("sqlite", filepath.Join(directory, "theirs.db")+"?_pragma=foreign_keys(1)&_pragma=journal_mode(wal)&_time_format=sqlite&_txlock=immediate")
		require.NoError(rt, err)
		var peers []*peer
		defer func() { // also after a difference was found, in the middle of a transaction
			for _, p := range peers {
				if p.tx != nil {
					_ = p.tx.Rollback()
				}
				_ = p.conn.Close()
			}
			_ = ours.Close()
			_ = under.Close(context.Background())
			_ = theirs.Close()
		}()
		conn := func(db *sql.DB) *sql.Conn {
			conn, err := db.Conn(context.Background())
			require.NoError(rt, err)
			return conn
		}
		one := &peer{conn: conn(ours), code: func(err error) int {
			var failed *Error
			if errors.As(err, &failed) {
				return failed.Code
			}
			return -1
		}}
		two := &peer{conn: conn(theirs), code: func(err error) int {
			var failed *modernc.Error
			if errors.As(err, &failed) {
				return failed.Code() & 0xff
			}
			return -1
		}}
		peers = []*peer{one, two}
		both := func(text string, do func(p *peer) string) {
			if mine, other := do(one), do(two); mine != other {
				rt.Fatalf("%s:\nours   %s\ntheirs %s", text, mine, other)
			}
		}
		exec := func(text string, args ...any) {
			both(fmt.Sprint(text, " ", args), func(p *peer) string { return p.exec(text, args...) })
		}
		query := func(text string, args ...any) {
			both(fmt.Sprint(text, " ", args), func(p *peer) string { return p.query(text, args...) })
		}
		exec("CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT UNIQUE, at DATETIME, ok BOOLEAN, price REAL, data BLOB, loose)")
		exec("CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES parent ON DELETE CASCADE, n INTEGER CHECK (n < 100))")
		value := rapid.OneOf(
			rapid.Just[any](nil), rapid.Map(rapid.Int64(), func(n int64) any { return n }), rapid.Map(rapid.IntRange(0, 5), func(n int) any { return n }),
			rapid.Map(rapid.Float64Range(-1e6, 1e6), func(f float64) any { return f }), rapid.Map(rapid.StringN(0, 8, -1), func(s string) any { return s }),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 6), func(b []byte) any { return b }), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
			rapid.Just[any](time.Date(2026, 11, 26, 1, 2, 3, 456000000, time.UTC)), rapid.Just[any](int64(math.MinInt64)), rapid.Just[any]("é\x00ü"),
		)
		id := rapid.IntRange(1, 6)
		savepoints := 0
		rt.Repeat(map[string]func(*rapid.T){
			"insert": func(rt *rapid.T) {
				exec("INSERT INTO parent (name, at, ok, price, data, loose) VALUES (?, ?, ?, ?, ?, ?)", value.Draw(rt, "name"),
					time.Date(2026, 1, rapid.IntRange(1, 28).Draw(rt, "day"), 1, 2, 3, 0, time.UTC), rapid.Bool().Draw(rt, "ok"), value.Draw(rt, "price"), value.Draw(rt, "data"), value.Draw(rt, "loose"))
			},
			"insert or": func(rt *rapid.T) {
				exec("INSERT OR "+rapid.SampledFrom([]string{"IGNORE", "REPLACE", "ABORT", "FAIL"}).Draw(rt, "or")+" INTO parent (id, name) VALUES (?, ?)", id.Draw(rt, "id"), "a")
			},
			"child": func(rt *rapid.T) {
				exec("INSERT INTO child (parent, n) VALUES (?, ?)", id.Draw(rt, "parent"), rapid.IntRange(90, 110).Draw(rt, "n"))
			},
			"update": func(rt *rapid.T) {
				exec("UPDATE parent SET loose=?, price=id*2 WHERE id<=?", value.Draw(rt, "loose"), id.Draw(rt, "id"))
			},
			"delete":    func(rt *rapid.T) { exec("DELETE FROM parent WHERE id=?", id.Draw(rt, "id")) },
			"returning": func(rt *rapid.T) { query("DELETE FROM child WHERE id<=? RETURNING id, n, parent", id.Draw(rt, "id")) },
			"select": func(*rapid.T) {
				query("SELECT id, name, at, ok, price, data, loose, typeof(loose), loose AS again FROM parent ORDER BY id")
			},
			"join": func(*rapid.T) {
				query("SELECT p.id, c.id, c.n, count(*) FROM parent p LEFT JOIN child c ON c.parent=p.id GROUP BY p.id ORDER BY p.id")
			},
			"session": func(*rapid.T) { query("SELECT changes() >= 0, last_insert_rowid() >= 0") },
			"wrong": func(rt *rapid.T) {
				exec(rapid.SampledFrom([]string{"INSERT INTO none VALUES (1)", "nonsense", "SELECT nothing", "INSERT INTO child (id) VALUES (1)"}).Draw(rt, "text"))
			},
			"ddl":   func(rt *rapid.T) { exec(fmt.Sprintf("CREATE TABLE IF NOT EXISTS extra%d (x)", id.Draw(rt, "table"))) },
			"index": func(rt *rapid.T) { exec("DROP INDEX IF EXISTS i"); exec("CREATE INDEX i ON child (n)") },
			"begin": func(*rapid.T) {
				if one.tx != nil {
					return
				}
				for _, p := range []*peer{one, two} {
					tx, err := p.conn.BeginTx(context.Background(), nil)
					require.NoError(rt, err)
					p.tx = tx
				}
			},
			"end": func(rt *rapid.T) {
				if one.tx == nil {
					return
				}
				commit := rapid.Bool().Draw(rt, "commit")
				both("end", func(p *peer) string {
					err := p.tx.Rollback
					if commit {
						err = p.tx.Commit
					}
					p.tx = nil
					return fmt.Sprint(err() == nil)
				})
				savepoints = 0
			},
			"savepoint": func(*rapid.T) {
				if one.tx != nil {
					savepoints++
					exec(fmt.Sprintf("SAVEPOINT s%d", savepoints))
				}
			},
			"back": func(*rapid.T) {
				if savepoints > 0 {
					exec(fmt.Sprintf("ROLLBACK TO s%d", savepoints))
				}
			},
		})
	})
}
