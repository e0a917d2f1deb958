package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"zombiezen.com/go/sqlite"
)

// What the errors of this package can be, to errors.Is.
// SQLite's result code, where there is one, is what ErrCode of zombiezen's sqlite package says.
var (
	// ErrInMemory: the path names a database in memory, which would be another one for each connection.
	ErrInMemory = errors.New("every connection would get a database of its own in memory: use OpenMemory")
	// ErrNoDirectory: the directory that the file is in does not exist. Then fs.ErrNotExist holds as well.
	ErrNoDirectory error = kindOf{"its directory does not exist", fs.ErrNotExist}
	// ErrNoFile: the file does not exist, and would not be created. Then fs.ErrNotExist holds as well.
	ErrNoFile error = kindOf{"there is no such file", fs.ErrNotExist}
	// ErrNotFile: the path is that of a directory or another thing that is no file.
	ErrNotFile = errors.New("it is not a file")
	// ErrNotDatabase: the file is not a SQLite database.
	ErrNotDatabase = errors.New("it is not a SQLite database")
	// ErrNoWAL: the journal mode could not be made WAL, as on most network file systems.
	ErrNoWAL = errors.New("the write-ahead log can't be used here")
	// ErrReplaced: the file at the path is not the one that was opened before.
	ErrReplaced = errors.New("the database file was deleted, renamed or replaced while it was open")
	// ErrUnknownVersion: the program was built with a version of zombiezen.com/go/sqlite that this package can't use.
	ErrUnknownVersion = errors.New("unknown version")
	// ErrReadOnly: a write, to what is open for reading alone.
	ErrReadOnly = errors.New("it is open for reading only")
	// ErrRolledBack: the transaction ended inside the function that Write was given. Nothing was committed.
	ErrRolledBack = errors.New("the transaction was rolled back before its end, and nothing was committed")
)

type kindOf struct {
	text string
	kind error
}

func (e kindOf) Error() string { return e.text }
func (e kindOf) Unwrap() error { return e.kind }

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
// empty where SQLite was not asked.
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

// ended is the error of a ctx that has ended: to errors.Is both ctx.Err() and context.Cause(ctx).
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == err {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// withContext returns err as that of ctx, with SQLite's wrapped,
// where SQLite gave up waiting or running and ctx has ended.
func withContext(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	if gaveUp(err) {
		return fmt.Errorf("%w: %w", ended(ctx), err)
	}
	return err
}

// gaveUp says whether SQLite gave up waiting or running.
func gaveUp(err error) bool {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultBusy, sqlite.ResultInterrupt, sqlite.ResultLocked:
		return true
	}
	return false
}

// spoils says whether code means that the file or the disk is broken.
func spoils(code sqlite.ResultCode) bool {
	switch code.ToPrimary() {
	case sqlite.ResultNotADB, sqlite.ResultCorrupt, sqlite.ResultIOErr:
		return true
	}
	return false
}

// validPath returns why path can't be that of a database file.
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
