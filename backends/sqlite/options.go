package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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

	// Flags are those with which sqlitex.NewPool opens a connection (zombiezen's OpenFlags), for [NewPool] alone: elsewhere they must be 0.
	// OpenReadOnly is ReadOnly; without OpenCreate the file has to be there; without OpenURI a name is a path; OpenMemory makes a database in memory,
	// and OpenSharedCache one for all pools of the process with the same name. The others change nothing: the journal mode is WAL,
	// whether OpenWAL is given or not. Defaults to OpenReadWrite, OpenCreate, OpenURI and OpenWAL, as there.
	Flags sqlite.OpenFlags

	// Readers is the most connections that read at the same time. Defaults to max(4, GOMAXPROCS).
	Readers int

	// MaxReaders is the most connections that read at the same time, those included that open rows of database/sql keep
	// (see package stdlib): these are opened as needed beyond Readers, and closed when they are idle.
	// Defaults to 64, or Readers if that is more. In memory there is one connection, whatever it says.
	MaxReaders int

	// BusyTimeout is the longest wait for a lock that another connection holds, as that of another process.
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

	// TempInMemory keeps temporary files in memory: those of large sorts, of CREATE INDEX and VACUUM, and temporary tables.
	// Otherwise SQLite needs a directory that it can write: that of the environment variable SQLITE_TMPDIR or TMPDIR, /var/tmp, /usr/tmp,
	// /tmp or the working directory. A container with a read-only root may have none. See https://www.sqlite.org/tempfiles.html.
	TempInMemory bool

	// JournalSizeLimit caps the file of the write-ahead log, in bytes. Overlapping readers, and other processes that write,
	// can keep the log from starting over: once it exceeds the limit, the DB truncates it on the writer's turn.
	// For that it waits for another process that writes for up to 100 ms, and then for readers for up to 100 ms more,
	// in which it delays new readers, and other processes can't write.
	// It is the limit of each log: of those of databases that Setup attaches as well.
	// Defaults to 64 MiB; negative: no limit, and no delay.
	// See https://www.sqlite.org/pragma.html#pragma_journal_size_limit.
	//
	// The log still outgrows the limit by what is written before the writer's next turn, as by one large transaction,
	// and for as long as a snapshot pins it, that of a Backup included: see OnPinned. Then the DB tries again
	// with a backoff of 100 ms to 30 s. If only the lock of another process was in the way, it tries again after 100 ms.
	JournalSizeLimit int64

	// OnPinned is called if a snapshot has kept the write-ahead log from starting over for PinnedAfter, so that the log grows:
	// once for each snapshot, on a goroutine of the DB or that of Checkpoint. It must neither block nor call Close, which waits for it;
	// a panic in it is swallowed.
	// A lock that another process holds is no snapshot. If nil, nothing is called; [Stats.WAL] reports it regardless.
	OnPinned func(pinned Pinned)

	// PinnedAfter is how long a snapshot may do that. It begins to count within a second, and is noticed within another.
	// Defaults to 5s.
	PinnedAfter time.Duration

	// ForeignCheckpoints leaves the write-ahead log to another program, such as Litestream, which copies it before it moves and empties it:
	// the DB makes no checkpoint, neither with a commit nor later nor in Close, and holds no reader back for one;
	// Close leaves the log beside the file. [DB.Checkpoint] returns [ErrForeignCheckpoints].
	// OnPinned is called if the log has been larger than JournalSizeLimit for PinnedAfter: that program may have stopped.
	// A database that Setup attaches is not meant: its log is moved with commits, as ever, and is left by Close.
	// All processes that write the file must leave it alone. It is an error with OpenMemory, NewPool and the pragma wal_checkpoint in Pragmas.
	// Defaults to false.
	ForeignCheckpoints bool

	// Restore brings back the database from where it was copied to. Open calls it if there is no file at the path, before it makes one,
	// with a path of the same name in a directory of its own, to which it writes the database file: alone, or with its -wal file.
	// When it has returned nil, what it has left is opened there, its log is moved into it, and then it gets its place
	// and [Options.FileMode], complete and synced, or Open fails. A Schema is brought up to date after that.
	//
	// If it returns an error, Open fails with that error in an *OpenError, and nothing of what it wrote is ever opened; nor is
	// what a process was writing when it was killed, which the next one takes away. It returns [ErrNothingToRestore], wrapped or not,
	// for a new database. To return nil without a file is an error: a restore that fails unseen must not begin an empty database.
	//
	// If several processes open the file at once, or several goroutines, one of them restores it, and the others wait until that is done
	// or their ctx ends. ctx is that of Open, and its end is the only limit. It is an error with ReadOnly, OpenMemory and NewPool.
	Restore func(ctx context.Context, path string) error

	// LimitCheckpoints is asked before each checkpoint that the DB makes by itself ahead of need, on the writer's turn:
	// if ok is false, the checkpoint is put off by 100ms or so; otherwise done is called after it. So many DBs of a process
	// can share a limit, as those of package tenants do. It must not block. A panic in it, or in done, is swallowed,
	// and the checkpoint counts as one that failed, as it does if one of them calls runtime.Goexit: it comes again within a second or so.
	// A log that is larger than JournalSizeLimit is truncated whatever it says, and commits and Close move the log as ever.
	// nil: there is no limit.
	LimitCheckpoints func() (done func(), ok bool)

	// FileMode is the mode of a database file that Open creates, whatever the umask.
	// Its -wal and -shm files get the same. Defaults to 0o600.
	// Windows has no such modes: FileMode has no effect there, and the file has the rights that its directory passes on.
	FileMode fs.FileMode

	// Pragmas are set on every connection after those that the fields above stand for, in order,
	// and read back where SQLite tells their value. Those of a file that has no page yet
	// (page_size, encoding, auto_vacuum) are set when it is created, in that order, and compared later on.
	// Those that do something to the file (optimize, incremental_vacuum, wal_checkpoint) run whenever a writer is opened, and not on readers.
	// A pragma that a field stands for, one that SQLite does not know, and a value that can't be had is an error of Open.
	Pragmas []Pragma

	// Setup is called with every new connection, after its pragmas:
	// to register functions and collations, to attach databases.
	// What it does is the baseline to which the connection comes back at every release;
	// a borrower that writes rows of a temporary table of Setup's costs the connection, and the next one has a new table.
	// It must leave no transaction and no statement open, and must not undo what Open promises: what the fields above and Pragmas set,
	// the journal mode, the busy handler, the authorizer. That is looked at when it returns, and is an error that names the pragma.
	// If it panics, the connection is closed. Its ctx is that of [resource.Hooks]' Construct.
	// It is also called when the file is created, with a connection that ends before the first one begins.
	Setup func(ctx context.Context, conn *Conn) error

	// Schema is brought up to date by Open, on the writer, before any reader is opened.
	// A file that Open creates appears with its whole schema or not at all.
	// A database that has more migrations than Schema fails to open, with [ErrNewerSchema].
	// A Schema without Migrations counts none: it looks at the AppID alone, and leaves user_version to what else migrates the file. nil: none.
	Schema *sqlitemigration.Schema

	// Baseline says how many of Schema.Migrations a database has that another tool has migrated, such as goose: their number is noted in the file
	// (as PRAGMA user_version, with the AppID of Schema), and they do not run. It is called before the first migration of a file that has tables
	// and no user_version, inside a transaction that writes, which it must not end. 0: none of them. Its error is that of Open. nil: it is 0.
	Baseline func(ctx context.Context, conn *Conn) (applied int, err error)

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
	// It must not use the connection, and must not block. If nil, nothing is called;
	// Stats.Found counts the findings regardless.
	OnFinding func(ctx context.Context, finding Finding)

	// OnStatement is called for every statement of a caller that has run to its end, has failed, or was reset in the middle of its rows,
	// with the ctx of the lease or the call that it ran in: on its goroutine, inside SQLite.
	// It must not block, must not use the database, and must not call runtime.Goexit; a panic in it is swallowed.
	// A statement costs a microsecond or so more for it. nil: nothing is called.
	OnStatement func(ctx context.Context, statement Statement)

	// SlowAfter is from what time on a statement is slow: the Observer is told of it by End, with an Event of Op pool.Statement,
	// so that package poollog logs it and package tracing makes a span of it. What the caller does between two rows counts.
	// 0: none is.
	//
	// Without it, without OnStatement, and with an Observer that does not ask for statements, SQLite is not asked for any,
	// and they cost nothing.
	SlowAfter time.Duration

	// AcquireTimeout is that of both pools: see [pool.Options]. Defaults to 5s; negative: the caller's ctx alone.
	AcquireTimeout time.Duration

	// MaxWaiters is that of each pool: see [pool.Options]. Readers that were held back for the log
	// (see JournalSizeLimit) come in at once: with fewer, some of them are refused. 0: no bound.
	MaxWaiters int

	// MaintainEvery is that of both pools: see [pool.Options]. Defaults to 30s.
	MaintainEvery time.Duration

	// LeakAfter is that of both pools: see [pool.Options]. 0: off.
	LeakAfter time.Duration

	// ReaderPolicy is the policy of the readers. The zero policy keeps them as long as they are sound.
	ReaderPolicy resource.Policy

	// WriterPolicy is the policy of the writer.
	WriterPolicy resource.Policy

	// Observer is told what both pools do. If nil, nothing is called; Stats counts it regardless.
	Observer pool.Observer
}

