package pool

import (
	"context"
	"strconv"
	"time"

	"github.com/headpond/headpond/resource"
)

// Op is something that a pool does.
type Op uint8

const (
	Acquire    Op = iota + 1 // from the call of Acquire to its return, waiting and building included
	Construct                // the hook
	Check                    // the hook
	Prepare                  // the hook
	Release                  // the end of a lease: Release, Discard or Detach
	Reset                    // the hook
	Destroy                  // the hook
	Warm                     // only in an Error
	Resize                   // only in an Error
	Close                    // only in an Error
	Operation                // of a backend: what a caller called, the acquire and the release of its lease included
	Commit                   // of a backend: what an Operation waited for at its end, or several that share it
	Checkpoint               // End alone, of a backend: what it did of its own accord, or for a caller, to keep its files in order
	Failing                  // End alone: Construct has failed for Options.FailingAfter. Took is since the first failure, Err the last one
	Statement                // End alone, of a backend: a statement has run, or was reset. See Event.Statement, and Tap.Statements
)

var ops = [...]string{"none", "acquire", "construct", "check", "prepare", "release", "reset", "destroy", "warm", "resize", "close", "operation", "commit", "checkpoint", "failing", "statement"}

// String returns o in lower case.
func (o Op) String() string {
	if int(o) < len(ops) {
		return ops[o]
	}
	return "Op(" + strconv.Itoa(int(o)) + ")"
}

// Event is one operation of a pool. End gets Op, Took and Err of every operation; what else is set depends on Op:
//
//	Op                     Begin        End
//	Acquire                             ID and Source, if it succeeded; Discarded, Shared
//	Construct, Check       ID           ID
//	Prepare, Reset         ID           ID
//	Release                ID           ID, Held, Outcome, Shared; Reason, if it destroys
//	Destroy                ID, Reason   ID, Reason
//	Operation              Operation    Operation, Code
//	Commit                 Shared       Shared, Code
//	Checkpoint             no Begin     Figures, Code
//	Statement              no Begin     Statement
//	Failing                no Begin
type Event struct {
	Op        Op
	ID        uint64          // of the value, unique in its pool, from 1; 0: there is none
	Took      time.Duration   // how long the operation took
	Held      time.Duration   // Release: how long the lease was held
	Source    Source          // Acquire, if it succeeded: where the value came from
	Outcome   Outcome         // Release: what became of the value
	Discarded int             // Acquire: how many values were rejected before one was good
	Shared    int             // Acquire and Release: how many callers shared the lease; Commit: how many share it; 0: it was not shared
	Reason    resource.Reason // Destroy, and a Release that destroys: why
	Statement *StatementRun   // Statement: what ran. It must not be changed
	Operation *Run            // Operation, for Begin as well: what was called, and how it went. It must be neither changed nor kept
	Figures   []Figure        // Checkpoint: what it did, in figures
	Code      *Code           // of Err, in the words of the backend: Operation, Commit and Checkpoint; nil: it has none
	Err       error           // what the caller got, or what the hook returned
}

// Run is one call of a backend's: an Operation.
type Run struct {
	Name     string          // of what was called: "read", "write"
	Attempts int             // End: how often the function that the caller gave was called; 0: it is not told
	Shared   int             // End: how many calls were committed together; 0: it was not shared
	Commit   context.Context // End: that of the Commit that several operations share, from Tap.Begin; nil: there was none, or it was this one's alone
}

// Code is what a backend calls an error.
type Code struct {
	Name   string // as "SQLITE_CONSTRAINT_UNIQUE"
	Number string // as "2067"
}

// Source is where an acquired value came from.
type Source uint8

const (
	Idle    Source = iota + 1 // it was idle
	Created                   // it was built for this acquire, or while this one waited
	Handoff                   // it was released, and handed over, while this one waited
)

var sources = [...]string{"", "idle", "created", "handoff"}

// String returns s in lower case, as in the attribute of a span.
func (s Source) String() string { return sources[min(int(s), len(sources)-1)] }

// Outcome is what became of a value at the end of a lease.
type Outcome uint8

const (
	Returned  Outcome = iota + 1 // to the pool
	Destroyed                    // for Event.Reason
	Detached                     // the caller owns it now
)

var outcomes = [...]string{"", "returned", "destroyed", "detached"}

// String returns o in lower case, as in the attribute of a span.
func (o Outcome) String() string { return outcomes[min(int(o), len(outcomes)-1)] }
