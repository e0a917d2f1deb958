package raw

import (
	"fmt"

	lib "modernc.org/sqlite/lib"
)

// FailedCommits is how many commits failed so far on the disk or for want of memory, those of single statements included.
// The frames of such a transaction may all be in the log, behind the last one that was committed.
// A full disk does not count: then its last frame is not there.
func (h *Handle) FailedCommits() int32 { return h.cell.failed }

// Overwrite commits a small transaction: it sets user_version to the value that it has, in main and in what was attached.
// That writes one page to each log, behind the last transaction that was committed: if the frames of one that failed are there,
// recovery does not read past that page. It waits for locks as Events.Busy says.
//
// The connection must be idle. It may be interrupted, and what its borrower set does not count:
// an authorizer, a busy handler, query_only, RefuseCommits, and limits, instead of which the given ones hold.
// All of it is the same afterwards.
func (h *Handle) Overwrite(limits Limits) error {
	defer h.shelter(limits)()
	if err := h.Run(BeginImmediate); err != nil {
		return err
	}
	err := h.rewriteVersions()
	if err == nil {
		err = h.Run(Commit)
	}
	if err != nil && !h.Autocommit() {
		_ = h.Run(Rollback)
	}
	return err
}

func (h *Handle) rewriteVersions() error {
	for _, log := range h.Logs() {
		pragma := "PRAGMA " + h.quotedName(int32(log.database)) + ".user_version"
		version, err := h.integer(pragma)
		if err == nil {
			_, err = h.integer(fmt.Sprintf("%s=%d", pragma, version))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// integer runs one statement to its end and returns the first column of its last row; 0 without a row.
func (h *Handle) integer(sql string) (value int32, err error) {
	stmt, err := h.prepare(sql)
	if err != nil {
		return 0, err
	}
	h.asking = stmt
	defer func() {
		lib.Xsqlite3_finalize(h.tls, stmt)
		h.asking = 0
	}()
	for {
		switch code := lib.Xsqlite3_step(h.tls, stmt); code {
		case lib.SQLITE_ROW:
			value = lib.Xsqlite3_column_int(h.tls, stmt, 0)
		case lib.SQLITE_DONE:
			return value, nil
		default:
			return 0, fmt.Errorf("%s: %w", sql, h.error(code))
		}
	}
}

// shelter gives the connection what statements of ours need, until undo is called.
func (h *Handle) shelter(baseline Limits) (undo func()) {
	db, cell := h.sqlite3(), h.cell
	limits, authorizer, argument, flags := db.FaLimit, db.FxAuth, db.FpAuthArg, db.Fflags
	busy, timeout, refuse, torn := db.FbusyHandler, db.FbusyTimeout, cell.refuse, cell.torn
	db.FaLimit = baseline
	db.FxAuth, db.FpAuthArg = 0, 0 // by hand: to set one expires what is prepared
	db.Fflags &^= lib.SQLITE_QueryOnly
	cell.refuse, cell.torn = 0, 0
	h.SetBusyHandler()
	return func() {
		db.FaLimit, db.FxAuth, db.FpAuthArg, db.Fflags = limits, authorizer, argument, flags
		db.FbusyHandler, db.FbusyTimeout, cell.refuse, cell.torn = busy, timeout, refuse, torn
	}
}
