package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitemigration"
)

// Conn is a connection: zombiezen's own type, so that a caller imports one package named sqlite.
type Conn = sqlite.Conn

// Stmt is a statement of a Conn: zombiezen's own type, too, as sqlitex.ExecOptions.ResultFunc gets it.
type Stmt = sqlite.Stmt

// Mode is what a connection is for.
type Mode uint8

const (
	Writer Mode = iota // reads and writes, and creates the file
	Reader             // is opened read-only: a write fails at once
)

// String returns m in lower case.
func (m Mode) String() string {
	switch m {
	case Writer:
		return "writer"
	case Reader:
		return "reader"
	}
	return "Mode(" + strconv.Itoa(int(m)) + ")"
}

// Synchronous is what a commit waits for; see https://www.sqlite.org/pragma.html#pragma_synchronous.
type Synchronous uint8

const (
	// SyncNormal, the default: in WAL mode the database never breaks,
	// but a loss of power may take the last commits.
	SyncNormal Synchronous = iota
	// SyncFull: a commit is on disk when it returns. One fsync a transaction.
	SyncFull
	// SyncExtra: as SyncFull; beyond WAL mode it syncs the directory, too.
	SyncExtra
	// SyncOff: a loss of power may break the database.
	SyncOff
)

// number is SQLite's for s.
func (s Synchronous) number() int { return [...]int{1, 2, 3, 0}[s] }

// Pragma is a setting of a connection; see https://www.sqlite.org/pragma.html.
type Pragma struct {
	Name  string // letters, digits and underscores
	Value string // a number, a word or any text; it is quoted where it has to be
}

