package sqlite

import (
	"fmt"
	"path/filepath"
	"slices"
)

// This file makes the name of a database file last, before anything is committed to it.

// makeNameLast makes the names of the file and of its log last, before a writer commits for the first time: what made the file may have been
// killed before it did so, or never does. SQLite syncs the directory with a connection's first sync of the log, but after that one,
// and passes over a failure: a loss of power could leave a log without its database, which no Open would take,
// or take the log with what was acknowledged. A connection that only reads needs no sync: among many databases most are only read.
func (c *connection) makeNameLast() error {
	if !c.nameMayGo {
		return nil
	}
	if err := syncDirectory(filepath.Dir(resolved(c.database.path))); err != nil {
		return fmt.Errorf("sync the directory, so that the name of the file lasts: %w", err)
	}
	c.nameMayGo = false
	c.AskBeforeCommit(false)
	return nil
}

// MayCommit is what SQLite asks before the first commit of a connection, if nothing has made the name of its file last until then.
func (c *connection) MayCommit() bool { return c.makeNameLast() == nil }

// mayCommitUnseen reports whether something commits, or may, before SQLite asks MayCommit.
func (c *connection) mayCommitUnseen() bool {
	return c.isNew() || c.database.options.Setup != nil || slices.ContainsFunc(c.database.options.Pragmas, Pragma.writes)
}
