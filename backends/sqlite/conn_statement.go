package sqlite

import (
	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/headpond/headpond/internal/catch"
	"zombiezen.com/go/sqlite"
)

// profile makes the connection tell of the statements of its borrowers, if anything is to hear of them.
func (c *connection) profile() {
	if s := &c.database.statements; s.wanted() {
		c.Profile(func(ran raw.Ran) {
			if c.borrower != nil && !c.quiet {
				s.ran(c.borrower, c.describe(ran))
			}
		})
	}
}

// describe returns a run in the words of users.
func (c *connection) describe(ran raw.Ran) Statement {
	run := Statement{
		Text: ran.Statement.Text(), Mode: c.mode.String(), Took: ran.Took, Rows: ran.Rows,
		FullScanSteps: ran.FullScanSteps, Sorts: ran.Sorts, AutoIndexes: ran.AutoIndexes,
	}
	if !ran.Code.IsSuccess() {
		run.Err = c.explain(catch.ShieldOf(c.borrower, nil), codeError{ran.Code}) // inside of SQLite, which no panic may pass
	}
	return run
}

// codeError is a result code of SQLite's without the text, which may contain values.
type codeError struct{ code sqlite.ResultCode }

func (e codeError) Error() string { return "sqlite: " + e.code.Message() }

// Unwrap returns the error of which [ErrCode] is the code.
func (e codeError) Unwrap() error { return e.code.ToError() }

// ErrorType names the code, as telemetry may have it.
func (e codeError) ErrorType() string { return e.code.String() }
