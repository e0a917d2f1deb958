package raw

import (
	"sync"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// Events are what SQLite asks about one connection, on the goroutine that uses it, from Attach to Uninstall.
type Events interface {
	// Busy is called if another connection holds a lock, for the count-th time in a row, from 0.
	// It returns whether SQLite is to try again.
	Busy(count int) bool

	// Progress is called now and then while a statement runs: every 10,000 steps of it.
	Progress()

	// Authorize is called when a statement is prepared that does more than read and write rows,
	// or that writes rows of the temporary database, if that had tables when Install was called: those are to stay as they were.
	// name is the first argument of op as sqlite3_set_authorizer lists them, argument whether there is a second one.
	// It returns whether the statement is allowed.
	Authorize(op sqlite.OpType, name string, argument bool, database string) bool

	// MayCommit is called before a commit, from AskBeforeCommit(true) until AskBeforeCommit(false).
	// It returns whether the commit is made, or becomes a rollback.
	MayCommit() bool

	// Calls is called when a statement is prepared that calls an SQL function, after ReportCalls(true).
	Calls(function string)

	// MayCheckpoint is called when a commit has left so many pages in a log that SQLite would make a checkpoint of its own accord.
	// main says whether it is the log of the main database, not of an attached one. It returns whether that is made.
	MayCheckpoint(main bool) bool

	// SchemaChanged is called after a commit of this connection that has changed a schema, in WAL mode.
	SchemaChanged()

	// Checkpointed is called with what that checkpoint came to.
	Checkpointed(code sqlite.ResultCode)
}

// attached has the Events of every attached connection by the address of its cell, since C can't hold a Go pointer.
var attached sync.Map

func eventsAt(address uintptr) (Events, bool) {
	events, ok := attached.Load(address)
	if !ok {
		return nil, false
	}
	return events.(Events), true
}

// Attached calls see with the events of every attached connection.
func Attached(see func(events Events)) {
	attached.Range(func(_, events any) bool {
		see(events.(Events))
		return true
	})
}

// cell is what SQLite's callbacks read and write, in memory of C's, whose address they are given.
type cell struct {
	refuse    int32  // every commit is refused and becomes a rollback
	torn      int32  // as refuse, until the connection ends: a panic of an SQL function has ended a statement in the middle of what it does
	refused   int32  // how many were
	passed    int32  // 1: a commit passed the hook, and was not seen to succeed
	failed    int32  // how many of those then failed on the disk or for want of memory
	rollbacks int32  // how many transactions were rolled back as a whole, by any cause
	logPages  int32  // pages in the write-ahead log after the last commit of this connection
	attached  int32  // the same of a database that was attached, whichever was committed to last
	now       int32  // for db_status
	most      int32  // for db_status
	calls     int32  // Events.Calls is called
	asks      int32  // Events.MayCommit is called
	installed int32  // Events.Authorize is called
	temp      int32  // also for rows of the temporary database: there was something in it at Install
	schema    uint64 // schemaStamp after the last commit
	db        uintptr
}

func commitHook(_ *libc.TLS, at uintptr) int32 {
	c := (*cell)(pointer(at))
	refuse := c.refuse | c.torn
	if refuse == 0 && c.asks != 0 {
		if events, ok := eventsAt(at); ok && !events.MayCommit() {
			refuse = 1
		}
	}
	c.refused += refuse
	c.passed = 1 - refuse
	return refuse
}

// checkpointPages is from how many pages in the log on each commit moves what it can into the database file:
// SQLite's own default, which the hook replaces.
const checkpointPages = 1000

func walHook(tls *libc.TLS, at, db, name uintptr, pages int32) int32 {
	c := (*cell)(pointer(at))
	c.passed = 0
	if now := schemaStamp(db); now != c.schema {
		c.schema = now
		if events, ok := eventsAt(at); ok {
			events.SchemaChanged()
		}
	}
	main := name == lib.Xsqlite3_db_name(tls, db, 0) // not what Options.Setup attached
	if main {
		c.logPages = pages
	} else {
		c.attached = pages
	}
	if pages < checkpointPages {
		return lib.SQLITE_OK
	}
	if events, ok := eventsAt(at); ok && events.MayCheckpoint(main) {
		code := lib.Xsqlite3_wal_checkpoint_v2(tls, db, name, lib.SQLITE_CHECKPOINT_PASSIVE, 0, 0)
		events.Checkpointed(sqlite.ResultCode(code))
	}
	return lib.SQLITE_OK
}

func rollbackHook(_ *libc.TLS, at uintptr) {
	c := (*cell)(pointer(at))
	c.rollbacks++
	if c.passed != 0 && broke(c.db) {
		c.failed++
	}
	c.passed = 0
}

// broke reports whether a statement is ending with an error of the disk, or for want of memory:
// to the rollback hook, it tells a commit that failed from a ROLLBACK.
func broke(db uintptr) bool {
	for at := (*lib.Tsqlite3)(pointer(db)).FpVdbe; at != 0; {
		statement := (*lib.TVdbe)(pointer(at))
		switch sqlite.ResultCode(statement.Frc).ToPrimary() {
		case sqlite.ResultIOErr, sqlite.ResultNoMem:
			return true
		}
		at = statement.FpVNext
	}
	return false
}

// SetBusyHandler makes Events.Busy the busy handler.
func (h *Handle) SetBusyHandler() {
	lib.Xsqlite3_busy_handler(h.tls, h.db, function(busyHandler), h.address())
}

// HasBusyHandler reports whether Events.Busy is the busy handler.
func (h *Handle) HasBusyHandler() bool {
	db := h.sqlite3()
	return db.FbusyHandler.FpBusyArg == h.address() && db.FbusyHandler.FxBusyHandler != 0 && db.FbusyTimeout == 0
}

func busyHandler(_ *libc.TLS, at uintptr, count int32) int32 {
	if events, ok := eventsAt(at); ok && events.Busy(int(count)) {
		return 1
	}
	return 0
}

// stepsBetween is how many steps of a statement lie between two calls of Events.Progress: some 300 microseconds.
const stepsBetween = 10_000

// progressHandler never has SQLite end the statement: that may be over, and have committed.
func progressHandler(_ *libc.TLS, at uintptr) int32 {
	if events, ok := eventsAt(at); ok {
		events.Progress()
	}
	return 0
}

// SetAuthorizer makes Events.Authorize the authorizer. It expires what is prepared.
func (h *Handle) SetAuthorizer() {
	lib.Xsqlite3_set_authorizer(h.tls, h.db, function(authorizer), h.address())
}

// ReportCalls switches Events.Calls on or off.
func (h *Handle) ReportCalls(on bool) {
	h.cell.calls = 0
	if on {
		h.cell.calls = 1
	}
}

// HasAuthorizer reports whether Events.Authorize is the authorizer.
func (h *Handle) HasAuthorizer() bool {
	return h.sqlite3().FpAuthArg == h.address() && h.sqlite3().FxAuth != 0
}

// HasOtherAuthorizer reports whether there is one that is not Events.Authorize.
func (h *Handle) HasOtherAuthorizer() bool { return h.sqlite3().FxAuth != 0 && !h.HasAuthorizer() }

func authorizer(_ *libc.TLS, at uintptr, op int32, first, second, database, _ uintptr) int32 {
	c := (*cell)(pointer(at))
	switch op { // the many, without reading a text
	case lib.SQLITE_READ, lib.SQLITE_TRANSACTION, lib.SQLITE_SAVEPOINT, lib.SQLITE_RECURSIVE:
		return lib.SQLITE_OK
	}
	guardFunctions(c.db)
	if c.installed == 0 {
		return lib.SQLITE_OK
	}
	switch op {
	case lib.SQLITE_SELECT:
		return lib.SQLITE_OK
	case lib.SQLITE_INSERT, lib.SQLITE_UPDATE, lib.SQLITE_DELETE:
		if c.temp == 0 || libc.GoString(database) != "temp" {
			return lib.SQLITE_OK
		}
	case lib.SQLITE_FUNCTION:
		if c.calls != 0 {
			if events, ok := eventsAt(at); ok {
				events.Calls(libc.GoString(second))
			}
		}
		return lib.SQLITE_OK
	}
	if events, ok := eventsAt(at); ok && !events.Authorize(sqlite.OpType(op), libc.GoString(first), second != 0, libc.GoString(database)) {
		return lib.SQLITE_DENY
	}
	return lib.SQLITE_OK
}
