package stdlib

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/headpond/headpond/backends/sqlite"
	zombiezen "zombiezen.com/go/sqlite"
)

// Error is the error of SQLite, as mappers and libraries of database/sql look for it: with its codes.
// It wraps what package sqlite returned.
type Error struct {
	Code         int // the primary result code, such as 19 for SQLITE_CONSTRAINT: https://www.sqlite.org/rescode.html
	ExtendedCode int // the whole result code, such as 2067 for SQLITE_CONSTRAINT_UNIQUE
	Err          error
}

// Error returns the text of Err.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// typed returns err as an *Error if SQLite has a code for it.
func typed(err error) error {
	if err == nil {
		return nil
	}
	var already *Error
	if errors.As(err, &already) {
		return err
	}
	code := zombiezen.ErrCode(err)
	if code == zombiezen.ResultOK || code == zombiezen.ResultError && !fromSQLite(err) {
		return err
	}
	return &Error{Code: int(code.ToPrimary()), ExtendedCode: int(code), Err: err}
}

// fromSQLite reports whether the generic code is SQLite's own, and not what ErrCode says of any other error:
// whether there is an error of the type, which is not exported, by which ErrCode finds the code.
func fromSQLite(err error) bool { return errors.As(err, reflect.New(sqliteError).Interface()) }

var sqliteError = reflect.TypeOf(zombiezen.ResultError.ToError())

// errNoTransaction is the error of COMMIT and ROLLBACK if there is nothing to end.
var errNoTransaction = errors.New("headpond/sqlite/stdlib: no transaction is active")

// errEndedByText is the error of a statement on a Tx that was ended by a text.
var errEndedByText = errors.New("headpond/sqlite/stdlib: COMMIT or ROLLBACK as text has ended this Tx, and the statement would commit by itself: " +
	"send BEGIN before it, or end a Tx with its own methods")

// errInTransaction is the error of a second BEGIN.
var errInTransaction = errors.New("headpond/sqlite/stdlib: a transaction is active already, and SQLite has no nested ones: use SAVEPOINT")

// rolledBack says why a transaction is over.
func rolledBack(why string) error { return fmt.Errorf("%w: %s", sqlite.ErrRolledBack, why) }
