// Package raw reaches below zombiezen's Conn, to SQLite's own handle: the public API can't see
// a statement that a borrower left open, can't reset it, and can't keep a callback from committing.
// It is the only package that imports unsafe, modernc's libc or its lib.
//
// It knows nothing of pools. What SQLite asks about a connection, it passes on to that connection's [Events].
package raw

import (
	"errors"
	"fmt"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// Handle is the sqlite3* below a Conn. Its methods are called where the Conn's may be:
// by one goroutine at a time.
type Handle struct {
	conn *sqlite.Conn
	tls  *libc.TLS
	db   uintptr
	cell *cell // nil before Attach

	commands [commands]uintptr // statements of ours, beside the cache of the Conn, so that no text of a borrower can stand for them
	asking   uintptr           // another statement of ours, that runs; 0: none does
}

// New returns the handle of an open Conn. Supported must have returned nil.
func New(conn *sqlite.Conn) Handle {
	return Handle{conn: conn, tls: *field[*libc.TLS](conn, fields.tls), db: *field[uintptr](conn, fields.conn)}
}

func field[T, Of any](of *Of, offset uintptr) *T {
	return (*T)(unsafe.Add(unsafe.Pointer(of), offset))
}

// pointer is the address that C gave as a number. What is there is not Go's, and does not move.
func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

// function is a function as C calls it. It must be a declared one, no closure.
func function[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&struct{ f F }{f})) }

func (h *Handle) sqlite3() *lib.Tsqlite3 { return (*lib.Tsqlite3)(pointer(h.db)) }

// address is the cell's, as the callbacks get it.
func (h *Handle) address() uintptr { return uintptr(unsafe.Pointer(h.cell)) }

// Attach makes the cell and registers events, of which SQLite calls none before SetBusyHandler or Install.
// From Attach to Uninstall the sqlite3* lives on even if a borrower closes the Conn, since a statement of ours is open.
func (h *Handle) Attach(events Events) error {
	at := lib.Xsqlite3_malloc(h.tls, int32(unsafe.Sizeof(cell{})))
	if at == 0 {
		return sqlite.ResultNoMem.ToError()
	}
	h.cell = (*cell)(pointer(at))
	*h.cell = cell{db: h.db}
	attached.Store(at, events)
	h.SetAuthorizer()                              // for the functions that are registered before Install
	stmt, err := h.prepare(commandTexts[Rollback]) // what Uninstall needs then
	if err != nil {
		return errors.Join(err, h.Uninstall())
	}
	h.commands[Rollback] = stmt
	return nil
}

// Install sets the hooks, and prepares the commands afterwards,
// since an authorizer that is set expires what is prepared.
func (h *Handle) Install() error {
	at := h.address()
	lib.Xsqlite3_commit_hook(h.tls, h.db, function(commitHook), at)
	lib.Xsqlite3_wal_hook(h.tls, h.db, function(walHook), at)
	lib.Xsqlite3_rollback_hook(h.tls, h.db, function(rollbackHook), at)
	lib.Xsqlite3_progress_handler(h.tls, h.db, stepsBetween, function(progressHandler), at)
	h.cell.installed, h.cell.temp = 1, 0
	if h.Settings().Temp {
		h.cell.temp = 1
	}
	h.SetAuthorizer()
	h.GuardFunctions()
	h.cell.schema = h.SchemaStamp()
	return h.prepareCommands()
}

// Uninstall undoes Attach, Install, SetBusyHandler and Profile: the events hear nothing from now on.
// It also does so if the Conn was closed by its borrower:
// then the sqlite3* is open still, since our statements are, and Uninstall closes it.
func (h *Handle) Uninstall() (err error) {
	tls, closed := h.tls, h.Closed()
	if closed {
		tls = libc.NewTLS()
		defer tls.Close()
	}
	if h.cell == nil {
		return nil
	}
	at := h.address()
	attached.Delete(at)
	if _, profiled := profiles.LoadAndDelete(at); profiled {
		lib.Xsqlite3_trace_v2(tls, h.db, 0, 0, 0)
	}
	if closed { // its transaction, too, is open still
		h.RefuseCommits(h.Torn())
		h.eachStatement(tls, func(stmt uintptr) { lib.Xsqlite3_reset(tls, stmt) })
		lib.Xsqlite3_set_authorizer(tls, h.db, 0, 0)
		lib.Xsqlite3_step(tls, h.commands[Rollback])
	}
	h.finalizeCommands(tls)
	lib.Xsqlite3_busy_handler(tls, h.db, 0, 0)
	lib.Xsqlite3_commit_hook(tls, h.db, 0, 0)
	lib.Xsqlite3_wal_hook(tls, h.db, 0, 0)
	lib.Xsqlite3_rollback_hook(tls, h.db, 0, 0)
	lib.Xsqlite3_progress_handler(tls, h.db, 0, 0, 0)
	lib.Xsqlite3_set_authorizer(tls, h.db, 0, 0)
	if closed {
		if code := sqlite.ResultCode(lib.Xsqlite3_close(tls, h.db)); !code.IsSuccess() {
			err = fmt.Errorf("close: %w", code.ToError())
		}
	}
	lib.Xsqlite3_free(tls, at)
	h.cell = nil
	return err
}

