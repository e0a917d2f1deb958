package sqlite

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// Kind is something that a borrower left behind on a connection.
type Kind uint8

const (
	// What follows is mended, and the connection goes on.

	FoundStatement   Kind = iota // a statement in the middle of its rows, or an open blob: reset
	FoundTransaction             // a transaction or savepoints: rolled back
	FoundLimit                   // another value of Conn.Limit: restored
	FoundBusyHandler             // another busy handler or timeout: restored
	FoundInterrupt               // a channel of the borrower's in Conn.SetInterrupt: taken off

	// What follows costs the connection.

	FoundTemp       // a temporary table, index, view or trigger
	FoundAttach     // ATTACH or DETACH, by VACUUM as well
	FoundPragma     // a pragma that was set
	FoundFunction   // a function, collation or module of virtual tables that was registered, replaced or taken off
	FoundAuthorizer // an authorizer that was set, or taken off
	FoundSession    // a session that was not deleted
	FoundStatements // more cached statements than Options.MaxStatements
	FoundClosed     // the connection was closed by its borrower
	FoundWedged     // it can't begin and end a unit of work any more

	// What follows is found when the connection is closed.

	FoundUnfinalized // statements of Conn.PrepareTransient, blobs or backups that were never closed: the file stays open

	Kinds // how many there are
)

var kinds = [Kinds]string{
	"statement", "transaction", "limit", "busy_handler", "interrupt",
	"temp", "attach", "pragma", "function", "authorizer", "session", "statements", "closed", "wedged",
	"unfinalized",
}

// String returns k in snake_case.
func (k Kind) String() string {
	if k < Kinds {
		return kinds[k]
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// mends says whether a connection that was left so can go on.
func (k Kind) mends() bool { return k < FoundTemp }

// Finding is what a borrower left behind on a connection.
type Finding struct {
	Kind   Kind
	Mode   Mode
	Detail string // which: the text of a statement, the name of a pragma; empty where there is nothing to say
}

// String returns f as it stands in errors.
func (f Finding) String() string {
	if f.Detail == "" {
		return f.Kind.String()
	}
	return fmt.Sprintf("%v (%s)", f.Kind, f.Detail)
}

// Found counts what borrowers left behind, by kind: Found[FoundTransaction].
type Found [Kinds]uint64

// counts are the living Found.
type counts [Kinds]atomic.Uint64

func (c *counts) snapshot() (found Found) {
	for kind := range c {
		found[kind] = c[kind].Load()
	}
	return found
}

// findings are what one reset finds. The zero value is a clean connection.
type findings []Finding

func (f *findings) add(s *state, kind Kind, detail string) {
	*f = append(*f, Finding{Kind: kind, Mode: s.mode, Detail: detail})
}

// report counts the findings and tells OnFinding of them.
func (f findings) report(ctx context.Context, db *database) {
	for _, finding := range f {
		db.found[finding.Kind].Add(1)
		if db.options.OnFinding != nil {
			db.options.OnFinding(ctx, finding)
		}
	}
}

// err returns an error that names the findings that cost the connection, nil where there are none.
func (f findings) err() error {
	var all []string
	for _, finding := range f {
		if !finding.Kind.mends() {
			all = append(all, finding.String())
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("headpond/sqlite: the borrower left behind: %s", strings.Join(all, ", "))
}
