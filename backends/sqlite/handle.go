package sqlite

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// This is the only file that reaches below zombiezen's Conn: the public API can't see
// a statement that a borrower left open, can't reset it,
// and can't keep a callback from committing.

// handle is the sqlite3* below a Conn. Its methods are called where the Conn's may be:
// by one goroutine at a time.
type handle struct {
	conn *Conn
	tls  *libc.TLS
	db   uintptr
	cell *cell // nil before attach

	control [controls]uintptr // statements of ours, beside the cache of the Conn, so that no text of a borrower can stand for them
}

// cell is what SQLite's callbacks read and write, in memory of C's, whose address they are given.
type cell struct {
	refuse  int32  // every commit is refused and becomes a rollback
	refused int32  // how many were
	lost    int32  // how many transactions were rolled back as a whole, by whomever
	taint   uint32 // bits of the Kinds that the authorizer saw
	log     int32  // pages in the write-ahead log after the last commit of this connection
	now     int32  // for db_status
	most    int32  // for db_status
}

// control is one of the statements that a connection has prepared for good.
type control uint8

const (
	begin control = iota
	beginImmediate
	commit
	rollback
	savepoint
	release
	rollbackTo
	controls
)

// unit is the name of our savepoint, another one in every process: a savepoint or RELEASE of a borrower's can't hit it.
var unit = fmt.Sprintf(`"headpond unit of work %016x"`, rand.Uint64())

var controlTexts = [controls]string{
	"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK",
	"SAVEPOINT " + unit, "RELEASE " + unit, "ROLLBACK TO " + unit,
}

// newHandle returns the handle of an open Conn. reachable must have returned nil, but in canary.
func newHandle(conn *Conn) handle {
	return handle{conn: conn, tls: *field[*libc.TLS](conn, fields.tls), db: *field[uintptr](conn, fields.conn)}
}

func field[T any](conn *Conn, offset uintptr) *T {
	return (*T)(unsafe.Add(unsafe.Pointer(conn), offset))
}

// pointer is the address that C gave as a number. What is there is not Go's, and does not move.
func pointer(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

// function is a function as C calls it. It must be a declared one, no closure.
func function[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&struct{ f F }{f})) }

func (h *handle) sqlite3() *lib.Tsqlite3 { return (*lib.Tsqlite3)(pointer(h.db)) }

// attach makes the cell.
func (h *handle) attach() error {
	at := lib.Xsqlite3_malloc(h.tls, int32(unsafe.Sizeof(cell{})))
	if at == 0 {
		return sqlite.ResultNoMem.ToError()
	}
	h.cell = (*cell)(pointer(at))
	*h.cell = cell{}
	return nil
}

// install sets the hooks, and prepares the control statements afterwards,
// since an authorizer that is set expires what is prepared.
func (h *handle) install() error {
	at := h.address()
	lib.Xsqlite3_commit_hook(h.tls, h.db, function(commitHook), at)
	lib.Xsqlite3_wal_hook(h.tls, h.db, function(walHook), at)
	lib.Xsqlite3_rollback_hook(h.tls, h.db, function(rollbackHook), at)
	h.authorize()
	return h.prepareControl()
}

// authorize makes authorizer the authorizer.
func (h *handle) authorize() {
	lib.Xsqlite3_set_authorizer(h.tls, h.db, function(authorizer), h.address())
}

func (h *handle) prepareControl() error {
	for i := range h.control {
		stmt, err := h.prepare(controlTexts[i])
		if err != nil {
			return err
		}
		h.control[i] = stmt
	}
	return nil
}

func (h *handle) finalizeControl(tls *libc.TLS) {
	for i, stmt := range h.control {
		lib.Xsqlite3_finalize(tls, stmt)
		h.control[i] = 0
	}
}

// borrow calls do with the control statements of a connection that is not ours, and has none.
func (h *handle) borrow(do func() error) error {
	defer h.finalizeControl(h.tls)
	if err := h.prepareControl(); err != nil {
		return err
	}
	return do()
}

