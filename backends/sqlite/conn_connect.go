package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"zombiezen.com/go/sqlite"
)

// step is a step of open: what fails there is an OpenError that names it.
type step struct {
	name string
	do   func(ctx context.Context) error
}

// connect opens a connection to the file at path, which is d.path or a new one that is about to get there.
// file is what was seen at the path before; nil in memory.
func (d *database) connect(ctx context.Context, path string, mode Mode, file os.FileInfo) (*connection, error) {
	flags := sqlite.OpenReadWrite // never OpenCreate: a file that is gone must not come back empty
	if mode == Reader {
		flags = sqlite.OpenReadOnly
	}
	if d.memory {
		flags = sqlite.OpenReadWrite | sqlite.OpenURI
	}
	generation := d.generation.Load()
	conn, err := raw.Open(path, flags)
	if err != nil {
		return nil, d.openError(mode, "connect", d.explainOpen(ctx, path, mode, err))
	}
	c := &connection{Handle: raw.New(conn), conn: conn, mode: mode, database: d, file: file, generation: generation, waitsForLocks: true}
	if err := c.Attach(c); err != nil {
		return nil, d.openError(mode, "connect", errors.Join(err, raw.Close(conn)))
	}
	if path == d.path && d.options.ForeignCheckpoints { // before anything can fail; a new file is nobody else's yet
		c.SetNoCheckpointOnClose()
	}
	if mode == Writer && !d.memory && path == d.path && d.options.Synchronous != SyncOff {
		c.AskBeforeCommit(true)
		c.nameMayGo = true
	}
	connections.Store(conn, c)
	c.renewInterrupter()
	d.mu.Lock()
	d.live[c] = struct{}{}
	d.mu.Unlock()

	ended := false
	defer func() {
		if !ended { // Options.Setup has panicked, or called runtime.Goexit
			_ = c.closeUnused(ctx) // OnFinding is told
		}
	}()
	c.watch(ctx)
	c.SetBusyHandler()
	for _, step := range c.steps(path) {
		if err := step.do(ctx); err != nil {
			if path == d.path && invalidates(sqlite.ErrCode(err)) { // a copy that is broken says nothing of those of the database
				d.invalidate(c) // a connection that is open may not notice
			}
			err = d.explainOpen(ctx, path, mode, c.explain(ctx, notDatabase(err)))
			ended = true
			if left := c.closeUnused(ctx); left != nil {
				err = errors.Join(err, left)
			}
			return nil, d.openError(mode, step.name, err)
		}
	}
	ended = true
	c.borrower = nil
	c.unwatch()
	if path == d.path {
		c.noteFilled()
	}
	if c.interrupter.Load().triggered() {
		c.renewInterrupter()
	}
	return c, nil
}

// steps are those of a connection that is about to serve, in this order:
// what only an empty file takes, the journal mode, the other pragmas, a look at the file,
// the caller's own, and our hooks last.
func (c *connection) steps(path string) []step {
	return []step{
		{"look", func(context.Context) error { return c.verifyFile(path) }},
		{"pragmas", c.setNewFilePragmas},
		{"journal mode", c.useWAL},
		{"sync the directory", func(context.Context) error {
			if !c.mayCommitUnseen() {
				return nil
			}
			return c.makeNameLast()
		}},
		{"pragmas", c.keepEncoding},
		{"pragmas", c.setPragmas},
		{"read the schema", func(ctx context.Context) error {
			_, _, err := c.query(ctx, "SELECT 1 FROM sqlite_schema LIMIT 1")
			return err
		}},
		{"pragmas", func(ctx context.Context) error {
			if err := c.verifyPragmas(ctx); err != nil {
				return err
			}
			return c.SetDefensive(!c.database.options.NoDefensive)
		}},
		{"Setup", c.setup},
		{"prepare", func(context.Context) error {
			if err := c.Install(); err != nil {
				return err
			}
			c.limits, c.settings = c.Handle.Limits(), c.Handle.Settings()
			c.schemaGeneration, c.schemaStamp = c.database.schemaGeneration.Load(), c.SchemaStamp()
			c.ForgetChanges()
			if err := c.listFunctions(); err != nil {
				return err
			}
			c.profile() // last: what runs before is nobody's
			return c.Probe()
		}},
	}
}

// verifyFile makes sure that what was opened is what was seen at the path before, and what the others opened.
func (c *connection) verifyFile(path string) error {
	if c.file == nil {
		return nil
	}
	now, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(c.file, now) {
		return ErrReplaced
	}
	if path != c.database.path {
		return nil // a new one
	}
	return c.database.rememberFile(c.file)
}

// useWAL makes the journal mode WAL. It reads it first: the change takes a lock that SQLite does not wait for,
// and makes a journal, which must not outlast the name of the file.
func (c *connection) useWAL(ctx context.Context) error {
	if c.mode == Reader || c.database.memory {
		return nil
	}
	mode, _, err := c.query(ctx, "PRAGMA journal_mode")
	if err == nil && mode != "wal" {
		if err := c.makeNameLast(); err != nil {
			return err
		}
		mode, _, err = c.query(ctx, "PRAGMA journal_mode=wal")
	}
	if err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("%w: SQLite left the journal mode at %q, as it does if the file system has no shared memory", ErrNoWAL, mode)
	}
	return nil
}

// setup calls Options.Setup, and makes sure that it left the connection fit for use.
func (c *connection) setup(ctx context.Context) error {
	if c.database.options.Setup == nil {
		return nil
	}
	err := c.database.options.Setup(ctx, c.conn)
	switch {
	case c.Closed() && err != nil:
		return fmt.Errorf("the connection was closed: %w", err)
	case c.Closed():
		return errors.New("the connection was closed")
	case err != nil:
		return err
	case !c.Idle():
		return errors.New("a transaction or a statement was left open")
	}
	if c.InterruptChannel() != c.interrupter.Load().done {
		c.unwatch()
		c.renewInterrupter()
	}
	if err := c.verifyAfterSetup(ctx); err != nil {
		return err
	}
	return c.noteAttached(ctx)
}

// noteAttached notes which files Setup has attached to the writer, whose logs are seen to as well.
func (c *connection) noteAttached(ctx context.Context) error {
	if c.mode != Writer {
		return nil
	}
	list, _, err := c.query(ctx, "SELECT json_group_array(file) FROM pragma_database_list WHERE name NOT IN ('main', 'temp') AND file <> ''")
	if err != nil {
		return fmt.Errorf("PRAGMA database_list: %w", err)
	}
	var paths []string
	if err := json.Unmarshal([]byte(list), &paths); err != nil {
		return fmt.Errorf("PRAGMA database_list is %s: %w", list, err)
	}
	c.database.attached.Store(&paths)
	return nil
}

// notDatabase makes SQLITE_NOTADB an ErrNotDatabase.
func notDatabase(err error) error {
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultNotADB {
		return fmt.Errorf("%w: %w", ErrNotDatabase, err)
	}
	return err
}
