package stdlib

import (
	"context"
	"errors"
	"strings"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/internal/door"
	"github.com/headpond/headpond/backends/sqlite/internal/raw"
)

// onReader runs a statement that reads on a reader of its own. It returns errElsewhere if it writes.
func (s *session) onReader(ctx context.Context, text string, known knowledge, args *arguments, query bool) (done outcome, err error) {
	h, err := s.takeReader(ctx)
	if err != nil {
		return done, err
	}
	defer func() {
		if err != nil {
			err = h.below.Finish(ctx, err)
		}
		if done.more == nil {
			h.release()
		}
	}()
	c, rest, err := h.prepare(text, known)
	if err != nil {
		return done, err
	}
	if known.sql == "" || known.kind == unknown {
		if err := s.learnPlace(c, text, rest, known); err != nil {
			c.close()
			return done, err
		}
	}
	if err := c.start(args, true); err != nil {
		return done, err
	}
	done.result = s.unchanged()
	if !query {
		err = c.drain()
		c.close()
		return done, err
	}
	c.describe(known)
	done.shape, done.own = c.shape, true
	var more bool
	done.values, more, err = c.fill(nil, s.door.Memory())
	if more && err == nil {
		if h.kept = s.door.Keep(); !h.kept {
			done.values, more, err = c.fill(done.values, true)
		}
	}
	if more && err == nil {
		done.more = c
		c.keep()
		s.readers.Add(1)
		return done, nil
	}
	c.close()
	return done, err
}

// learnPlace notes where a statement belongs whose keyword says that it reads.
func (s *session) learnPlace(c *cursor, text, rest string, known knowledge) error {
	if err := s.learn(c, text, rest); err != nil {
		return err
	}
	place := read
	if !c.below.ReadOnly() && !c.below.Explains() {
		place = write
		if known.name != "" { // a pragma
			place = direct
		}
	}
	s.learnOf(text, func(known *knowledge) { known.kind = place })
	if place != read {
		return errElsewhere
	}
	return nil
}

// inBatch runs a write in a transaction that it may share: see [sqlite.DB.Batch].
// It returns errElsewhere, and nothing was done, if the statement must run by itself.
func (s *session) inBatch(ctx context.Context, text string, known knowledge, args *arguments, query bool) (done outcome, err error) {
	if mayRollBack(text) {
		return done, s.runsAlone(text)
	}
	before, now := s.changes, s.changes
	err = s.db.Batch(ctx, func(ctx context.Context, conn *sqlite.Conn) error { // may run twice
		done = outcome{}
		again := newArguments(args.all)
		h := &hold{s: s, conn: conn, below: door.ConnOf(conn), writes: true}
		handle := h.below.Handle()
		handle.SetChanges(before)
		defer handle.SetStrings(handle.SetStrings(raw.BothStrings))
		h.below.CallsOwn() // forget those of others
		cookie, shared := handle.SchemaCookie(), handle.SharesSchemas()
		fresh := known
		if known.aloneFor != cookie || !shared {
			fresh.seen = 0 // a trigger of today may call what that of yesterday did not
		}
		c, rest, err := h.prepare(text, fresh)
		if err != nil {
			return err
		}
		defer c.close()
		if c.transient {
			if err := s.learn(c, text, rest); err != nil {
				return err
			}
			if rolls, err := h.below.RollsBack(); err != nil || rolls || h.below.CallsOwn() {
				return errors.Join(err, s.runsAlone(text))
			}
			if shared {
				s.learnOf(text, func(known *knowledge) { known.aloneFor = cookie })
			}
		}
		if err := c.start(&again, true); err != nil {
			return err
		}
		if query {
			c.describe(known)
			done.shape = c.shape
			if done.values, _, err = c.fill(nil, true); err != nil {
				return err
			}
		}
		if err := c.drain(); err != nil {
			return err
		}
		now = handle.Changes()
		return nil
	})
	if errors.Is(err, sqlite.ErrRolledBack) && ctx.Err() == nil && !errors.Is(err, errElsewhere) {
		return done, s.runsAlone(text) // and has its own error there
	}
	if err != nil {
		return outcome{}, err
	}
	done.result = s.changed(now, known)
	return done, nil
}

