package stdlib

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
)

// Driver is the driver that is registered as "headpond": for programs that have a data source name and no code of their own
// to open a [sqlite.DB]. The package documentation has the keys of the name.
//
// All that open one file, by whatever path, share one DB in the process, which the last one to close it closes.
// That Close waits some 6s for transactions and rows that are still open; then its error names them, with leak_after by the lines that took them.
type Driver struct{}

var registered = &Driver{}

func init() { sql.Register("headpond", registered) }

// Open opens a session of its own, with a database that ends with it unless others share it.
func (d *Driver) Open(name string) (driver.Conn, error) {
	c, err := d.OpenConnector(name)
	if err != nil {
		return nil, err
	}
	conn, err := c.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	return &lone{conn.(*session), c.(*sourced)}, nil
}

// lone is a session whose database nothing else closes.
type lone struct {
	*session
	c *sourced
}

// Close ends the session, and the database with it.
func (l *lone) Close() error {
	_ = l.session.Close()
	return l.c.Close()
}

// OpenConnector reads a data source name. It does no I/O: the database is opened by the first session.
func (d *Driver) OpenConnector(name string) (driver.Connector, error) {
	s, err := parse(name)
	if err != nil {
		return nil, err
	}
	return &sourced{source: s}, nil
}

// sourced is a connector that opens the database that its data source name tells of, and closes it.
type sourced struct {
	source *source

	mu      sync.Mutex // protects the following; it is not held while anything is opened or closed
	shared  *shared    // nil: not open yet
	inner   *connector
	closed  bool
	opening sync.WaitGroup // calls of Connect that open the database; none begins once it is closed
}

// Connect opens the database if no session has done so, which may block until ctx ends, and returns a session.
func (c *sourced) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.open(ctx)
	if err != nil {
		return nil, typed(err)
	}
	return inner.Connect(ctx)
}

func (c *sourced) open(ctx context.Context) (*connector, error) {
	c.mu.Lock()
	if c.closed || c.inner != nil {
		defer c.mu.Unlock()
		return c.innerLocked()
	}
	c.opening.Add(1)
	c.mu.Unlock()
	defer c.opening.Done()
	shared, err := files.open(ctx, c.source)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	if !c.closed && c.inner == nil {
		c.shared, c.inner, shared = shared, newConnector(shared.db, c.source.options), nil
	}
	inner, err := c.innerLocked()
	c.mu.Unlock()
	if shared != nil { // another call has opened it meanwhile, or it was closed
		err = errors.Join(err, files.close(shared))
	}
	return inner, err
}

func (c *sourced) innerLocked() (*connector, error) {
	if c.closed {
		return nil, fmt.Errorf("headpond/sqlite/stdlib: %w", sql.ErrConnDone)
	}
	return c.inner, nil
}

// Driver returns the driver.
func (c *sourced) Driver() driver.Driver { return registered }

// Close closes the database, unless others have it open. It is called by [sql.DB.Close].
func (c *sourced) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.opening.Wait()
	c.mu.Lock()
	shared := c.shared
	c.shared, c.inner = nil, nil
	c.mu.Unlock()
	if shared == nil {
		return nil
	}
	return files.close(shared)
}
