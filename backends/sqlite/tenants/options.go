package tenants

import (
	"errors"
	"fmt"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/internal/door"
	"github.com/headpond/headpond/backends/sqlite/stdlib"
	"github.com/headpond/headpond/pool"
)

// Options of a [Pool]. Path is required; the zero value of every other field is right for most.
type Options struct {
	// Name stands in errors, spans and metrics, for the pool as a whole. Defaults to "tenants".
	Name string

	// Path returns the path of a tenant's database file, or an error if the name is not that of a tenant. Required;
	// see [Directory] for one that takes any name, and how to refuse those that are not known.
	// It is called on the goroutine of the caller that asks for a tenant first, and again by the pool before the database
	// is opened once more: two tenants must never have one path, and a tenant keeps its own until it is closed.
	Path func(tenant string) (string, error)

	// Database are the options of each database. Readers defaults to 1 here, AcquireTimeout to that of the pool,
	// and LimitCheckpoints to one that all share, by which MaxOpening of them run at the same time.
	// Name and Observer must be empty: a database is named after its tenant, and the pool is observed as a whole.
	Database sqlite.Options

	// SQL are the options of the *sql.DBs that [Pool.SQL] returns.
	SQL stdlib.Options

	// MaxOpen is the most databases that are open, being opened or being closed at any instant.
	// One with a single reader takes 5 file descriptors and about 330 KiB of memory.
	// Defaults to 100.
	MaxOpen int

	// MaxOpening is the most databases that are opened at the same time, and the most that are closed.
	// So many places are also kept free ahead of demand, by closing the least recently used databases
	// that no call holds, though at most half of MaxOpen:
	// only a burst of more than that waits for a close. So choose MaxOpen larger by MaxOpening than the number of tenants
	// that are in use at the same time. Defaults to 4, and at most MaxOpen.
	MaxOpening int

	// MaxWaiters is the most calls that may wait for a place or for an opening at the same time;
	// past it a call fails at once with [pool.ErrSaturated]. 0: no bound.
	MaxWaiters int

	// AcquireTimeout bounds what a call waits for, all together: a place, the opening, and its turn in the database.
	// Defaults to 5s; negative: the caller's ctx alone.
	AcquireTimeout time.Duration

	// IdleAfter is how long a database may be unused before it is closed. 0: until its place is needed.
	IdleAfter time.Duration

	// OnOpen is called after each try to open a database, with the time it took and its error.
	// It is called from goroutines of the pool, several at a time; those that wait for the database wait for it.
	// It must not call the pool; a panic or runtime.Goexit in it ends nothing else. nil: nothing is called.
	OnOpen func(tenant string, took time.Duration, err error)

	// OnClose is called after a database was closed, in the same way. If a connection of it was not released,
	// it is called once with an error that says so, and again when the database is closed.
	OnClose func(tenant string, took time.Duration, err error)

	// Observer is told what the pool does, as one pool whose values are databases: a call acquires and releases one,
	// an opening constructs it, a closing destroys it. Tenants appear neither in its name nor in its figures.
	// nil: nothing is observed.
	Observer pool.Observer
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "tenants"
	}
	if o.MaxOpen == 0 {
		o.MaxOpen = 100
	}
	if o.MaxOpening == 0 {
		o.MaxOpening = max(1, min(4, o.MaxOpen))
	}
	if o.AcquireTimeout == 0 {
		o.AcquireTimeout = 5 * time.Second
	}
	if o.Database.Readers == 0 {
		o.Database.Readers = 1
	}
	if o.Database.AcquireTimeout == 0 {
		o.Database.AcquireTimeout = o.AcquireTimeout
	}
	return o
}

// validate looks at o after withDefaults.
func (o Options) validate() error {
	switch {
	case o.Path == nil:
		return errors.New("Options.Path is nil: it is required; tenants.Directory makes one")
	case o.Database.Name != "":
		return fmt.Errorf("Options.Database.Name is %q: it must be empty, since each database is named after its tenant", o.Database.Name)
	case o.Database.Observer != nil:
		return errors.New("Options.Database.Observer is set: it must be nil; set Options.Observer, which observes the pool as a whole")
	case o.MaxOpen < 0:
		return fmt.Errorf("Options.MaxOpen is %d: it must not be negative", o.MaxOpen)
	case o.MaxOpening < 0:
		return fmt.Errorf("Options.MaxOpening is %d: it must not be negative", o.MaxOpening)
	case o.MaxOpening > o.MaxOpen:
		return fmt.Errorf("Options.MaxOpening is %d: it must not exceed MaxOpen, which is %d", o.MaxOpening, o.MaxOpen)
	case o.MaxWaiters < 0:
		return fmt.Errorf("Options.MaxWaiters is %d: it must not be negative", o.MaxWaiters)
	case o.IdleAfter < 0:
		return fmt.Errorf("Options.IdleAfter is %v: it must not be negative", o.IdleAfter)
	}
	if err := door.Validate(o.Database); err != nil {
		return fmt.Errorf("Options.Database: %w", err)
	}
	return nil
}
