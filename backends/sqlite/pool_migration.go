package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/headpond/headpond/internal/catch"
	"zombiezen.com/go/sqlite/sqlitemigration"
)

// MigrationPool stands in for *sqlitemigration.Pool of zombiezen: a [Pool] that brings its schema up to date in the background.
// Make one with [NewMigrationPool]. All methods may be called from any goroutine.
//
// What differs, beside what differs for Pool: a migration that fails is tried again by the next Take, which returns its error
// if it fails again; Put before the pool is ready does nothing; Close may be called again.
type MigrationPool struct {
	pool *Pool // nil: err says why there is none
	err  error
}

// MigrationPoolOptions are those of [NewMigrationPool]. The zero value is right for most.
type MigrationPoolOptions struct {
	Options // as [NewPool] has them. Schema must be nil

	// OnStartMigrate is called when a connection was opened, before the migrations: once for each try. nil: nothing is called.
	// If it panics, or calls runtime.Goexit, the try has failed.
	OnStartMigrate func()
	// OnReady is called once, when the schema is up to date. A panic in it is swallowed. nil: nothing is called.
	OnReady func()
	// OnError is called with the error of each try that failed, and with that of options that can't be right. A panic in it is swallowed.
	// nil: nothing is called; Take returns the error all the same.
	OnError func(err error)
}

// NewMigrationPool returns a pool whose database is opened and brought up to date with schema at once, in the background.
// It never blocks. What is wrong with name or options is an error of Take, Get and CheckHealth, as there is none here,
// and is told to OnError, as are migrations that fail. The functions of options are called on a goroutine of the pool.
// name is one of NewPool. Close ends the pool.
func NewMigrationPool(name string, schema sqlitemigration.Schema, options MigrationPoolOptions) *MigrationPool {
	p := &MigrationPool{}
	if options.Schema != nil {
		p.err = errors.New("headpond/sqlite: Options.Schema is set: it must be nil, since NewMigrationPool is given the schema")
	} else {
		options.Options.Schema = &schema
		p.pool, p.err = NewPool(name, options.Options)
	}
	if p.err != nil {
		if options.OnError != nil {
			go func() {
				defer catch.Swallow()
				options.OnError(p.err)
			}()
		}
		return p
	}
	first := p.pool.first
	if options.OnStartMigrate != nil {
		first.onStart = options.OnStartMigrate
	}
	if options.OnReady != nil {
		first.onReady = options.OnReady
	}
	if options.OnError != nil {
		first.onError = options.OnError
	}
	first.begin()
	return p
}

// Take is [Pool.Take]. It waits until the schema is up to date, until ctx ends. If that failed, it tries once more,
// and returns the error if it fails again: an [*OpenError], or that of NewPool.
func (p *MigrationPool) Take(ctx context.Context) (*Conn, error) {
	if p.err != nil {
		return nil, p.err
	}
	return p.pool.Take(ctx)
}

// Get is Take, under its older name.
func (p *MigrationPool) Get(ctx context.Context) (*Conn, error) { return p.Take(ctx) }

// Put is [Pool.Put]. It never panics, and does nothing with what Take did not return.
func (p *MigrationPool) Put(conn *Conn) {
	if p.pool != nil {
		p.pool.Put(conn)
	}
}

// CheckHealth returns nil if the schema is up to date and the pool is open: otherwise why not, without waiting.
func (p *MigrationPool) CheckHealth() error {
	err := p.err
	if err == nil {
		err = p.pool.first.result()
	}
	if err != nil {
		return fmt.Errorf("headpond/sqlite: the pool is not ready: %w", err)
	}
	return nil
}

// Pool returns the pool under this one, for its Stats and Conns; nil if name or options can't be right.
func (p *MigrationPool) Pool() *Pool { return p.pool }

// Close ends the pool, and interrupts a migration that runs. It blocks, and returns an error, as [Pool.Close] does.
func (p *MigrationPool) Close() error {
	if p.pool == nil {
		return nil
	}
	return p.pool.Close()
}