// uninstall undoes attach, install and waitOnBusy. It also does where the Conn was closed by its borrower:
// then the sqlite3* is open still, since our statements are, and uninstall closes it.
func (h *handle) uninstall() (err error) {
	tls, closed := h.tls, h.closed()
	if closed {
		tls = libc.NewTLS()
		defer tls.Close()
	}
	if h.cell == nil {
		return nil
	}
	if closed { // its transaction, too, is open still
		h.statements(tls, func(stmt uintptr) { lib.Xsqlite3_reset(tls, stmt) })
		lib.Xsqlite3_set_authorizer(tls, h.db, 0, 0)
		lib.Xsqlite3_step(tls, h.control[rollback])
	}
	h.finalizeControl(tls)
	lib.Xsqlite3_busy_handler(tls, h.db, 0, 0)
	lib.Xsqlite3_commit_hook(tls, h.db, 0, 0)
	lib.Xsqlite3_wal_hook(tls, h.db, 0, 0)
	lib.Xsqlite3_rollback_hook(tls, h.db, 0, 0)
	lib.Xsqlite3_set_authorizer(tls, h.db, 0, 0)
	at := h.address()
	if closed {
		if code := sqlite.ResultCode(lib.Xsqlite3_close(tls, h.db)); !code.IsSuccess() {
			err = fmt.Errorf("close: %w", code.ToError())
		}
	}
	lib.Xsqlite3_free(tls, at)
	h.cell = nil
	return err
}

// address is the cell's, as the callbacks get it.
func (h *handle) address() uintptr { return uintptr(unsafe.Pointer(h.cell)) }

func (h *handle) prepare(sql string) (stmt uintptr, err error) {
	text, err := libc.CString(sql)
	if err != nil {
		return 0, err
	}
	defer libc.Xfree(h.tls, text)
	size := int(unsafe.Sizeof(stmt))
	out := h.tls.Alloc(size)
	defer h.tls.Free(size)
	if code := lib.Xsqlite3_prepare_v3(h.tls, h.db, text, -1, lib.SQLITE_PREPARE_PERSISTENT, out, 0); code != lib.SQLITE_OK {
		return 0, fmt.Errorf("prepare %s: %w", sql, h.error(code))
	}
	return *(*uintptr)(pointer(out)), nil
}

// run runs a control statement to its end. It runs on a connection that is interrupted, too.
func (h *handle) run(which control) error {
	code := lib.Xsqlite3_step(h.tls, h.control[which])
	if code == lib.SQLITE_DONE {
		return nil // the next step resets it; it holds nothing until then
	}
	err := fmt.Errorf("%s: %w", controlTexts[which], h.error(code))
	lib.Xsqlite3_reset(h.tls, h.control[which])
	return err
}

// error is the error of the call that just returned code.
func (h *handle) error(code int32) error {
	err := sqlite.ResultCode(code).ToError()
	if message := libc.GoString(lib.Xsqlite3_errmsg(h.tls, h.db)); message != "" && message != err.Error() {
		return fmt.Errorf("%w: %s", err, message)
	}
	return err
}

// closed reports whether Conn.Close was called.
func (h *handle) closed() bool { return *field[bool](h.conn, fields.closed) }

// interrupt is the channel of Conn.SetInterrupt.
func (h *handle) interrupt() <-chan struct{} { return *field[<-chan struct{}](h.conn, fields.doneCh) }

// interruptNow ends what runs. Any goroutine may call it from install to uninstall:
// there the sqlite3* lives on where a borrower closes the Conn.
func (h *handle) interruptNow() { lib.Xsqlite3_interrupt(h.tls, h.db) }

// cached is how many statements the Conn has cached.
func (h *handle) cached() int { return len(*field[map[string]*sqlite.Stmt](h.conn, fields.stmts)) }

func (h *handle) autocommit() bool { return h.sqlite3().FautoCommit != 0 }

// active is how many statements of either kind are in the middle of their rows, open blobs included.
func (h *handle) active() int { return int(h.sqlite3().FnVdbeActive) }

// txnState is SQLITE_TXN_NONE, _READ or _WRITE, the most of all attached databases.
func (h *handle) txnState() int32 { return lib.Xsqlite3_txn_state(h.tls, h.db, 0) }

// idle reports whether no transaction is open, not even that of a statement.
func (h *handle) idle() bool {
	return h.autocommit() && h.active() == 0 && h.txnState() == lib.SQLITE_TXN_NONE
}

// statements calls see with every statement of either kind.
func (h *handle) statements(tls *libc.TLS, see func(stmt uintptr)) {
	for stmt := lib.Xsqlite3_next_stmt(tls, h.db, 0); stmt != 0; stmt = lib.Xsqlite3_next_stmt(tls, h.db, stmt) {
		see(stmt)
	}
}

// busyStatement returns the text of a statement in the middle of its rows. A blob's is empty.
func (h *handle) busyStatement() (sql string) {
	h.statements(h.tls, func(stmt uintptr) {
		if sql == "" && lib.Xsqlite3_stmt_busy(h.tls, stmt) != 0 {
			sql = libc.GoString(lib.Xsqlite3_sql(h.tls, stmt))
		}
	})
	return sql
}