// Options say how a database is opened and pooled.
// The zero Options are right for a server.
// What they set is applied to every connection, and read back.
type Options struct {
	// Name stands in errors, spans and metrics:
	// the pools of a DB are named Name+".readers" and Name+".writer".
	// Defaults to the base name of the file, without its extension.
	Name string

	// ReadOnly opens an existing database for reading alone: there is no writer.
	// It neither creates the file nor changes its journal mode.
	ReadOnly bool

	// Readers is the most connections that read at the same time. Defaults to max(4, GOMAXPROCS).
	Readers int

	// BusyTimeout is the longest wait for a lock that somebody else holds, as another process does.
	// A caller's ctx that ends sooner ends the wait; both to the millisecond.
	// Defaults to 5s; negative: no wait. See https://www.sqlite.org/c3ref/busy_handler.html.
	BusyTimeout time.Duration

	// Synchronous is what a commit waits for. Defaults to SyncNormal.
	// See https://www.sqlite.org/pragma.html#pragma_synchronous.
	Synchronous Synchronous

	// NoForeignKeys switches foreign keys off. They are enforced by default.
	// See https://www.sqlite.org/pragma.html#pragma_foreign_keys.
	NoForeignKeys bool

	// TrustedSchema lets views, triggers and the like in the file call any SQL function.
	// By default they must not. See https://www.sqlite.org/pragma.html#pragma_trusted_schema.
	TrustedSchema bool

	// NoCellSizeCheck switches off the check of every page that is read
	// for the traces of a broken file. See https://www.sqlite.org/pragma.html#pragma_cell_size_check.
	NoCellSizeCheck bool

	// NoDefensive allows SQL that can break the file on purpose, such as a write to sqlite_schema.
	// See https://www.sqlite.org/c3ref/c_dbconfig_defensive.html#sqlitedbconfigdefensive.
	NoDefensive bool

	// CacheSize is the page cache of one connection, in bytes, rounded down to KiB.
	// 0: SQLite's default of 2000 KiB. See https://www.sqlite.org/pragma.html#pragma_cache_size.
	CacheSize int64

	// MmapSize is how much of the file is mapped into memory, in bytes. 0: nothing.
	// See https://www.sqlite.org/pragma.html#pragma_mmap_size, and its warnings on I/O errors.
	MmapSize int64

	// JournalSizeLimit is what the write-ahead log is cut to, in bytes, when it starts over.
	// Overlapping readers would keep it from that for ever: so a DB whose log is larger empties it on the writer's turn,
	// and holds back readers that are about to begin, for 100 ms at most. Where a snapshot lasts, that is tried again
	// and again, from 100 ms apart to 30 s.
	// Defaults to 64 MiB; negative: no limit, and nobody is held back.
	// See https://www.sqlite.org/pragma.html#pragma_journal_size_limit.
	JournalSizeLimit int64

	// OnPinned is called where a snapshot has kept the write-ahead log from starting over for PinnedAfter,
	// so that it grows: once for each, from a goroutine of the DB or that of Checkpoint. It must neither block nor call Close, which waits for it.
	// nil: nobody is told; Stats.WAL has it all the same.
	OnPinned func(pinned Pinned)

	// PinnedAfter is for how long a snapshot may do that. It begins to count within a second, and is noticed within another.
	// Defaults to 5s.
	PinnedAfter time.Duration

	// FileMode is the mode of a database file that Open creates, whatever the umask.
	// Its -wal and -shm files get the same. Defaults to 0o600.
	FileMode fs.FileMode

	// Pragmas are set on every connection after those that the fields above stand for, in order,
	// and read back where SQLite tells their value. Those of a file that has no page yet
	// (page_size, auto_vacuum, encoding) are set when it is created, and compared later on.
	// A pragma that a field stands for, and one that SQLite does not know, is an error.
	Pragmas []Pragma

	// Setup is called with every new connection, after its pragmas:
	// to register functions and collations, to attach databases.
	// What it does is the baseline to which the connection comes back at every release.
	// It must leave no transaction and no statement open. Its ctx is that of resource.Hooks' Construct.
	// It is also called when the file is created, with a connection that ends before the first one begins.
	Setup func(ctx context.Context, conn *Conn) error

	// Schema is brought up to date by Open, on the writer, before any reader is opened.
	// A file that Open creates appears with its whole schema or not at all. nil: none.
	Schema *sqlitemigration.Schema

	// MaxStatements is the most statements that a connection may have cached when it is released
	// (by Conn.Prep and Conn.Prepare: one for each text); one that has more is closed. Defaults to 500.
	MaxStatements int

	// MaxBatch is the most calls of DB.Batch that share a transaction. Defaults to 256:
	// past that the disk's part of a call's cost is small, and a writer of another kind waits for longer.
	MaxBatch int

	// MaxBatchTime is for how long a transaction of DB.Batch takes in calls. Defaults to 10ms.
	MaxBatchTime time.Duration

	// OnFinding is called when a released connection was not as it should be, on the goroutine
	// that released it, with the ctx of the release: its stack and its span show the careless caller.
	// It must not use the connection, and must not block. nil: nobody is told;
	// the findings are counted all the same.
	OnFinding func(ctx context.Context, finding Finding)

	// AcquireTimeout is that of both pools: see pool.Options. Defaults to 5s; negative: the caller's ctx alone.
	AcquireTimeout time.Duration

	// MaxWaiters is that of each pool: see pool.Options. Readers that were held back for the log
	// (see JournalSizeLimit) come in at once: with fewer, some of them are refused. 0: no bound.
	MaxWaiters int

	// MaintainEvery is that of both pools: see pool.Options. Defaults to 30s.
	MaintainEvery time.Duration

	// LeakAfter is that of both pools: see pool.Options. 0: off.
	LeakAfter time.Duration

	// ReaderPolicy is the policy of the readers. The zero policy keeps them as long as they are sound.
	ReaderPolicy resource.Policy

	// WriterPolicy is the policy of the writer.
	WriterPolicy resource.Policy

	// Observer is told what both pools do. nil: nobody.
	Observer pool.Observer
}

func (o Options) withDefaults() Options {
	if o.Readers == 0 {
		o.Readers = max(4, runtime.GOMAXPROCS(0))
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 5 * time.Second
	}
	if o.JournalSizeLimit == 0 {
		o.JournalSizeLimit = 64 << 20
	}
	if o.PinnedAfter == 0 {
		o.PinnedAfter = 5 * time.Second
	}
	if o.FileMode == 0 {
		o.FileMode = 0o600
	}
	if o.MaxStatements == 0 {
		o.MaxStatements = 500
	}
	if o.MaxBatch == 0 {
		o.MaxBatch = 256
	}
	if o.MaxBatchTime == 0 {
		o.MaxBatchTime = 10 * time.Millisecond
	}
	return o
}