// Close closes the Conn and the sqlite3*, and undoes what Uninstall does. The last connection to a file takes its time: it moves the log.
// Meanwhile others are opened and closed. For that the Conn goes first: a statement of ours keeps the sqlite3* open,
// so that no other connection gets its address until zombiezen's maps have let it go. See [Close].
func (h *Handle) Close() error {
	_ = h.conn.Close() // BUSY, since the statement is open
	return h.Uninstall()
}

// error is the error of the call that just returned code.
func (h *Handle) error(code int32) error {
	err := sqlite.ResultCode(code).ToError()
	if message := libc.GoString(lib.Xsqlite3_errmsg(h.tls, h.db)); message != "" && message != err.Error() {
		return fmt.Errorf("%w: %s", err, message)
	}
	return err
}

// Closed reports whether Conn.Close was called.
func (h *Handle) Closed() bool { return *field[bool](h.conn, fields.closed) }

// InterruptChannel is the channel of Conn.SetInterrupt.
func (h *Handle) InterruptChannel() <-chan struct{} {
	return *field[<-chan struct{}](h.conn, fields.doneCh)
}

// Interrupt ends what runs. Any goroutine may call it from Attach to Uninstall.
func (h *Handle) Interrupt() { lib.Xsqlite3_interrupt(h.tls, h.db) }

// Autocommit reports whether no transaction was begun by BEGIN or SAVEPOINT.
func (h *Handle) Autocommit() bool { return h.sqlite3().FautoCommit != 0 }

// Active is how many statements of either kind are in the middle of their rows, open blobs included.
func (h *Handle) Active() int { return int(h.sqlite3().FnVdbeActive) }

// txnState is SQLITE_TXN_NONE, _READ or _WRITE, the most of all attached databases.
func (h *Handle) txnState() int32 { return lib.Xsqlite3_txn_state(h.tls, h.db, 0) }

// Idle reports whether no transaction is open, not even that of a statement.
func (h *Handle) Idle() bool {
	return h.Autocommit() && h.Active() == 0 && h.txnState() == lib.SQLITE_TXN_NONE
}

// Probe proves that the connection is idle, and can set and release a savepoint.
// The pair alone would prove nothing: it succeeds inside a transaction as well.
func (h *Handle) Probe() error {
	if !h.Idle() {
		return fmt.Errorf("%d statements are busy, autocommit is %t, the transaction's state is %d", h.Active(), h.Autocommit(), h.txnState())
	}
	if err := h.Run(Savepoint); err != nil {
		return err
	}
	return h.Run(Release)
}

// ErrorCode is what the last call on the connection came to.
func (h *Handle) ErrorCode() sqlite.ResultCode { return sqlite.ResultCode(h.sqlite3().FerrCode) }

// RefuseCommits makes every commit from now on fail and roll back, or lets them pass.
func (h *Handle) RefuseCommits(on bool) {
	h.cell.refuse = 0
	if on {
		h.cell.refuse = 1
	}
}

// AskBeforeCommit makes SQLite ask Events.MayCommit before each commit, or not.
func (h *Handle) AskBeforeCommit(on bool) {
	h.cell.asks = 0
	if on {
		h.cell.asks = 1
	}
}

// Torn reports whether a panic has ended a statement in the middle of what it does, as one of an SQL function does:
// half of its rows may be written, and SQLite takes it for one that runs. It must not be called while one does.
func (h *Handle) Torn() bool { return h.cell.torn != 0 || h.sqlite3().FnVdbeExec > 0 }

// Rollbacks is how many transactions were rolled back as a whole so far, by any cause:
// by ROLLBACK, OR ROLLBACK, an interrupt, a full disk or a refused commit.
func (h *Handle) Rollbacks() int32 { return h.cell.rollbacks }

// DeferredViolations reports whether a foreign key whose check is deferred is violated:
// COMMIT would fail, RELEASE does not.
func (h *Handle) DeferredViolations() bool {
	at := h.address()
	now, most := at+unsafe.Offsetof(h.cell.now), at+unsafe.Offsetof(h.cell.most)
	lib.Xsqlite3_db_status(h.tls, h.db, lib.SQLITE_DBSTATUS_DEFERRED_FKS, now, most, 0)
	return h.cell.now != 0
}