// resetBusy resets every statement of either kind that is in the middle of its rows, and every open blob.
func (h *handle) resetBusy() {
	for _, stmt := range *field[map[string]*sqlite.Stmt](h.conn, fields.stmts) {
		if stmt.DataCount() > 0 {
			_ = stmt.Reset() // repeats the error of its last step
		}
	}
	h.statements(h.tls, func(stmt uintptr) {
		if lib.Xsqlite3_stmt_busy(h.tls, stmt) != 0 {
			lib.Xsqlite3_reset(h.tls, stmt)
		}
	})
}

// unfinalized returns the texts of the statements for which the sqlite3* of a closed Conn is open still:
// at most most of them, and how many there are. A Conn whose Close succeeded must not be asked.
func (h *handle) unfinalized(most int) (texts []string, count int) {
	tls := libc.NewTLS()
	defer tls.Close()
	h.statements(tls, func(stmt uintptr) {
		if count++; count <= most {
			texts = append(texts, libc.GoString(lib.Xsqlite3_sql(tls, stmt)))
		}
	})
	return texts, count
}

// limits are the values of Conn.Limit.
func (h *handle) limits() limits { return h.sqlite3().FaLimit }

type limits = [lib.SQLITE_N_LIMIT]int32

func (h *handle) setLimits(all limits) { h.sqlite3().FaLimit = all }

// settings is what else a connection must have when it is released, in one comparison.
type settings struct {
	flags      uint64 // of db_config and the pragmas that are on or off
	registered digest // functions, collations and modules: to replace one leaves their number as it was
	sessions   uintptr
	temp       bool // there is something in the temporary database
}

func (h *handle) settings() settings {
	db := h.sqlite3()
	s := settings{flags: db.Fflags, sessions: db.FpPreUpdateArg}
	if temp := (*[2]lib.TDb)(pointer(db.FaDb))[1].FpBt; temp != 0 {
		s.temp = (*lib.TBtShared)(pointer((*lib.TBtree)(pointer(temp)).FpBt)).FnPage > 0
	}
	for at := db.FaFunc.Ffirst; at != 0; {
		element := (*lib.THashElem)(pointer(at))
		for at := element.Fdata; at != 0; {
			f := (*lib.TFuncDef)(pointer(at))
			s.registered.add(f.FpUserData, f.FxSFunc)
			at = f.FpNext
		}
		at = element.Fnext
	}
	for at := db.FaCollSeq.Ffirst; at != 0; {
		element := (*lib.THashElem)(pointer(at))
		c := (*lib.TCollSeq)(pointer(element.Fdata)) // that for UTF-8: the Conn knows no other
		s.registered.add(c.FpUser, c.FxCmp)
		at = element.Fnext
	}
	for at := db.FaModule.Ffirst; at != 0; {
		element := (*lib.THashElem)(pointer(at))
		if m := (*lib.TModule)(pointer(element.Fdata)); !lazy(m) {
			s.registered.add(m.FpModule, m.FpAux)
		}
		at = element.Fnext
	}
	return s
}

// lazy reports whether SQLite registered the module by itself, when it was first used.
func lazy(m *lib.TModule) bool {
	if m.FxDestroy != 0 {
		return false
	}
	begins := *(*[2]byte)(pointer(m.FzName))
	return begins == [2]byte{'p', 'r'} || begins == [2]byte{'j', 's'} // pragma_table_info, json_each
}

// digest tells one set of pairs from another. It is a sum, so that the processor need not wait for one to add the next.
type digest uint64

func (d *digest) add(one, other uintptr) {
	*d += (digest(one) + 1) * (digest(other) ^ 0x9e3779b97f4a7c15)
}

// authorized reports whether the authorizer is ours.
func (h *handle) authorized() bool {
	return h.sqlite3().FpAuthArg == h.address() && h.sqlite3().FxAuth != 0
}

// taint returns a bit for every Kind that the authorizer saw.
func (h *handle) taint() uint32 { return h.cell.taint }

// code is what the last call on the connection came to.
func (h *handle) code() sqlite.ResultCode { return sqlite.ResultCode(h.sqlite3().FerrCode) }

// refuseCommits makes every commit from now on fail and roll back, or lets them pass.
func (h *handle) refuseCommits(on bool) {
	h.cell.refuse = 0
	if on {
		h.cell.refuse = 1
	}
}

// lost is how many transactions were rolled back as a whole so far, by whomever:
// by ROLLBACK, OR ROLLBACK, an interrupt, a full disk or a refused commit.
func (h *handle) lost() int32 { return h.cell.lost }

