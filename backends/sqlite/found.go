package sqlite

import (
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/headpond/headpond/pool"
)

// FindingKind says what a borrower left behind on a connection.
type FindingKind uint8

const (
	// What follows is undone, and the connection goes on.

	FoundStatement   FindingKind = iota // a statement in the middle of its rows, or an open blob: reset
	FoundTransaction                    // a transaction or savepoints: rolled back
	FoundLimit                          // another value of Conn.Limit: restored
	FoundBusyHandler                    // another busy handler or timeout: restored
	FoundInterrupt                      // a channel of the borrower's in Conn.SetInterrupt: taken off
	FoundIdle                           // a transaction of database/sql in which nothing ran for too long: rolled back

	// What follows costs the connection.

	FoundTemp       // a temporary table, index, view or trigger
	FoundAttach     // ATTACH or DETACH, by VACUUM as well
	FoundPragma     // a pragma that was set
	FoundFunction   // a function, collation or module of virtual tables that was registered, replaced or taken off
	FoundAuthorizer // an authorizer that was set, or taken off
	FoundSession    // a session that was not deleted
	FoundStatements // more cached statements than Options.MaxStatements
	FoundClosed     // the connection was closed by its borrower
	FoundWedged     // it can't set and release a savepoint any more, or a panic, as of an SQL function, ended a statement in the middle of what it does

	// What follows is found when the connection is closed.

	FoundUnfinalized // statements of Conn.PrepareTransient, blobs or backups that were never closed: the file stays open

	FindingKinds // how many there are
)

var findingKinds = [FindingKinds]string{
	"statement", "transaction", "limit", "busy_handler", "interrupt", "idle_transaction",
	"temp", "attach", "pragma", "function", "authorizer", "session", "statements", "closed", "wedged",
	"unfinalized",
}

// String returns k in snake_case.
func (k FindingKind) String() string {
	if k < FindingKinds {
		return findingKinds[k]
	}
	return "FindingKind(" + strconv.Itoa(int(k)) + ")"
}

// recoverable reports whether a connection that was left so can go on.
func (k FindingKind) recoverable() bool { return k < FoundTemp }

// Finding is what a borrower left behind on a connection.
type Finding struct {
	Kind   FindingKind
	Mode   Mode
	Detail string // which: the text of a statement, the name of a pragma; empty if there is nothing to say
}

// String returns f as it stands in errors.
func (f Finding) String() string {
	if f.Detail == "" {
		return f.Kind.String()
	}
	return fmt.Sprintf("%v (%s)", f.Kind, f.Detail)
}

// Found counts what borrowers left behind, by kind: Found[FoundTransaction].
type Found [FindingKinds]uint64

// counts are the living Found.
type counts [FindingKinds]atomic.Uint64

func (c *counts) load() (found Found) {
	for kind := range c {
		found[kind] = c[kind].Load()
	}
	return found
}

// figures are the counts as pages and metrics have them.
func (found Found) figures() (all []pool.Figure) {
	for kind, count := range found {
		f := counter("findings", "{finding}", "What borrowers left behind on connections, by kind.", float64(count))
		f.Labels = []pool.Label{{Name: "headpond.finding.kind", Value: FindingKind(kind).String()}}
		all = append(all, f)
	}
	return all
}