func (o Options) withDefaults() Options {
	if o.Readers == 0 {
		o.Readers = max(4, runtime.GOMAXPROCS(0))
	}
	if o.MaxReaders == 0 {
		o.MaxReaders = max(64, o.Readers)
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

// validate looks at o after withDefaults. What [pool.New] checks is left to it.
func (o Options) validate() error {
	switch {
	case o.Flags != 0:
		return fmt.Errorf("Options.Flags is %#x: it is for NewPool; set ReadOnly, or call OpenMemory", uint(o.Flags))
	case o.Readers < 0:
		return fmt.Errorf("Options.Readers is %d: it must not be negative", o.Readers)
	case o.MaxReaders < o.Readers:
		return fmt.Errorf("Options.MaxReaders is %d: it must not be less than Readers, which is %d", o.MaxReaders, o.Readers)
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
	case o.ReadOnly && o.Restore != nil:
		return errors.New("Options.Restore is set: it must be nil with ReadOnly, which makes no file")
	case o.Baseline != nil && o.Schema == nil:
		return errors.New("Options.Baseline is set: it needs a Schema")
	case o.SlowAfter < 0:
		return fmt.Errorf("Options.SlowAfter is %v: it must not be negative", o.SlowAfter)
	case o.ReadOnly && o.Schema != nil:
		return errors.New("Options.Schema is set: it must be nil with ReadOnly")
	}
	for i, pragma := range o.Pragmas {
		if err := pragma.validate(fmt.Sprintf("Options.Pragmas[%d]", i)); err != nil {
			return err
		}
		if o.ForeignCheckpoints && strings.EqualFold(pragma.Name, "wal_checkpoint") {
			return fmt.Errorf("Options.Pragmas[%d] is wal_checkpoint: with ForeignCheckpoints another program alone moves the log", i)
		}
	}
	return validateSchema(o.Schema)
}

// validateSchema refuses what SQLite would call "bad parameter or other API misuse: not an error".
func validateSchema(schema *sqlitemigration.Schema) error {
	if schema == nil {
		return nil
	}
	for i, migration := range schema.Migrations {
		if strings.ContainsRune(migration, 0) {
			return fmt.Errorf("Options.Schema.Migrations[%d] contains NUL: %.100q", i, migration)
		}
	}
	if strings.ContainsRune(schema.RepeatableMigration, 0) {
		return fmt.Errorf("Options.Schema.RepeatableMigration contains NUL: %.100q", schema.RepeatableMigration)
	}
	return nil
}

// pragmas returns what the fields of o stand for.
func (o Options) pragmas() []Pragma {
	number := func(name string, value int64) Pragma { return Pragma{name, strconv.FormatInt(value, 10)} }
	flag := func(name string, on bool) Pragma {
		if on {
			return Pragma{name, "1"}
		}
		return Pragma{name, "0"}
	}
	all := []Pragma{
		number("synchronous", int64(o.Synchronous.number())),
		flag("foreign_keys", !o.NoForeignKeys),
		flag("trusted_schema", o.TrustedSchema),
		flag("cell_size_check", !o.NoCellSizeCheck),
		number("journal_size_limit", max(o.JournalSizeLimit, -1)),
	}
	if o.CacheSize > 0 {
		all = append(all, number("cache_size", -o.CacheSize/1024)) // negative: KiB
	}
	if o.TempInMemory {
		all = append(all, Pragma{"temp_store", "memory"})
	}
	if o.MmapSize > 0 {
		all = append(all, number("mmap_size", o.MmapSize))
	}
	return all
}

// allPragmas returns what the fields of o stand for, and then o.Pragmas.
func (o Options) allPragmas() []Pragma { return append(o.pragmas(), o.Pragmas...) }

// poolOptions returns the options of a pool of connections.
func (o Options) poolOptions(name string, size int, policy resource.Policy, figures func() []pool.Figure) pool.Options {
	return pool.Options{
		Name: name, MaxSize: size, Policy: policy, Advice: adviceOfReaders,
		MaxWaiters: o.MaxWaiters, AcquireTimeout: o.AcquireTimeout, MaintainEvery: o.MaintainEvery,
		LeakAfter: o.LeakAfter, Observer: o.Observer, Figures: figures, System: "sqlite",
	}
}

// What to do about a pool whose connections are all held.
const (
	adviceOfReaders = "raise Options.Readers"
	adviceOfWriter  = "do what is slow outside of Write (there is one writer; Batch shares a commit)"
)
