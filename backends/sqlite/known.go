package sqlite

import (
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"sync"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// This file finds out whether zombiezen's Conn is one that handle.go knows.

// knownVersions are those of zombiezen.com/go/sqlite that this file was tested with.
const knownVersions = "v1.4.2"

// fields are where the unexported fields of a Conn are.
var fields struct{ tls, conn, stmts, closed, doneCh uintptr }

// reachable finds the fields, once, and compares what they say with what the public API says.
// Its error says that this zombiezen is not known.
var reachable = sync.OnceValue(func() (err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			err = fmt.Errorf("it panicked: %v", thrown)
		}
		if err != nil {
			err = fmt.Errorf("%w: zombiezen.com/go/sqlite %s does not look like %s, which is known: %w",
				ErrUnknownVersion, versionOf("zombiezen.com/go/sqlite"), knownVersions, err)
		}
	}()
	if err := findFields(reflect.TypeFor[Conn]()); err != nil {
		return err
	}
	return canary()
})

func findFields(conn reflect.Type) error {
	for _, field := range []struct {
		name string
		kind reflect.Type
		at   *uintptr
	}{
		{"tls", reflect.TypeFor[*libc.TLS](), &fields.tls},
		{"conn", reflect.TypeFor[uintptr](), &fields.conn},
		{"stmts", reflect.TypeFor[map[string]*sqlite.Stmt](), &fields.stmts},
		{"closed", reflect.TypeFor[bool](), &fields.closed},
		{"doneCh", reflect.TypeFor[<-chan struct{}](), &fields.doneCh},
	} {
		found, ok := conn.FieldByName(field.name)
		if !ok || found.Type != field.kind {
			return fmt.Errorf("its Conn has no field %s %v", field.name, field.kind)
		}
		*field.at = found.Offset
	}
	return nil
}

// canary compares, on a connection of its own, what the handle says with what the public API says.
func canary() error {
	conn, err := openConn(":memory:", sqlite.OpenReadWrite)
	if err != nil {
		return err
	}
	h := newHandle(conn)
	if err := errors.Join(h.attach(), h.install()); err != nil {
		return errors.Join(err, h.uninstall(), closeConn(conn))
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
	expect("autocommit", h.autocommit())
	run("BEGIN IMMEDIATE")
	expect("autocommit in a transaction", !h.autocommit() && !conn.AutocommitEnabled() && h.txnState() == lib.SQLITE_TXN_WRITE)
	run("SELECT 1 UNION SELECT 2")
	expect("a busy statement", h.active() == 1 && h.busyStatement() == conn.CheckReset() && conn.CheckReset() != "")
	expect("the cache of statements", h.cached() == 2)
	h.resetBusy()
	expect("a reset statement", h.active() == 0 && h.busyStatement() == "" && conn.CheckReset() == "")
	before := h.limits()
	conn.Limit(sqlite.LimitVariableNumber, 7)
	limits := h.limits()
	expect("a limit", limits != before && limits[sqlite.LimitVariableNumber] == 7)
	h.refuseCommits(true)
	_, commitErr := conn.Prep("COMMIT").Step()
	expect("a refused commit", sqlite.ErrCode(commitErr) == sqlite.ResultConstraintCommitHook && h.cell.refused == 1 && h.cell.lost == 1)
	h.refuseCommits(false)
	run("CREATE TEMP TABLE canary (x)")
	expect("the authorizer", h.taint() == 1<<FoundTemp)
	armed := make(chan struct{})
	conn.SetInterrupt(armed)
	expect("the interrupt", h.interrupt() == armed && !h.closed())
	err = errors.Join(err, h.uninstall(), closeConn(conn))
	expect("the end", h.closed())
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
