package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/headpond/headpond/internal/ctxerr"
	"zombiezen.com/go/sqlite"
)

// Sentinel errors, wrapped in those that this package returns. Test for them with errors.Is.
// SQLite's result code, if there is one, is what [ErrCode] returns.
var (
	// ErrInMemory: the path that Open or Hooks was given names a database in memory, which would be another one for each connection.
	// OpenMemory makes one, and NewPool takes such names.
	ErrInMemory = errors.New("every connection would get a database of its own in memory: use OpenMemory")
	// ErrNoDirectory: the directory that the file is in does not exist, or is a file. It wraps fs.ErrNotExist.
	ErrNoDirectory error = errorKind{"directory does not exist", fs.ErrNotExist}
	// ErrNoFile: the file does not exist, and would not be created. It wraps fs.ErrNotExist.
	ErrNoFile error = errorKind{"no such file", fs.ErrNotExist}
	// ErrNotFile: the path is that of a directory or another thing that is no file.
	ErrNotFile = errors.New("not a regular file")
	// ErrHardLinks: the file that was to be opened for writing has several names in directories. Each has a log of its own,
	// so that what is committed through one is lost to those that use another.
	ErrHardLinks = errors.New("the file has more than one name (hard links), each with a log of its own")
	// ErrMounted: the file that was to be opened for writing is itself a mount, as that of docker run -v app.db:/app.db.
	// Its log is in the directory below the mount, where it is lost with a container, and what else opens the file does not see it.
	ErrMounted = errors.New("the file is itself a mount, and its log would not be beside it")
	// ErrNotDatabase: the file is not a SQLite database.
	ErrNotDatabase = errors.New("not a SQLite database")
	// ErrNoWAL: the journal mode could not be made WAL, as on most network file systems.
	ErrNoWAL = errors.New("write-ahead log can't be used here")
	// ErrReplaced: the file at the path is not the one that was opened before.
	ErrReplaced = errors.New("the database file was deleted, renamed or replaced while it was open")
	// ErrUnknownVersion: the program was built with a version of zombiezen.com/go/sqlite that this package can't use.
	ErrUnknownVersion = errors.New("unknown version")
	// ErrReadOnly: a write, to what is open for reading alone.
	ErrReadOnly = errors.New("database is open read-only")
	// ErrForeignCheckpoints: Checkpoint was called on a DB whose log another program moves and empties: see [Options.ForeignCheckpoints].
	ErrForeignCheckpoints = errors.New("Options.ForeignCheckpoints leaves the write-ahead log to another program, which may not have copied all of it yet: ask that program for a checkpoint")
	// ErrNothingToRestore is for [Options.Restore] to return: there is nothing that could be restored, and Open is to make a new database.
	ErrNothingToRestore = errors.New("there is nothing to restore")
	// ErrOutcomeUnknown: COMMIT failed on the disk, and so did every try to overwrite what it had written to the log.
	// The next open of the database finds the transaction there, whole, or not at all, unless a later try succeeds: then it is not there.
	ErrOutcomeUnknown = errors.New("it is not known whether the transaction will be there when the database is opened again")
	// ErrNewerSchema: the database has been migrated further than the Migrations of Options.Schema go: what opens it does not know its tables.
	ErrNewerSchema = errors.New("the database was migrated by a newer version of this program: open it with that, or restore a backup of before")
	// ErrRolledBack: the transaction ended inside the function that Write or Batch was given. Nothing of that was committed.
	ErrRolledBack = errors.New("the transaction was rolled back before its end, and nothing was committed")
)

type errorKind struct {
	text string
	kind error
}

func (e errorKind) Error() string { return e.text }
func (e errorKind) Unwrap() error { return e.kind }

// OpenError is the error of opening a connection: of which file, in which step, and why.
type OpenError struct {
	Path string // absolute
	Mode Mode
	Step string // what it was doing: "look", "create", "connect", "pragmas", "journal mode", "read the schema", "Setup" ...
	Err  error
}

// Error says all of that.
func (e *OpenError) Error() string {
	return fmt.Sprintf("headpond/sqlite: open %s as %v: %s: %v", e.Path, e.Mode, e.Step, e.Err)
}

