package raw

import (
	"slices"
	"sync"
	"time"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// Ran is one run of a statement.
type Ran struct {
	Statement                         Statement // to be asked in the call alone that tells of the run
	Took                              time.Duration
	Rows                              int64 // that it returned; of a statement that returns none, those that it changed
	FullScanSteps, Sorts, AutoIndexes int64
	Code                              sqlite.ResultCode // OK also if it was reset before its end
}

// Profile makes SQLite tell of every statement that has run to its end, has failed, or was reset in the middle of its rows, until Uninstall:
// ran is called inside that step or reset, on its goroutine, and must not touch the connection.
// It hears nothing of our own statements, and nothing of what another statement runs, which is a part of that one.
// Without Profile SQLite calls nothing.
//
// See https://www.sqlite.org/c3ref/c_trace.html. SQLite's own measure of the time has milliseconds only,
// so that the start is noted as well.
func (h *Handle) Profile(ran func(ran Ran)) {
	at := h.address()
	profiles.Store(at, &profile{handle: h, ran: ran})
	lib.Xsqlite3_trace_v2(h.tls, h.db, lib.SQLITE_TRACE_STMT|lib.SQLITE_TRACE_ROW|lib.SQLITE_TRACE_PROFILE, function(traceHook), at)
}

// Profiled reports whether Profile was called, and SQLite calls it still.
func (h *Handle) Profiled() bool { return h.sqlite3().FmTrace != 0 }

// profiles has the profile of every connection that has one by the address of its cell.
var profiles sync.Map

// profile is what is known of the statements of one connection that run now.
type profile struct {
	handle  *Handle
	ran     func(ran Ran)
	running []runningStatement
}

type runningStatement struct {
	stmt    uintptr
	began   time.Duration // since epoch
	rows    int64
	changes int64 // of the connection, before
	inner   bool  // it is a part of another statement
}

// epoch is when time began: the time since one moment is had for less than the time of day.
var epoch = time.Now()

// isOurs reports whether no borrower has made the statement.
func (h *Handle) isOurs(stmt uintptr) bool {
	return stmt == h.asking || slices.Contains(h.commands[:], stmt)
}

func traceHook(tls *libc.TLS, kind uint32, at, stmt, x uintptr) int32 {
	found, ok := profiles.Load(at)
	if !ok {
		return 0
	}
	p := found.(*profile)
	switch kind {
	case lib.SQLITE_TRACE_STMT:
		p.begin(stmt)
	case lib.SQLITE_TRACE_ROW:
		if r := p.find(stmt); r != nil {
			r.rows++
		}
	case lib.SQLITE_TRACE_PROFILE:
		p.end(tls, stmt, time.Duration(*(*int64)(pointer(x))))
	}
	return 0
}

// find returns the run of a statement: nearly always it is the last one.
func (p *profile) find(stmt uintptr) *runningStatement {
	for i := len(p.running) - 1; i >= 0; i-- {
		if p.running[i].stmt == stmt {
			return &p.running[i]
		}
	}
	return nil
}

func (p *profile) begin(stmt uintptr) {
	if p.handle.isOurs(stmt) || p.find(stmt) != nil { // which is a trigger of it
		return
	}
	db := p.handle.sqlite3()
	p.running = append(p.running, runningStatement{stmt: stmt, began: time.Since(epoch), changes: int64(db.FnTotalChange), inner: db.FnVdbeExec > 1})
}

func (p *profile) end(tls *libc.TLS, stmt uintptr, took time.Duration) {
	if p.handle.isOurs(stmt) {
		return
	}
	ran := Ran{Statement: Statement{tls: tls, stmt: stmt}, Took: took}
	if r := p.find(stmt); r != nil { // but EXPLAIN does not tell when it begins
		inner := r.inner
		ran.Took, ran.Rows = time.Since(epoch)-r.began, r.rows
		if db := p.handle.sqlite3(); r.rows == 0 && int64(db.FnTotalChange) != r.changes {
			ran.Rows = int64(db.FnChange)
		}
		*r = p.running[len(p.running)-1]
		p.running = p.running[:len(p.running)-1]
		if inner {
			return
		}
	}
	statement := (*lib.TVdbe)(pointer(stmt))
	ran.Code = sqlite.ResultCode(statement.Frc)
	if ran.Code == lib.SQLITE_SCHEMA { // it is prepared anew, and runs
		return
	}
	count := func(counter int32) int64 { return int64(lib.Xsqlite3_stmt_status(tls, stmt, counter, 1)) }
	ran.FullScanSteps, ran.Sorts, ran.AutoIndexes = count(lib.SQLITE_STMTSTATUS_FULLSCAN_STEP), count(lib.SQLITE_STMTSTATUS_SORT), count(lib.SQLITE_STMTSTATUS_AUTOINDEX)
	p.ran(ran)
}
