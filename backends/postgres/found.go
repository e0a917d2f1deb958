package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// FindingKind is something that a borrower left behind on a connection.
type FindingKind uint8

const (
	// What follows is undone, and the connection goes on.

	FoundTransaction  FindingKind = iota // a transaction: rolled back
	FoundSetting                         // a setting, by SET or set_config: reset
	FoundRole                            // SET ROLE or SET SESSION AUTHORIZATION: reset
	FoundListen                          // a channel of LISTEN: taken off, and what was heard on it dropped
	FoundCursor                          // a cursor WITH HOLD: closed
	FoundPrepared                        // a statement of SQL's PREPARE: deallocated
	FoundTemp                            // a temporary table, view, sequence or function: dropped
	FoundAdvisoryLock                    // an advisory lock of the session: unlocked

	// What follows costs the connection.

	FoundRows       // rows, a batch or a COPY that was not read to its end, or not closed
	FoundStatements // DEALLOCATE or DISCARD ALL took statements that pgx has prepared and counts on
	FoundLasting    // what nothing undoes: LOAD, dblink_connect, a temporary replication slot
	FoundWedged     // it could not be reset

	FindingKinds // how many there are
)

var findingKinds = [FindingKinds]string{
	"transaction", "setting", "role", "listen", "cursor", "prepared", "temp", "advisory_lock",
	"rows", "statements", "lasting", "wedged",
}

// String returns k in snake_case.
func (k FindingKind) String() string {
	if k < FindingKinds {
		return findingKinds[k]
	}
	return "FindingKind(" + strconv.Itoa(int(k)) + ")"
}

// recoverable reports whether a connection that was left so can go on.
func (k FindingKind) recoverable() bool { return k < FoundRows }

// Finding is what a borrower left behind on a connection.
type Finding struct {
	Kind   FindingKind
	Detail string // which: the name of a setting, a channel, a table; empty if there is nothing to say
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

func (c *counts) snapshot() (found Found) {
	for kind := range c {
		found[kind] = c[kind].Load()
	}
	return found
}

// findings are what one reset finds. The zero value is a clean connection.
type findings []Finding

func (f *findings) add(kind FindingKind, detail string) {
	*f = append(*f, Finding{Kind: kind, Detail: detail})
}

// report counts the findings and tells OnFinding of them.
func (f findings) report(ctx context.Context, c *connector) {
	for _, finding := range f {
		c.found[finding.Kind].Add(1)
		if c.options.OnFinding != nil {
			c.options.OnFinding(ctx, finding)
		}
	}
}

// err returns an error that names the findings that cost the connection, nil if there are none.
func (f findings) err() error {
	var all []string
	for _, finding := range f {
		if !finding.Kind.recoverable() {
			all = append(all, finding.String())
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("headpond/postgres: the borrower left behind: %s", strings.Join(all, ", "))
}
