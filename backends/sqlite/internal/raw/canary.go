package raw

import (
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"sync"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// knownVersions are those of zombiezen.com/go/sqlite that this package was tested with.
const knownVersions = "v1.4.2"

// fields are where the unexported fields of a Conn and of a Stmt are.
var fields struct{ tls, conn, stmts, closed, doneCh, stmt uintptr }

// Supported returns an error if zombiezen's Conn is not one that this package knows.
// Once, it finds the unexported fields, and compares what they say with what the public API says.
var Supported = sync.OnceValue(func() (err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			err = fmt.Errorf("it panicked: %v", thrown)
		}
		if err != nil {
			err = fmt.Errorf("zombiezen.com/go/sqlite %s does not look like %s, which is known: %w",
				versionOf("zombiezen.com/go/sqlite"), knownVersions, err)
		}
	}()
	if err := findFields(reflect.TypeFor[sqlite.Conn](), reflect.TypeFor[sqlite.Stmt]()); err != nil {
		return err
	}
	return canary()
})

func findFields(conn, stmt reflect.Type) error {
	for _, field := range []struct {
		of   reflect.Type
		name string
		kind reflect.Type
		at   *uintptr
	}{
		{conn, "tls", reflect.TypeFor[*libc.TLS](), &fields.tls},
		{conn, "conn", reflect.TypeFor[uintptr](), &fields.conn},
		{conn, "stmts", reflect.TypeFor[map[string]*sqlite.Stmt](), &fields.stmts},
		{conn, "closed", reflect.TypeFor[bool](), &fields.closed},
		{conn, "doneCh", reflect.TypeFor[<-chan struct{}](), &fields.doneCh},
		{stmt, "stmt", reflect.TypeFor[uintptr](), &fields.stmt},
	} {
		found, ok := field.of.FieldByName(field.name)
		if !ok || found.Type != field.kind {
			return fmt.Errorf("its %s has no field %s %v", field.of.Name(), field.name, field.kind)
		}
		*field.at = found.Offset
	}
	return nil
}

// witness is what the canary has SQLite ask.
type witness struct{ authorized []string }

func (*witness) Busy(int) bool                  { return false }
func (*witness) MayCheckpoint(bool) bool        { return true }
func (*witness) Checkpointed(sqlite.ResultCode) {}

func (*witness) Calls(string) {}

func (*witness) Progress() {}

func (*witness) MayCommit() bool { return true }

func (*witness) SchemaChanged() {}

func (w *witness) Authorize(_ sqlite.OpType, name string, _ bool, _ string) bool {
	w.authorized = append(w.authorized, name)
	return true
}

// canary compares, on a connection of its own, what the handle says with what the public API says.
func canary() error {
	conn, err := Open(":memory:", sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	if err := findTrampolines(conn); err != nil {
		return errors.Join(err, Close(conn))
	}
	h, w := New(conn), new(witness)
	if err := errors.Join(h.Attach(w), h.Install()); err != nil {
		return errors.Join(err, h.Uninstall(), Close(conn))
	}
	expect := func(what string, ok bool) {
		if !ok && err == nil {
			err = fmt.Errorf("%s is not what the public API says", what)
		}
	}
	run := func(sql string) {
		if _, runErr := conn.Prep(sql).Step(); runErr != nil && err == nil {
			err = runErr
		}
	}
	expect("autocommit", h.Autocommit())
	run("BEGIN IMMEDIATE")
	expect("autocommit in a transaction", !h.Autocommit() && !conn.AutocommitEnabled() && h.txnState() == lib.SQLITE_TXN_WRITE)
	run("SELECT 1 UNION SELECT 2")
	expect("a busy statement", h.Active() == 1 && h.BusyStatement() == conn.CheckReset() && conn.CheckReset() != "")
	expect("the cache of statements", h.CachedStatements() == 2)
	h.ResetBusy()
	expect("a reset statement", h.Active() == 0 && h.BusyStatement() == "" && conn.CheckReset() == "")
	expect("the text of a statement", h.Statement(conn.Prep("SELECT 1 UNION SELECT 2")).Text() == "SELECT 1 UNION SELECT 2")
	before := h.Limits()
	conn.Limit(sqlite.LimitVariableNumber, 7)
	limits := h.Limits()
	expect("a limit", limits != before && limits[sqlite.LimitVariableNumber] == 7)
	h.RefuseCommits(true)
	_, commitErr := conn.Prep("COMMIT").Step()
	expect("a refused commit", sqlite.ErrCode(commitErr) == sqlite.ResultConstraintCommitHook && h.cell.refused == 1 && h.cell.rollbacks == 1)
	h.RefuseCommits(false)
	run("CREATE TEMP TABLE canary (x)")
	expect("the authorizer", slices.Contains(w.authorized, "canary") && h.HasAuthorizer())
	armed := make(chan struct{})
	conn.SetInterrupt(armed)
	expect("the interrupt", h.InterruptChannel() == armed && !h.Closed())
	err = errors.Join(err, h.Uninstall(), Close(conn))
	expect("the end", h.Closed())
	return err
}

// versionOf returns the version of a module that the program was built with.
func versionOf(module string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == module {
				if dep.Replace != nil {
					return dep.Replace.Version
				}
				return dep.Version
			}
		}
	}
	return "(unknown version)"
}
