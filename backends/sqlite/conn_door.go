package sqlite

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/headpond/headpond/backends/sqlite/internal/door"
	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"zombiezen.com/go/sqlite"
)

func init() {
	door.ConnOf = func(conn *Conn) door.Conn {
		c, ok := connectionOf(conn)
		if !ok || c.Closed() {
			return nil
		}
		return doorConn{c}
	}
}

// doorConn is a connection as package stdlib sees it.
type doorConn struct{ *connection }

func (c doorConn) Handle() *raw.Handle { return &c.connection.Handle }

func (c doorConn) Watch(ctx context.Context) { c.watch(ctx) }

func (c doorConn) Finish(ctx context.Context, err error) error {
	if err != nil && !c.Closed() && c.Autocommit() {
		err = c.afterCommit(err) // if it was the commit of an autocommit statement that failed on the disk
	}
	err = c.explain(ctx, err)
	if c.Closed() {
		return err
	}
	c.unwatch()
	c.called, c.lockUntil = time.Time{}, time.Time{}
	if c.interrupted() && !c.database.interrupted.Load() {
		c.renewInterrupter()
	}
	return err
}

func (c doorConn) Begin(ctx context.Context, write bool) error {
	if !write {
		return c.explain(ctx, c.Run(raw.Begin))
	}
	if err := c.begin(); err != nil {
		return c.explain(ctx, err)
	}
	c.RefuseCommits(true)
	return nil
}

func (c doorConn) Commit(ctx context.Context) error {
	if c.Torn() {
		c.rollBack()
		return errTorn
	}
	c.resetLeftOpen(ctx)
	c.RefuseCommits(false)
	return c.explain(ctx, c.commit())
}

func (c doorConn) Rollback() { c.rollBack() }

func (c doorConn) Untainted(do func() error) error {
	c.exempt = true
	defer func() { c.exempt = false }()
	return do()
}

func (c doorConn) Tainted() bool {
	return c.taint != 0 || c.connection.Handle.Settings().Temp != c.settings.Temp
}

func (c doorConn) Adopt() {
	c.GuardFunctions() // first: it changes what Registered is made of
	c.settings.Registered = c.connection.Handle.Settings().Registered
}

func (c doorConn) CallsOwn() bool {
	own := c.callsOwn
	c.callsOwn = false
	return own
}

func (c doorConn) RollsBack() (bool, error) {
	cookie := c.SchemaCookie()
	if c.rollsBackKnown && c.rollsBackAt == cookie {
		return c.rollsBack, nil
	}
	_, found, err := c.query(context.Background(), "SELECT 1 FROM sqlite_schema WHERE sql LIKE '%rollback%' LIMIT 1")
	if err == nil {
		c.rollsBackKnown, c.rollsBackAt, c.rollsBack = true, cookie, found
	}
	return found, err
}

// listFunctions remembers which functions of the connection are not SQLite's own, so that Calls knows them.
func (c *connection) listFunctions() error {
	if c.database.options.Setup == nil {
		return nil
	}
	builtIn, err := builtInFunctions()
	if err != nil {
		return err
	}
	all, err := functionsOf(c.conn)
	if err != nil {
		return err
	}
	c.ownFunctions = make(map[string]bool)
	for row, name := range all {
		if _, found := builtIn[row]; !found {
			c.ownFunctions[name] = true
		}
	}
	c.ReportCalls(len(c.ownFunctions) > 0)
	return nil
}

// Calls notes that a statement was prepared that calls a function.
func (c *connection) Calls(function string) {
	if c.ownFunctions[strings.ToLower(function)] {
		c.callsOwn = true
	}
}

// builtInFunctions are those of a connection on which nothing was registered.
var builtInFunctions = sync.OnceValues(func() (map[string]string, error) {
	conn, err := raw.Open(":memory:", sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	defer raw.Close(conn)
	return functionsOf(conn)
})

// functionsOf returns the names of the functions of a connection, in lower case, by all that SQLite tells of each.
func functionsOf(conn *Conn) (map[string]string, error) {
	stmt, _, err := conn.PrepareTransient("PRAGMA function_list")
	if err != nil {
		return nil, fmt.Errorf("list the functions: %w", err)
	}
	defer func() { _ = stmt.Finalize() }()
	all := make(map[string]string)
	for {
		more, err := stmt.Step()
		if err != nil || !more {
			return all, err
		}
		var row strings.Builder
		for i := range stmt.ColumnCount() {
			row.WriteString(stmt.ColumnText(i) + "|")
		}
		all[row.String()] = strings.ToLower(stmt.ColumnText(0))
	}
}