// runsAlone learns that a text must not share a transaction.
func (s *session) runsAlone(text string) error {
	s.learnOf(text, func(known *knowledge) { known.alone = true })
	return errElsewhere
}

// mayRollBack reports whether the text itself may roll back the transaction that it is in.
func mayRollBack(text string) bool {
	const word = "rollback"
	for at := 0; at+len(word) <= len(text); at++ {
		if (text[at] == 'r' || text[at] == 'R') && strings.EqualFold(text[at:at+len(word)], word) {
			return true
		}
	}
	return false
}

// onWriter runs a statement on the writer, by itself, exactly once.
func (s *session) onWriter(ctx context.Context, text string, known knowledge, args *arguments, query bool) (done outcome, err error) {
	h, err := s.takeWriter(ctx)
	if err != nil {
		return done, err
	}
	s.held = h
	defer s.release()
	defer func() { err = h.below.Finish(ctx, err) }()
	return s.toEnd(h, text, known, args, query)
}

// release gives back the held connection, unless a transaction or something that was left on it needs it.
func (s *session) release() {
	h := s.held
	if h == nil || s.pinned {
		return
	}
	if s.tx == nil && (door.ConnOf(h.conn) == nil || !h.below.Tainted()) {
		s.letGo()
		return
	}
	s.startIdle()
}

// toEnd runs a statement to its end, with all its rows. It returns errElsewhere if text is a script.
func (s *session) toEnd(h *hold, text string, known knowledge, args *arguments, query bool) (done outcome, err error) {
	c, rest, err := h.prepare(text, known)
	if err != nil {
		return done, err
	}
	defer c.close()
	if c.transient {
		if err := s.learn(c, text, rest); err != nil {
			return done, err
		}
	}
	return done, s.finish(&done, c, known, args, query, true)
}

// finish starts a statement and reads its rows, or as many as are read ahead. The cursor is closed unless there are more.
func (s *session) finish(done *outcome, c *cursor, known knowledge, args *arguments, query, all bool) error {
	if err := c.startAs(known, args, true); err != nil {
		return err
	}
	if query {
		c.describe(known)
		done.shape = c.shape
		var more bool
		var err error
		if done.values, more, err = c.fill(nil, all); err != nil {
			c.close()
			return err
		}
		if more {
			done.more = c
			c.keep()
		}
	}
	if done.more == nil {
		if err := c.drain(); err != nil {
			c.close()
			return err
		}
	}
	if known.kind == unknown && !c.below.ReadOnly() {
		known.kind = write
	}
	done.result = s.changed(c.h.below.Handle().Changes(), known)
	if done.more == nil {
		c.close()
	}
	return nil
}

// onHeld runs a statement on the connection that the session holds.
func (s *session) onHeld(ctx context.Context, text string, known knowledge, args *arguments, query bool) (done outcome, err error) {
	h, err := s.use(ctx)
	if err != nil {
		return done, err
	}
	defer s.used(ctx, &err)
	c, rest, err := h.prepare(text, known)
	if err != nil {
		return done, err
	}
	if c.transient {
		if err := s.learn(c, text, rest); err != nil {
			c.close()
			return done, err
		}
	}
	err = s.finish(&done, c, known, args, query, s.door.Memory())
	return done, err
}

// use makes the held connection hear ctx, until used. The error is that of a transaction that is over.
func (s *session) use(ctx context.Context) (*hold, error) {
	s.stopIdle()
	if err := s.lost(); err != nil {
		return nil, err
	}
	s.held.below.Watch(ctx)
	return s.held, nil
}

// used undoes use, and makes err that of ctx if that ended it.
func (s *session) used(ctx context.Context, err *error) {
	if s.held == nil {
		return
	}
	*err = s.held.below.Finish(ctx, *err)
	if tx := s.tx; tx != nil && tx.savepoint && s.held.below.Handle().Autocommit() && s.lost() == nil {
		s.forget() // the outermost RELEASE has committed it
	}
	s.release()
}
