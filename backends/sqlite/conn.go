package sqlite

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"zombiezen.com/go/sqlite"
)

// connection is what is known of one connection beside its Conn.
// Its fields belong to the holder of the connection, except interrupter and watching.
type connection struct {
	raw.Handle
	conn       *Conn
	mode       Mode
	database   *database
	file       os.FileInfo // the file that was opened; nil in memory
	generation uint64      // of the database, when it was opened

	schemaGeneration uint64 // of the database, when the cached statements were last looked at
	schemaStamp      uint64 // of what the connection had loaded then

	interrupter atomic.Pointer[interrupter] // ends what runs; any goroutine may trigger it
	watching    watching                    // the borrower's ctx, whose end triggers the interrupter

	busySince     time.Time            // of Busy: when the lock was first found taken
	busy          func(count int) bool // what Busy does instead, during a checkpoint; nil: nothing
	waits         bool                 // Busy was called since then, and the lock was not had
	lockUntil     time.Time            // Busy waits no longer; zero: only Options.BusyTimeout bounds it
	called        time.Time            // when the call began whose turn it is; zero: it is not known
	pageBytes     int64                // the size of a page; 0: not asked yet
	waitsForLocks bool                 // Busy waits; false until the next reset if the borrower must not be kept

	bindingsDue int // of letBindingsGo: how many statements the releases since the last look would have looked at

	nameMayGo bool // a loss of power may take the name of the file: see makeNameLast

	failed   sqlite.ResultCode // of SQLite, when the borrower's function, or a command of ours after it, had returned; OK: it had not failed
	failures int32             // of FailedCommits, those after which overwrite was called
	logsSeen bool              // lookAtLogs was called

	borrower context.Context // whose statements run; nil: nobody's
	quiet    bool            // statements that run are ours

	limits   raw.Limits   // those of a released connection
	settings raw.Settings // those of a released connection
	taint    uint32       // a bit for every FindingKind that Authorize saw
	tainted  [FindingKinds]string
	exempt   bool // Authorize marks nothing

	ownFunctions   map[string]bool // functions that are not SQLite's own; nil: there are none, or it is not known
	callsOwn       bool            // a statement that calls one was prepared
	rollsBackKnown bool            // rollsBack was asked,
	rollsBackAt    uint64          // for this schema:
	rollsBack      bool            // it has a constraint or trigger that rolls back the transaction
}

// connections has every open connection of this package, by its *Conn.
var connections sync.Map

func connectionOf(conn *Conn) (*connection, bool) {
	c, ok := connections.Load(conn)
	if !ok {
		return nil, false
	}
	return c.(*connection), true
}
