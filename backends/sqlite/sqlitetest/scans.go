package sqlitetest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/pool"
)

// NoFullScans fails the test at its end for every statement that was run on db and scans the whole of a table,
// or makes an index for one run, because there is no index: with its text and SQLite's plan (EXPLAIN QUERY PLAN).
// SQLite decides that by the text and the schema, so that it shows with a single row, too.
// A statement is passed over if its text contains one of except: "SELECT count(*) FROM stock".
//
// The statements of migrations are not among them, those that ran before the call are.
// db must see its statements, as one of [Open] and [OpenMemory] does; another needs
// sqlite.Options.SlowAfter or OnStatement. Otherwise the test fails at once.
// db must be open still at the test's end, as one is that [CloseAtEnd] closes: otherwise the test fails, since SQLite can't be asked.
func NoFullScans(t testing.TB, db *sqlite.DB, except ...string) {
	t.Helper()
	if db.Statements() == nil {
		t.Fatalf("headpond/sqlitetest: NoFullScans: the database does not see its statements: set sqlite.Options.SlowAfter")
	}
	t.Cleanup(func() {
		t.Helper()
		if err := db.Read(context.Background(), func(context.Context, *sqlite.Conn) error { return nil }); err != nil { // no plan could be had
			if errors.Is(err, pool.ErrClosed) {
				err = errors.New("the database is closed already: let CloseAtEnd close it")
			}
			t.Errorf("headpond/sqlitetest: NoFullScans: %v", err)
			return
		}
		for _, s := range db.Statements() {
			excepted := slices.ContainsFunc(except, func(text string) bool { return strings.Contains(s.Text, text) })
			if excepted || len(s.Text) > 7 && strings.EqualFold(s.Text[:7], "EXPLAIN") {
				continue
			}
			if found := scan(db, s); found != "" {
				t.Errorf("headpond/sqlitetest: %s", found)
			}
		}
	})
}

// scan describes the scan of a statement; empty if there is none.
func scan(db *sqlite.DB, s sqlite.StatementStats) (found string) {
	ran := fmt.Sprintf("%s (%d runs, %d steps of a scan, %d rows in automatic indexes)", s.Text, s.Runs, s.FullScanSteps, s.AutoIndexes)
	err := db.Read(context.Background(), func(_ context.Context, conn *sqlite.Conn) error {
		scans, err := scansTable(conn, s.Text)
		if err != nil || !scans {
			return err
		}
		plan, err := planOf(conn, s.Text)
		found = "a statement scans a whole table: " + ran + plan
		return err
	})
	if err != nil && (s.FullScanSteps > 0 || s.AutoIndexes > 0) && !changesSchema.MatchString(s.Text) {
		return fmt.Sprintf("a statement scanned a whole table: %s; its plan is not to be had: %v", ran, err)
	}
	return found
}

// changesSchema matches what looks at every row of the schema, and can't be explained once it has run.
var changesSchema = regexp.MustCompile(`(?i)^\s*(CREATE|DROP|ALTER)\b`)

// scansTable looks for the instruction of SQLite's that steps to the next row of a full scan, which counts that step,
// and for an index that is made for one run.
func scansTable(conn *sqlite.Conn, text string) (bool, error) {
	stmt, _, err := conn.PrepareTransient("EXPLAIN " + text)
	if err != nil {
		return false, err
	}
	defer func() { _ = stmt.Finalize() }() // repeats the error of Step
	const opcode, p1, p2, p5, countsScan = 1, 2, 3, 6, 1
	tables := map[int]bool{} // cursors of tables and their indexes, of the program or of one of its triggers
	for {
		if more, err := stmt.Step(); err != nil || !more {
			return false, err
		}
		switch cursor := stmt.ColumnInt(p1); stmt.ColumnText(opcode) {
		case "Init":
			clear(tables)
		case "OpenRead", "OpenWrite":
			tables[cursor] = stmt.ColumnInt(p2) > 1 // 1: sqlite_schema
		case "OpenAutoindex":
			return true, nil
		case "Next", "Prev":
			if tables[cursor] && stmt.ColumnInt(p5) == countsScan {
				return true, nil
			}
		}
	}
}

// planOf returns what EXPLAIN QUERY PLAN says, a line each.
func planOf(conn *sqlite.Conn, text string) (string, error) {
	stmt, _, err := conn.PrepareTransient("EXPLAIN QUERY PLAN " + text)
	if err != nil {
		return "", err
	}
	defer func() { _ = stmt.Finalize() }() // repeats the error of Step
	depth := map[int]int{0: 0}
	var plan strings.Builder
	for {
		if more, err := stmt.Step(); err != nil || !more {
			return plan.String(), err
		}
		depth[stmt.ColumnInt(0)] = depth[stmt.ColumnInt(1)] + 1
		fmt.Fprintf(&plan, "\n%s%s", strings.Repeat("  ", depth[stmt.ColumnInt(0)]), stmt.ColumnText(3))
	}
}
