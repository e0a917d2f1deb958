package powerloss

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/headpond/headpond/backends/sqlite"
	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// Verdict is what is wrong with what a loss of power left, each a sentence. Nil: nothing is.
type Verdict []string

// Judge opens the database that a loss of power left in a directory, as the workload does, and its backups,
// and says what is wrong with them. What was acknowledged must be there, if full is set; else, the database must be
// a prefix of the order in which the calls were committed that has what is lasting. It fails if it can't look.
func Judge(ctx context.Context, directory string, w Workload, ledger *Ledger, full bool, order []int64) (Verdict, error) {
	ledger.init()
	var v Verdict
	found, problems, err := examine(ctx, filepath.Join(directory, database), w)
	if err != nil {
		return nil, err
	}
	v = append(v, problems...)
	if found == nil { // what is there can't be told
		return v, nil
	}
	there := map[int64]bool{}
	for _, id := range found {
		there[id] = true
		if !ledger.Begun[id] {
			v = append(v, fmt.Sprintf("invented: call %d is there, and was not begun", id))
		}
		if ledger.Failed[id] {
			v = append(v, fmt.Sprintf("failed: call %d is there, and had failed", id))
		}
	}
	must := ledger.Lasting
	if full {
		must = ledger.Acknowledged
	}
	for _, id := range slices.Sorted(maps.Keys(must)) {
		if !there[id] {
			v = append(v, fmt.Sprintf("lost: call %d was acknowledged, and is not there", id))
		}
	}
	if !full {
		was, is := ledger.acknowledgedOf(order), ledger.acknowledgedOf(found)
		for i, id := range is {
			if i >= len(was) || was[i] != id {
				v = append(v, fmt.Sprintf("order: call %d is the one at %d, and was not when it was acknowledged", id, i))
				break
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ledger.Backups)) {
		problems, err := ledger.judgeBackup(ctx, directory, name, w)
		if err != nil {
			return nil, err
		}
		v = append(v, problems...)
	}
	return v, nil
}

// judgeBackup looks at one that was begun: there is nothing, or it is complete.
func (l *Ledger) judgeBackup(ctx context.Context, directory, name string, w Workload) (Verdict, error) {
	backup := l.Backups[name]
	path := filepath.Join(directory, name)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if backup.Acknowledged {
			return Verdict{fmt.Sprintf("backup: %s was acknowledged, and is not there", name)}, nil
		}
		return nil, nil
	}
	w.Peer = true // a backup is a database like any other
	found, problems, err := examine(ctx, path, w)
	if err != nil || found == nil {
		return prefixed("backup: "+name, problems), err
	}
	there := map[int64]bool{}
	for _, id := range found {
		there[id] = true
		if l.Failed[id] {
			problems = append(problems, fmt.Sprintf("call %d is there, and had failed", id))
		}
	}
	for id := range backup.Has {
		if !there[id] {
			problems = append(problems, fmt.Sprintf("call %d was acknowledged before it began, and is not there", id))
		}
	}
	return prefixed("backup: "+name, problems), nil
}

func prefixed(prefix string, problems Verdict) (v Verdict) {
	for _, problem := range problems {
		v = append(v, prefix+": "+problem)
	}
	return v
}

// examine opens a database, and returns the calls that it has in their order, and what is wrong with it by itself.
// If it can't be opened or read, what it has is nil.
func examine(ctx context.Context, path string, w Workload) (found []int64, v Verdict, err error) {
	problems := func(err error) ([]int64, Verdict, error) {
		if ctx.Err() != nil {
			return nil, nil, err
		}
		return nil, Verdict{"broken: " + err.Error()}, nil
	}
	if w.Peer {
		return examinePeer(path, problems)
	}
	db, err := sqlite.Open(ctx, path, w.options())
	if err != nil {
		return problems(err)
	}
	readErr := db.Read(ctx, func(_ context.Context, conn *sqlite.Conn) (err error) {
		found, v, err = audit(conn)
		return err
	})
	if err := errors.Join(readErr, db.Close(ctx)); err != nil {
		return problems(err)
	}
	return found, v, nil
}

// audit returns the calls that a database has, in the order of their commits, and what is wrong with it.
func audit(conn *zombiezen.Conn) (found []int64, v Verdict, err error) {
	err = sqlitex.Execute(conn, "PRAGMA integrity_check", &sqlitex.ExecOptions{ResultFunc: func(stmt *zombiezen.Stmt) error {
		if said := stmt.ColumnText(0); said != "ok" {
			v = append(v, "broken: "+said)
		}
		return nil
	}})
	if err != nil {
		return nil, nil, err
	}
	found = []int64{}
	seen := map[int64]bool{}
	row := int64(0)
	err = sqlitex.Execute(conn, "SELECT at, id, half, load FROM work ORDER BY at", &sqlitex.ExecOptions{ResultFunc: func(stmt *zombiezen.Stmt) error {
		at, id, half := stmt.ColumnInt64(0), stmt.ColumnInt64(1), stmt.ColumnInt64(2)
		row++
		switch {
		case at != row:
			v = append(v, fmt.Sprintf("broken: row %d is at %d", row, at))
		case half != (row-1)%2 || half == 1 && found[len(found)-1] != id:
			v = append(v, fmt.Sprintf("half: row %d is half %d of call %d", row, half, id))
		case stmt.ColumnText(3) != load(id, half):
			v = append(v, fmt.Sprintf("broken: half %d of call %d has another load", half, id))
		}
		if half != 0 {
			return nil
		}
		if seen[id] {
			v = append(v, fmt.Sprintf("twice: call %d is there twice", id))
		}
		seen[id] = true
		found = append(found, id)
		return nil
	}})
	if err != nil {
		return nil, v, err
	}
	if row != 2*int64(len(found)) {
		v = append(v, "half: there is an odd number of rows")
	}
	err = sqlitex.Execute(conn, "SELECT n FROM works", &sqlitex.ExecOptions{ResultFunc: func(stmt *zombiezen.Stmt) error {
		if n := stmt.ColumnInt(0); n != len(found) {
			v = append(v, fmt.Sprintf("half: it counts %d calls and has %d", n, len(found)))
		}
		return nil
	}})
	return found, v, err
}
