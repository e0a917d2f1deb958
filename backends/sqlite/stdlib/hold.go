package stdlib

import (
	"context"
	"errors"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/internal/door"
	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	"github.com/headpond/headpond/pool"
)

// hold is a connection that a session has taken from one of the pools.
type hold struct {
	s      *session
	door   door.DB
	lease  pool.Lease[*sqlite.Conn]
	conn   *sqlite.Conn
	below  door.Conn
	writes bool // it is the writer

	strings raw.Strings // what they were before

	undo  []setting        // what the session pragmas were before
	open  map[*cursor]bool // statements in the middle of their rows
	kept  bool             // Unkeep is to be called once it was released
	quiet bool             // it refuses writes, though it could write
}

// errGone is the error of a connection that its user has closed.
var errGone = errors.New("headpond/sqlite/stdlib: the connection was closed under the session")

// takeReader takes a reader for the session. The end of ctx interrupts what runs on it.
func (s *session) takeReader(ctx context.Context) (*hold, error) {
	lease, err := s.door.AcquireReader(ctx)
	if err != nil {
		return nil, err
	}
	h, err := s.dress(lease, s.door.Memory())
	if err == nil && s.door.Memory() {
		h.setQuiet(true)
	}
	return h, err
}

// takeWriter takes the writer.
func (s *session) takeWriter(ctx context.Context) (*hold, error) {
	lease, err := s.door.AcquireWriter(ctx)
	if err != nil {
		var failed *pool.Error
		if errors.As(err, &failed) && failed.Advice != "" { // it is this call's own
			failed.Advice = "do what is slow outside of a Tx (there is one writer)"
		}
		return nil, err
	}
	return s.dress(lease, true)
}

// dress gives a connection what belongs to the session.
func (s *session) dress(lease pool.Lease[*sqlite.Conn], writes bool) (*hold, error) {
	h := &hold{s: s, door: s.door, lease: lease, conn: lease.Value(), below: door.ConnOf(lease.Value()), writes: writes}
	if h.below == nil {
		lease.Discard()
		return nil, errGone
	}
	handle := h.below.Handle()
	handle.SetChanges(s.changes)
	h.strings = handle.SetStrings(raw.BothStrings) // as other drivers have it
	if err := h.applyPragmas(); err != nil {
		h.release()
		return nil, err
	}
	return h, nil
}

// applyPragmas sets the session pragmas on the connection.
func (h *hold) applyPragmas() error {
	for _, p := range h.s.pragmas {
		if err := h.apply(p); err != nil {
			return err
		}
	}
	return nil
}

// apply sets a session pragma, and notes what it was.
func (h *hold) apply(p setting) error {
	base, err := h.s.base.of(h.conn)
	if err != nil {
		return err
	}
	h.noteUndo(p.name, base)
	return h.below.Untainted(func() error { return runPragma(h.conn, p) })
}

// noteUndo notes that a session pragma is to be taken back.
func (h *hold) noteUndo(name string, base map[string]bool) {
	for _, before := range h.undo {
		if before.name == name {
			return
		}
	}
	h.undo = append(h.undo, setting{name, base[name]})
}

// setQuiet makes the connection refuse writes, or take them again.
func (h *hold) setQuiet(on bool) {
	h.quiet = on
	if door.ConnOf(h.conn) != nil {
		h.below.SetQueryOnly(on)
	}
}

// release gives the connection back as it was taken. What is open on it ends.
func (h *hold) release() {
	h.endCursors(errTransactionOver)
	if door.ConnOf(h.conn) != nil {
		if h.quiet {
			h.below.SetQueryOnly(false)
		}
		for _, p := range h.undo {
			if h.below.Untainted(func() error { return runPragma(h.conn, p) }) == nil && p.name == "case_sensitive_like" {
				h.below.Adopt()
			}
		}
		h.below.Handle().SetStrings(h.strings)
	}
	h.lease.Release()
	if h.kept {
		h.door.Unkeep()
	}
}

// endCursors ends the statements that are open on the connection: their rows fail with err.
func (h *hold) endCursors(err error) {
	for c := range h.open {
		c.end(err)
	}
}

// busy reports whether the text is open on the connection: its cached statement is in use then.
func (h *hold) busy(text string) bool {
	for c := range h.open {
		if c.text == text {
			return true
		}
	}
	return false
}