// Unwrap returns Err.
func (e *OpenError) Unwrap() error { return e.Err }

// ErrorType names the error without its path, as telemetry may have it: SQLite's code, such as "SQLITE_CANTOPEN";
// empty if SQLite was not asked.
func (e *OpenError) ErrorType() string {
	switch code := sqlite.ErrCode(e.Err); code {
	case sqlite.ResultOK, sqlite.ResultError:
		return ""
	default:
		return code.String()
	}
}

// UnfinalizedError is the error of closing a connection on which statements, blobs or backups were never closed.
// They hold no lock any more, but SQLite keeps the file open for them.
type UnfinalizedError struct {
	Count int
	Texts []string // of the first few; that of a blob is empty
	Err   error    // what SQLite said
}

// Error says which.
func (e *UnfinalizedError) Error() string {
	return fmt.Sprintf("headpond/sqlite: close: the file stays open: %s: %v", unfinalizedText(e.Texts, e.Count), e.Err)
}

// Unwrap returns Err.
func (e *UnfinalizedError) Unwrap() error { return e.Err }

func unfinalizedText(texts []string, count int) string {
	return fmt.Sprintf("%d statements or blobs were never closed: %q", count, texts)
}

// asContextError returns err as that of ctx, with SQLite's wrapped,
// if ctx has ended and SQLite was interrupted.
func asContextError(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	if isInterrupted(err) {
		return fmt.Errorf("%w: %w", ctxerr.Ended(ctx), err)
	}
	return err
}

// isInterrupted reports whether SQLite stopped waiting for a lock, or running a statement.
func isInterrupted(err error) bool {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultBusy, sqlite.ResultInterrupt, sqlite.ResultLocked:
		return true
	}
	return false
}

// mayBeOfInterrupt reports whether err is what SQLite may make of an interrupt: while it prepares a statement,
// or alters a table, it runs others, whose failure has the code of an error in the SQL; and what an interrupt has rolled back is aborted.
func mayBeOfInterrupt(err error) bool {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultAbort, sqlite.ResultSchema:
		return true
	case sqlite.ResultError: // as ErrCode says of any error that is not SQLite's
		return sqlite.ErrCode(errors.Join(err, sqlite.ResultAbort.ToError())) != sqlite.ResultAbort
	}
	return false
}

// invalidates reports whether code means that the file is broken, so that no connection to it is to be used any longer.
func invalidates(code sqlite.ResultCode) bool {
	switch {
	case code == sqlite.ResultCorruptVTab:
		return false // an index that a module keeps, as of FTS5, in a file that is sound
	case code == sqlite.ResultIOErrShortRead:
		return true // it was truncated
	}
	return code.ToPrimary() == sqlite.ResultNotADB || code.ToPrimary() == sqlite.ResultCorrupt
}

// unreadable reports whether code means that a connection could not read the file or its log: another one may do better.
func unreadable(code sqlite.ResultCode) bool {
	switch code {
	case sqlite.ResultIOErrWrite, sqlite.ResultIOErrFsync, sqlite.ResultIOErrDirFsync, sqlite.ResultIOErrTruncate:
		return false // the connection knows what was committed; a new one would read it from what could not be written
	case sqlite.ResultIOErrGetTempPath:
		return false // it is no fault of the file
	}
	return code.ToPrimary() == sqlite.ResultIOErr
}

// validPath returns an error if path can't be that of a database file.
func validPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("the path is empty: %w", ErrInMemory)
	case strings.ContainsRune(path, 0):
		return fmt.Errorf("the path %q contains NUL", path)
	case strings.HasPrefix(path, ":memory:"):
		return fmt.Errorf("the path is %q: %w", path, ErrInMemory)
	case strings.HasPrefix(path, "file:") && (strings.Contains(path, ":memory:") || strings.Contains(path, "mode=memory") || strings.Contains(path, "vfs=memdb")):
		return fmt.Errorf("the path is %q: %w", path, ErrInMemory)
	case strings.HasPrefix(path, "file:"):
		return fmt.Errorf("the path is %q: URIs are not interpreted; give a path, and set what its query says in Options", path)
	}
	return nil
}
