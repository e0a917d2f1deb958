package raw

import lib "modernc.org/sqlite/lib"

// Changes are what the SQL functions last_insert_rowid, changes and total_changes return.
// They belong to the connection: what a session reads must be put back on each connection that it takes.
type Changes struct {
	LastInsertRowID int64 // of the last INSERT into a table with rowids, since the connection was opened
	Rows            int64 // that the last INSERT, UPDATE or DELETE changed, without those of triggers
	Total           int64 // rows that were changed since the connection was opened, with those of triggers
}

// Changes returns those of the connection.
func (h *Handle) Changes() Changes {
	db := h.sqlite3()
	return Changes{LastInsertRowID: db.FlastRowid, Rows: int64(db.FnChange), Total: int64(db.FnTotalChange)}
}

// ForgetChanges makes them those of a connection on which nothing was changed.
func (h *Handle) ForgetChanges() {
	db := h.sqlite3()
	db.FlastRowid, db.FnChange, db.FnTotalChange = 0, 0, 0
}

// SetChanges sets all of them, between two statements.
func (h *Handle) SetChanges(all Changes) {
	lib.Xsqlite3_set_last_insert_rowid(h.tls, h.db, all.LastInsertRowID)
	db := h.sqlite3()
	db.FnChange, db.FnTotalChange = all.Rows, all.Total
}
