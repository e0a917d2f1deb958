package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// setPragma sets the pragma.
func (c *connection) setPragma(ctx context.Context, p Pragma) error {
	if _, _, err := c.query(ctx, "PRAGMA "+p.Name+"="+quoted(p.Value)); err != nil {
		return fmt.Errorf("PRAGMA %s=%s: %w", p.Name, quoted(p.Value), err)
	}
	return nil
}

// setPragmas sets those of the options that are for any file, but for those that write if the connection does not.
func (c *connection) setPragmas(ctx context.Context) error {
	for _, pragma := range c.database.options.allPragmas() {
		if pragma.ofNewFile() || pragma.writes() && c.mode == Reader {
			continue
		}
		if err := c.setPragma(ctx, pragma); err != nil {
			return err
		}
	}
	return nil
}

// verifyPragmas reads those of the options back.
func (c *connection) verifyPragmas(ctx context.Context) error {
	for _, pragma := range c.database.options.allPragmas() {
		if err := c.verifyPragma(ctx, pragma); err != nil {
			return err
		}
	}
	return nil
}

// isNew reports whether the connection writes, and its file has no page yet, as far as is known.
func (c *connection) isNew() bool { return c.mode == Writer && (c.file == nil || c.file.Size() == 0) }

// setNewFilePragmas sets those of the options that only a new file takes, if it may be one.
func (c *connection) setNewFilePragmas(ctx context.Context) error {
	if !c.isNew() {
		return nil
	}
	for _, pragma := range newFilePragmas(c.database.options.allPragmas()) {
		if err := c.setPragma(ctx, pragma); err != nil {
			return err
		}
	}
	return nil
}

// keepEncoding writes the encoding of a new file into it: SQLite does so only with the first table or view.
// Without that the next connection takes it for UTF-8.
func (c *connection) keepEncoding(ctx context.Context) error {
	wanted := slices.ContainsFunc(c.database.options.Pragmas, func(p Pragma) bool { return strings.EqualFold(p.Name, "encoding") })
	if !wanted || !c.isNew() {
		return nil
	}
	_, found, err := c.query(ctx, "SELECT 1 FROM sqlite_schema LIMIT 1")
	if err != nil || found {
		return err
	}
	for _, sql := range []string{"BEGIN IMMEDIATE", "CREATE VIEW headpond_encoding AS SELECT 1", "DROP VIEW headpond_encoding", "COMMIT"} {
		if _, _, err := c.query(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// promised are the pragmas that a connection has beside those of the options, whatever these say.
var promised = []Pragma{{"locking_mode", "normal"}, {"query_only", "0"}, {"writable_schema", "0"}, {"wal_autocheckpoint", "1000"}}

// verifyAfterSetup returns an error if Options.Setup has undone what Open promises of a connection. It names the pragma, and what to do.
func (c *connection) verifyAfterSetup(ctx context.Context) error {
	all := append(c.database.options.allPragmas(), promised...)
	if c.mode == Writer && !c.database.memory {
		all = append(all, Pragma{"journal_mode", "wal"})
	}
	for _, pragma := range all {
		if pragma.isAction() {
			continue
		}
		got, told, err := c.query(ctx, "PRAGMA "+pragma.Name)
		if err != nil {
			return fmt.Errorf("PRAGMA %s: %w", pragma.Name, err)
		}
		if !told || pragma.isSet(got) {
			continue
		}
		advice := ownedPragmas[pragma.Name]
		if advice == "" {
			advice = "Options.Pragmas says otherwise"
		}
		return fmt.Errorf("it set PRAGMA %s, which is %s now, not %s: %s", pragma.Name, got, pragma.Value, advice)
	}
	switch {
	case !c.HasBusyHandler():
		return fmt.Errorf("it set PRAGMA busy_timeout, or another busy handler: %s", ownedPragmas["busy_timeout"])
	case c.HasOtherAuthorizer():
		return errors.New("it set an authorizer: headpond needs its own there, which sees what a borrower leaves behind")
	}
	return nil
}

// knownPragmas are those that SQLite knows: it passes over any other without a word.
var knownPragmas = sync.OnceValues(func() (map[string]bool, error) {
	conn, err := raw.Open(":memory:", sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	defer raw.Close(conn)
	known := make(map[string]bool)
	err = sqlitex.ExecuteTransient(conn, "PRAGMA pragma_list", &sqlitex.ExecOptions{
		ResultFunc: func(row *sqlite.Stmt) error { known[row.ColumnText(0)] = true; return nil },
	})
	return known, err
})

// verifyPragma reads the pragma back, if SQLite tells its value.
func (c *connection) verifyPragma(ctx context.Context, p Pragma) error {
	known, err := knownPragmas()
	if err != nil {
		return fmt.Errorf("PRAGMA pragma_list: %w", err)
	}
	if !known[strings.ToLower(p.Name)] {
		return fmt.Errorf("PRAGMA %s: SQLite %s does not know it", p.Name, sqlite.Version)
	}
	if p.isAction() {
		return nil
	}
	got, told, err := c.query(ctx, "PRAGMA "+p.Name)
	if err != nil {
		return fmt.Errorf("PRAGMA %s: %w", p.Name, err)
	}
	if !told || p.isSet(got) {
		return nil
	}
	if p.ofNewFile() {
		return fmt.Errorf("PRAGMA %s is %s, not %s: it can only be chosen when the file is created", p.Name, got, p.Value)
	}
	return fmt.Errorf("PRAGMA %s is %s, not %s: SQLite did not take the value", p.Name, got, p.Value)
}

// pageSize is that of the database, with the header that a page has in the log.
func (c *connection) pageSize() int64 {
	if c.pageBytes == 0 {
		c.pageBytes = 4096
		if value, _, err := c.query(context.Background(), "PRAGMA page_size"); err == nil {
			c.pageBytes, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	return c.pageBytes + 24
}
