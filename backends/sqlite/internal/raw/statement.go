package raw

import (
	"fmt"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// Statement is the sqlite3_stmt below a Stmt, of which it may be asked until Stmt.Finalize, where the Stmt may be used.
// That of a text without SQL in it has no columns, and is read-only.
type Statement struct {
	tls  *libc.TLS
	stmt uintptr // 0: of a text without SQL
}

// Statement returns what is below a Stmt of the Conn, which must not be finalized.
func (h *Handle) Statement(stmt *sqlite.Stmt) Statement {
	return Statement{tls: h.tls, stmt: *field[uintptr](stmt, fields.stmt)}
}

// StepOn is Stmt.Step for a statement in the middle of its rows. Of an interrupt it hears from SQLite alone, which then undoes
// what the statement has written. Stmt.Step hears of it first, and resets the statement: that keeps what was written, and commits it outside of a transaction.
func (h *Handle) StepOn(stmt *sqlite.Stmt) (row bool, err error) {
	s := h.Statement(stmt)
	switch code := lib.Xsqlite3_step(s.tls, s.stmt); code {
	case lib.SQLITE_ROW:
		return true, nil
	case lib.SQLITE_DONE:
		return false, nil
	default:
		err = fmt.Errorf("sqlite: step: %w", h.error(code))
		lib.Xsqlite3_reset(s.tls, s.stmt)
		return false, err
	}
}

// ReadOnly reports whether the statement itself writes nothing to a database file. It is true as well of BEGIN, COMMIT,
// ROLLBACK, SAVEPOINT, RELEASE, ATTACH and some pragmas, and takes no account of what functions in it do.
// EXPLAIN counts as what it explains:
// see https://www.sqlite.org/c3ref/stmt_readonly.html.
func (s Statement) ReadOnly() bool { return lib.Xsqlite3_stmt_readonly(s.tls, s.stmt) != 0 }

// Explains reports whether the statement is EXPLAIN or EXPLAIN QUERY PLAN.
func (s Statement) Explains() bool { return lib.Xsqlite3_stmt_isexplain(s.tls, s.stmt) != 0 }

// Busy reports whether the statement is in the middle of its rows.
func (s Statement) Busy() bool { return lib.Xsqlite3_stmt_busy(s.tls, s.stmt) != 0 }

// Text returns the SQL that the statement was made of, without what follows it in the text that was prepared.
func (s Statement) Text() string { return libc.GoString(lib.Xsqlite3_sql(s.tls, s.stmt)) }

// Columns is how many columns a row has; 0 if the statement returns none.
// The first step prepares a statement anew if the schema has changed: only after it are number, names and types those of the rows.
func (s Statement) Columns() int { return int(lib.Xsqlite3_column_count(s.tls, s.stmt)) }

// ColumnName returns the name of the i-th column, from 0; empty past the last. Unlike Stmt.ColumnName
// it tells columns of the same name apart, and has the names of now, after a change of the schema.
func (s Statement) ColumnName(i int) string {
	if i < 0 || i >= s.Columns() {
		return ""
	}
	return libc.GoString(lib.Xsqlite3_column_name(s.tls, s.stmt, int32(i)))
}

// DeclaredType returns the type that CREATE TABLE gave to the i-th column, from 0, as it was written; empty for an expression,
// for a column without a type, and past the last.
func (s Statement) DeclaredType(i int) string {
	if i < 0 || i >= s.Columns() {
		return ""
	}
	return libc.GoString(lib.Xsqlite3_column_decltype(s.tls, s.stmt, int32(i)))
}

// CachedStatements is how many statements the Conn has cached.
func (h *Handle) CachedStatements() int {
	return len(*field[map[string]*sqlite.Stmt](h.conn, fields.stmts))
}

// eachStatement calls see with every statement of either kind.
func (h *Handle) eachStatement(tls *libc.TLS, see func(stmt uintptr)) {
	for stmt := lib.Xsqlite3_next_stmt(tls, h.db, 0); stmt != 0; stmt = lib.Xsqlite3_next_stmt(tls, h.db, stmt) {
		see(stmt)
	}
}

// BusyStatement returns the text of a statement in the middle of its rows. A blob's is empty.
func (h *Handle) BusyStatement() (sql string) {
	h.eachStatement(h.tls, func(stmt uintptr) {
		if sql == "" && lib.Xsqlite3_stmt_busy(h.tls, stmt) != 0 {
			sql = libc.GoString(lib.Xsqlite3_sql(h.tls, stmt))
		}
	})
	return sql
}

// ResetBusy resets every statement of either kind that is in the middle of its rows, and every open blob.
func (h *Handle) ResetBusy() {
	for _, stmt := range *field[map[string]*sqlite.Stmt](h.conn, fields.stmts) {
		if stmt.DataCount() > 0 {
			_ = stmt.Reset() // repeats the error of its last step
		}
	}
	h.eachStatement(h.tls, func(stmt uintptr) {
		if lib.Xsqlite3_stmt_busy(h.tls, stmt) != 0 {
			lib.Xsqlite3_reset(h.tls, stmt)
		}
	})
}

// Unfinalized returns the texts of the statements for which the sqlite3* of a closed Conn is open still:
// at most most of them, and how many there are. It must not be called after a Close that succeeded.
func (h *Handle) Unfinalized(most int) (texts []string, count int) {
	tls := libc.NewTLS()
	defer tls.Close()
	h.eachStatement(tls, func(stmt uintptr) {
		if count++; count <= most {
			texts = append(texts, libc.GoString(lib.Xsqlite3_sql(tls, stmt)))
		}
	})
	return texts, count
}

// FinalizeRest finalizes every statement and blob but those that Conn.Close and Uninstall do.
// It is for an open Conn that nobody has but the caller: what finalizes one of them after that reads freed memory.
func (h *Handle) FinalizeRest() {
	keep := make(map[uintptr]bool)
	for _, stmt := range *field[map[string]*sqlite.Stmt](h.conn, fields.stmts) {
		keep[*field[uintptr](stmt, fields.stmt)] = true
	}
	for _, stmt := range h.commands {
		keep[stmt] = true
	}
	var rest []uintptr
	h.eachStatement(h.tls, func(stmt uintptr) {
		if !keep[stmt] {
			rest = append(rest, stmt)
		}
	})
	for _, stmt := range rest {
		lib.Xsqlite3_finalize(h.tls, stmt)
	}
}
