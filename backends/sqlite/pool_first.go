package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/headpond/headpond/internal/catch"
	"github.com/headpond/headpond/internal/ctxerr"
	"github.com/headpond/headpond/pool"
)

// firstOpen opens the database of a Pool for the first time, before any connection serves: it brings the schema up to date,
// and keeps a database in memory alive. Callers wait for one attempt together; after one that failed the next caller makes another.
// An attempt has a goroutine of its own: a migration may take longer than any of them waits.
type firstOpen struct {
	database *database
	onStart  func()          // called before each attempt's migration
	onReady  func()          // called after the attempt that succeeded
	onError  func(err error) // called after each that did not

	ctx    context.Context // of attempts
	cancel context.CancelFunc

	mu      sync.Mutex    // protects the following
	running chan struct{} // closed when the attempt that runs has ended; nil: none does
	done    bool          // one has succeeded
	closed  bool
	err     error       // of the last one that failed
	anchor  *connection // keeps a database in memory alive; nil: there is none
}

func newFirstOpen(database *database) *firstOpen {
	f := &firstOpen{database: database, onStart: func() {}, onReady: func() {}, onError: func(error) {}}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.done = !database.memory && database.options.Schema == nil // there is nothing to do
	return f
}

// wait waits until an attempt has succeeded. The error is that of the attempt that it waited for, or of ctx.
func (f *firstOpen) wait(ctx context.Context) error {
	running := f.begin()
	if running == nil {
		return f.result()
	}
	select {
	case <-running:
		return f.result()
	case <-ctx.Done():
		return ctxerr.Ended(ctx)
	}
}

// begin begins an attempt unless one runs, and returns what is closed at its end; nil: there will be none.
func (f *firstOpen) begin() chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done || f.closed {
		return nil
	}
	if f.running == nil {
		f.running = make(chan struct{})
		go f.attempt()
	}
	return f.running
}

// result is nil if an attempt has succeeded, or why none has.
func (f *firstOpen) result() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return pool.ErrClosed
	case f.done:
		return nil
	case f.err == nil:
		return errNotReady
	}
	return f.err
}

var errNotReady = errors.New("the database is being opened, or has not been asked for")

// attempt opens the database once, and tells of the outcome.
func (f *firstOpen) attempt() {
	var err error
	step, who := "connect", "a function of Options, such as Setup,"
	catch.Run(func() { err = f.open(&step, &who) }, func(ending catch.Ending) {
		switch {
		case ending.Exited():
			err = f.database.openError(Writer, step, fmt.Errorf("%s called runtime.Goexit", who))
		case !ending.Returned:
			err = f.database.openError(Writer, step, fmt.Errorf("%s panicked: %v", who, ending.Value))
		}
		f.end(err)
	})
}

// end ends the attempt, and tells of its outcome.
func (f *firstOpen) end(err error) {
	f.mu.Lock()
	running := f.running
	f.done, f.err, f.running = err == nil, err, nil
	f.mu.Unlock()
	close(running)
	defer catch.Swallow() // no caller is there to recover: the process would end
	if err != nil {
		f.onError(err)
	} else {
		f.onReady()
	}
}

// open opens the database, and brings its schema up to date. If it does not return, step and who say what it was doing,
// and whose function may have ended it.
func (f *firstOpen) open(step, who *string) error {
	c, err := f.database.open(f.ctx, Writer)
	if err != nil {
		return err
	}
	f.start(c, step, who)
	if _, err = f.database.migrate(f.ctx, c); err != nil || !f.database.memory || !f.keep(c) {
		return errors.Join(err, c.close(f.ctx))
	}
	return nil
}

// start tells that the migrations are about to start. If that does not return, the connection is closed.
func (f *firstOpen) start(c *connection, step, who *string) {
	started := false
	defer func() {
		if !started {
			_ = c.closeUnused(f.ctx)
		}
	}()
	before := *who
	*step, *who = "migrate", "OnStartMigrate"
	f.onStart()
	*who = before
	started = true
}

// keep keeps the connection open, unless the pool is closed.
func (f *firstOpen) keep(c *connection) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.anchor = c
	}
	return !f.closed
}

// close lets no attempt begin any more, and ends the one that runs.
func (f *firstOpen) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.cancel()
}

// finish waits for the attempt that runs until ctx ends, and lets a database in memory go. It is called after close.
func (f *firstOpen) finish(ctx context.Context) error {
	f.mu.Lock()
	running, anchor := f.running, f.anchor
	f.anchor = nil
	f.mu.Unlock()
	if running != nil {
		select {
		case <-running:
		case <-ctx.Done():
			return ctxerr.Ended(ctx)
		}
	}
	if anchor != nil {
		return anchor.close(ctx)
	}
	return nil
}
