package sqlite

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"zombiezen.com/go/sqlite"
)

// state is what is known of one connection beside its Conn.
// Its fields belong to whoever holds the connection, but alarm.
type state struct {
	handle
	mode Mode
	db   *database
	file os.FileInfo // the file that was opened; nil in memory
	age  uint64      // of database.age, when it was opened

	alarm atomic.Pointer[alarm] // ends what runs; any goroutine may fire it
	stop  func() bool           // of the context.AfterFunc that fires alarm when the borrower's ctx ends; nil: none

	installed atomic.Bool // handle.install was called

	waitSince time.Time // of wait: when the lock was first found taken
	page      int64     // the size of a page; 0: not asked yet
	patient   bool      // wait waits; false until the next reset where the borrower must not be kept

	limits   limits   // those of a released connection
	settings settings // those of a released connection
	tainted  [Kinds]string
}

// states has the state of every open connection of this package, by its *Conn.
// cells has it by the address of its cell, for SQLite's callbacks.
var states, cells sync.Map

func stateOf(conn *Conn) (*state, bool) {
	s, ok := states.Load(conn)
	if !ok {
		return nil, false
	}
	return s.(*state), true
}

func stateAt(address uintptr) (*state, bool) {
	s, ok := cells.Load(address)
	if !ok {
		return nil, false
	}
	return s.(*state), true
}

// opening is held by OpenConn for reading and by Close for writing, and never around a wait:
// zombiezen's global maps are keyed by the address of the sqlite3*,
// and Close frees that address before it clears them.
var opening sync.RWMutex

func openConn(path string, flags sqlite.OpenFlags) (*Conn, error) {
	opening.RLock()
	defer opening.RUnlock()
	return sqlite.OpenConn(path, flags)
}

func closeConn(conn *Conn) error {
	opening.Lock()
	defer opening.Unlock()
	return conn.Close()
}

// database is what the connections of one file have in common.
type database struct {
	path    string // absolute, or the URI of one in memory
	memory  bool
	options Options // defaults filled in
	invalid error   // why nothing can be opened; nil: it can be tried

	found       counts
	age         atomic.Uint64 // connections of an earlier one end when they are checked or released
	evict       func()        // makes the pools end what is idle
	made        time.Time
	glanced     atomic.Int64          // when glance last looked, since made
	interrupted atomic.Bool           // interruptAll was called
	first       atomic.Pointer[state] // what Construct returns first: opened with the ctx of Open; nil: nothing

	mu   sync.Mutex // protects the following
	file os.FileInfo
	live map[*state]struct{}
}

// spoil ends every connection that is as old as s or older, for what s found: at once where idle.
func (d *database) spoil(s *state) {
	if d.age.CompareAndSwap(s.age, s.age+1) {
		d.evict()
	}
}

// interruptAll makes what runs on any connection fail, and what will run.
func (d *database) interruptAll() {
	d.interrupted.Store(true)
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range d.live {
		s.alarm.Load().fire()
	}
}

// end closes the connection, and leaves no lock of it, whatever it was doing.
func (s *state) end(ctx context.Context) error {
	s.disarm()
	s.db.mu.Lock()
	delete(s.db.live, s)
	s.db.mu.Unlock()
	s.alarm.Load().hush() // nobody fires it from now on, or it interrupts nothing
	states.Delete(s.conn)
	cells.Delete(s.address())
	var err error
	if s.closed() {
		err = s.uninstall() // closes what the borrower could not
	} else {
		s.refuseCommits(false)
		s.resetBusy()
		if !s.idle() { // Close does it, too, unless it fails
			s.authorize()       // the borrower's may forbid it
			_ = s.run(rollback) // also of what a backup writes into the connection, though it fails in autocommit
		}
		if s.interrupted() { // that would keep the last connection from its checkpoint, and leave the log behind
			s.rearm()
			_ = s.probe() // the first statement after an interrupt ends it
		}
		s.settle(ctx)
		_ = s.uninstall() // fails only where it closes
		err = closeConn(s.conn)
	}
	if sqlite.ErrCode(err) == sqlite.ResultBusy {
		texts, count := s.unfinalized(3)
		findings{{FoundUnfinalized, s.mode, unfinalizedText(texts, count)}}.report(ctx, s.db)
		return &UnfinalizedError{Count: count, Texts: texts, Err: err}
	}
	return err
}
