package stdlib

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
)

// Driver is the driver that is registered as "headpond": for programs that have a data source name and no code of their own
// to open a [sqlite.DB]. The package documentation has the keys of the name.
//
// All that open one file, by whatever path, share one DB in the process, which the last one to close it closes.
// That Close waits some 5s for transactions and rows that are still open; then its error names them.
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

	mu     sync.Mutex // protects the following
	shared *shared    // nil: not open yet
	inner  *connector
	closed bool
}

// Connect opens the database if no session has done so, which may block, and returns a session.
func (c *sourced) Connect(ctx context.Context) (driver.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fmt.Errorf("headpond/sqlite/stdlib: %w", sql.ErrConnDone)
	}
	if c.inner == nil {
		shared, err := openShared(ctx, c.source)
		if err != nil {
			return nil, typed(err)
		}
		c.shared, c.inner = shared, newConnector(shared.db, c.source.options)
	}
	return c.inner.Connect(ctx)
}

// Driver returns the driver.
func (c *sourced) Driver() driver.Driver { return registered }

// Close closes the database, unless others have it open. It is called by [sql.DB.Close].
func (c *sourced) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.shared == nil {
		return nil
	}
	shared := c.shared
	c.shared, c.inner = nil, nil
	return shared.close()
}

// files has the databases that are open by a data source name, each once.
var files = struct {
	mu  sync.Mutex // protects the following, and is held while one is opened or closed
	all []*shared
}{}

// shared is a database that several connectors may have open.
type shared struct {
	db     *sqlite.DB
	source *source
	file   os.FileInfo // nil: in memory, and not shared
	users  int
}

// openShared opens the database that source tells of, or shares the one that has its file open.
func openShared(ctx context.Context, s *source) (*shared, error) {
	if s.path == "" {
		db, err := sqlite.OpenMemory(ctx, s.database)
		if err != nil {
			return nil, err
		}
		return &shared{db: db, source: s, users: 1}, nil
	}
	files.mu.Lock()
	defer files.mu.Unlock()
	if file, err := os.Stat(s.path); err == nil {
		for _, open := range files.all {
			if os.SameFile(open.file, file) {
				if key, differs := different(open.source, s); differs {
					return nil, fmt.Errorf("headpond/sqlite/stdlib: %s is open already in this process with %q %q, and here it is %q: open it alike",
						s.path, key, open.source.values[key], s.values[key])
				}
				open.users++
				return open, nil
			}
		}
	}
	path, err := filepath.Abs(s.path)
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, path, s.database)
	if err != nil {
		return nil, err
	}
	file, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("headpond/sqlite/stdlib: the file that was just opened: %w", closeAfter(err, db))
	}
	opened := &shared{db: db, source: s, file: file, users: 1}
	files.all = append(files.all, opened)
	return opened, nil
}

func closeAfter(err error, db *sqlite.DB) error {
	if closeErr := db.Close(context.Background()); closeErr != nil {
		return fmt.Errorf("%w; and %w", err, closeErr)
	}
	return err
}

// different returns a key that concerns the database and has another value in a than in b.
func different(a, b *source) (key string, differs bool) {
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if ofSession := key == "batch" || key == "time_format" || key == "idle_in_tx"; !ofSession && a.values[key] != b.values[key] {
			return key, true
		}
	}
	return "", false
}

// close closes the database if nothing else uses it.
func (s *shared) close() error {
	files.mu.Lock()
	defer files.mu.Unlock()
	if s.users--; s.users > 0 {
		return nil
	}
	if at := slices.Index(files.all, s); at >= 0 {
		files.all = slices.Delete(files.all, at, at+1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	return s.db.Close(ctx)
}

// closeWithin is how long [sql.DB.Close], which takes no ctx, waits for transactions and rows that are still open.
const closeWithin = 5 * time.Second