// logged is how many pages are in the write-ahead log, as of the last commit or emptied.
func (h *handle) logged() int { return int(h.cell.log) }

// emptied notes that the log is empty.
func (h *handle) emptied() { h.cell.log = 0 }

// deferredViolations reports whether a foreign key whose check is deferred is violated:
// COMMIT would fail, RELEASE does not.
func (h *handle) deferredViolations() bool {
	at := h.address()
	now, most := at+unsafe.Offsetof(h.cell.now), at+unsafe.Offsetof(h.cell.most)
	lib.Xsqlite3_db_status(h.tls, h.db, lib.SQLITE_DBSTATUS_DEFERRED_FKS, now, most, 0)
	return h.cell.now != 0
}

// queryOnly makes every write fail, or not. PRAGMA query_only does the same, but taints the connection.
func (h *handle) queryOnly(on bool) {
	if on {
		h.sqlite3().Fflags |= lib.SQLITE_QueryOnly
	} else {
		h.sqlite3().Fflags &^= lib.SQLITE_QueryOnly
	}
}

// setDefensive is what Conn.SetDefensive should be: zombiezen v1.4.2 gives sqlite3_db_config one argument
// where it reads two, and it then writes to whatever address lies behind the first.
func (h *handle) setDefensive(on bool) error {
	var value int32
	if on {
		value = 1
	}
	list := libc.NewVaList(value, uintptr(0))
	if list == 0 {
		return sqlite.ResultNoMem.ToError()
	}
	defer libc.Xfree(h.tls, list)
	if code := lib.Xsqlite3_db_config(h.tls, h.db, lib.SQLITE_DBCONFIG_DEFENSIVE, list); code != lib.SQLITE_OK {
		return fmt.Errorf("set defensive: %w", h.error(code))
	}
	return nil
}

// waitOnBusy makes busyHandler the busy handler.
func (h *handle) waitOnBusy() {
	lib.Xsqlite3_busy_handler(h.tls, h.db, function(busyHandler), h.address())
}

// waits reports whether busyHandler is the busy handler.
func (h *handle) waits() bool {
	db := h.sqlite3()
	return db.FbusyHandler.FpBusyArg == h.address() && db.FbusyHandler.FxBusyHandler != 0 && db.FbusyTimeout == 0
}

// What follows is called by SQLite, on the goroutine that uses the connection.

func commitHook(_ *libc.TLS, at uintptr) int32 {
	c := (*cell)(pointer(at))
	c.refused += c.refuse
	return c.refuse
}

// checkpointPages is from how many pages in the log on each commit moves what it can into the database file:
// SQLite's own default, which the hook replaces.
const checkpointPages = 1000

func walHook(tls *libc.TLS, at, db, name uintptr, pages int32) int32 {
	if name == lib.Xsqlite3_db_name(tls, db, 0) { // that of main, not of what Options.Setup attached
		(*cell)(pointer(at)).log = pages
	}
	if pages >= checkpointPages {
		lib.Xsqlite3_wal_checkpoint_v2(tls, db, name, lib.SQLITE_CHECKPOINT_PASSIVE, 0, 0)
	}
	return lib.SQLITE_OK
}

func rollbackHook(_ *libc.TLS, at uintptr) { (*cell)(pointer(at)).lost++ }

func busyHandler(_ *libc.TLS, at uintptr, count int32) int32 {
	if s, ok := stateAt(at); ok && s.wait(int(count)) {
		return 1
	}
	return 0
}

// authorizer is asked when a statement is prepared. It marks what taints,
// and allows everything but what would reach further than the connection.
func authorizer(_ *libc.TLS, at uintptr, op int32, first, second, database, _ uintptr) int32 {
	switch op { // the many, without reading a text
	case lib.SQLITE_READ, lib.SQLITE_SELECT, lib.SQLITE_INSERT, lib.SQLITE_UPDATE, lib.SQLITE_DELETE,
		lib.SQLITE_FUNCTION, lib.SQLITE_TRANSACTION, lib.SQLITE_SAVEPOINT, lib.SQLITE_RECURSIVE:
		return lib.SQLITE_OK
	}
	name := libc.GoString(first)
	if op == lib.SQLITE_PRAGMA && second != 0 && processWide[strings.ToLower(name)] {
		return lib.SQLITE_DENY
	}
	if kind, tainted := taints(sqlite.OpType(op), name, second != 0, libc.GoString(database)); tainted {
		(*cell)(pointer(at)).taint |= 1 << kind
		if s, ok := stateAt(at); ok {
			s.tainted[kind] = name
		}
	}
	return lib.SQLITE_OK
}
