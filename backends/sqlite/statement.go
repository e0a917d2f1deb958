package sqlite

import "github.com/headpond/headpond/pool"

// Statement is one run of a statement that a borrower of a connection ran: see [Options.OnStatement].
type Statement = pool.StatementRun

// StatementStats are what all runs of one statement came to: see [DB.Statements].
type StatementStats = pool.StatementStats

// mostStatements is how many texts are told apart, and longestStatement how many bytes one may have:
// they are kept for as long as the database is open.
const (
	mostStatements   = 1000
	longestStatement = 16 << 10
)

// OtherStatements is the Text of the [StatementStats] of what ran after 1000 different texts had been seen,
// as a program that writes values into its texts has no end of them, and of texts of more than 16 KiB.
const OtherStatements = "(others)"