// validate looks at o after withDefaults. What pool.New checks is left to it.
func (o Options) validate() error {
	switch {
	case o.Readers < 0:
		return fmt.Errorf("Options.Readers is %d: it must not be negative", o.Readers)
	case o.Synchronous > SyncOff:
		return fmt.Errorf("Options.Synchronous is %d: it must be SyncNormal, SyncFull, SyncExtra or SyncOff", o.Synchronous)
	case o.CacheSize < 0:
		return fmt.Errorf("Options.CacheSize is %d: it must not be negative", o.CacheSize)
	case o.CacheSize > 0 && o.CacheSize < 1024:
		return fmt.Errorf("Options.CacheSize is %d: it is in bytes, and must be 1024 or more", o.CacheSize)
	case o.MmapSize < 0:
		return fmt.Errorf("Options.MmapSize is %d: it must not be negative", o.MmapSize)
	case o.PinnedAfter < 0:
		return fmt.Errorf("Options.PinnedAfter is %v: it must not be negative", o.PinnedAfter)
	case o.FileMode&^fs.ModePerm != 0:
		return fmt.Errorf("Options.FileMode is %v: it must have permission bits only", o.FileMode)
	case o.FileMode&0o600 != 0o600:
		return fmt.Errorf("Options.FileMode is %v: the owner must be able to read and write", o.FileMode)
	case o.MaxStatements < 0:
		return fmt.Errorf("Options.MaxStatements is %d: it must not be negative", o.MaxStatements)
	case o.MaxBatch < 0:
		return fmt.Errorf("Options.MaxBatch is %d: it must not be negative", o.MaxBatch)
	case o.MaxBatchTime < 0:
		return fmt.Errorf("Options.MaxBatchTime is %v: it must not be negative", o.MaxBatchTime)
	case o.ReadOnly && o.Schema != nil:
		return errors.New("Options.Schema is set: it must be nil with ReadOnly")
	}
	for i, pragma := range o.Pragmas {
		if !pragmaName.MatchString(pragma.Name) {
			return fmt.Errorf("Options.Pragmas[%d].Name is %q: it must be letters, digits and underscores", i, pragma.Name)
		}
		if instead, owned := ownedPragmas[strings.ToLower(pragma.Name)]; owned {
			return fmt.Errorf("Options.Pragmas[%d].Name is %q: %s", i, pragma.Name, instead)
		}
		if strings.ContainsRune(pragma.Value, 0) {
			return fmt.Errorf("Options.Pragmas[%d].Value is %q: it must not contain NUL", i, pragma.Value)
		}
	}
	return nil
}

var pragmaName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ownedPragmas are those that Options.Pragmas must not set, and what to do instead.
var ownedPragmas = map[string]string{
	"busy_timeout":       "set Options.BusyTimeout instead: the pragma would make a wait deaf to ctx",
	"cache_size":         "set Options.CacheSize instead",
	"cell_size_check":    "set Options.NoCellSizeCheck instead",
	"foreign_keys":       "set Options.NoForeignKeys instead",
	"journal_mode":       "it is WAL, which readers beside a writer need",
	"journal_size_limit": "set Options.JournalSizeLimit instead",
	"locking_mode":       "it is NORMAL, which more than one connection needs",
	"mmap_size":          "set Options.MmapSize instead",
	"query_only":         "readers are read-only, and the writer must not be",
	"synchronous":        "set Options.Synchronous instead",
	"trusted_schema":     "set Options.TrustedSchema instead",
	"user_version":       "it belongs to the database, not to a connection",
	"application_id":     "it belongs to the database, not to a connection",
	"wal_autocheckpoint": "the log is seen to; set Options.JournalSizeLimit instead",
	"writable_schema":    "it would stay on for every borrower",
}
