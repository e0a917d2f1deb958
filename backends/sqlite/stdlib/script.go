package stdlib

import (
	"context"

	"github.com/headpond/headpond/backends/sqlite"
)

// script runs the statements of a text, one after the other, on one connection: the session's,
// else the writer, else, if there is no writer, a reader. All rows are read before it returns.
func (s *session) script(ctx context.Context, text string, args *arguments, query bool) (done outcome, err error) {
	inside := s.tx != nil
	if s.held == nil && !inside {
		take := s.takeWriter
		if s.door.ReadOnly() {
			take = s.takeReader
		}
		h, err := take(ctx)
		if err != nil {
			return done, err
		}
		_ = h.below.Finish(ctx, nil)
		s.held = h
	}
	s.pinned = true // by the script, between its statements
	defer func() {
		s.pinned = false
		if s.tx != nil && !inside && !s.begun {
			s.endTransaction()
			if err == nil {
				err = errLeftOpen
			}
		}
		s.release()
	}()
	done.result = s.unchanged()
	for rest := text; !blank(rest); {
		var one outcome
		one, rest, err = s.next(ctx, rest, args, query)
		if err != nil {
			return outcome{}, err
		}
		done.result = one.result
		if query && one.shape != nil && len(one.shape.columns) > 0 {
			if done.shape == nil {
				done.shape, done.values = one.shape, one.values
			} else {
				done.sets = append(done.sets, resultSet{one.shape, one.values})
			}
		}
	}
	return done, nil
}

// next runs the first statement of a script, and returns what follows it.
func (s *session) next(ctx context.Context, text string, args *arguments, query bool) (done outcome, rest string, err error) {
	known := classify(text)
	if s.wasEnded(known) {
		return done, "", errEndedByText
	}
	switch known.kind {
	case begin, commit, rollback, savepoint, sessionPragma:
		first, rest := split(text)
		if blank(rest) {
			if err := args.finish(); err != nil {
				return done, "", err
			}
		}
		if known.kind == sessionPragma && s.tx == nil {
			return outcome{result: s.unchanged()}, rest, s.setPragma(ctx, setting{known.name, truth(known.value)})
		}
		if known.kind != sessionPragma {
			return outcome{result: s.unchanged()}, rest, s.command(ctx, first, known.kind)
		}
	}
	h, err := s.use(ctx)
	if err != nil {
		return done, "", err
	}
	defer s.used(ctx, &err)
	known.seen = 0
	c, rest, err := h.prepare(text, known)
	if err != nil {
		return done, "", err
	}
	defer c.close()
	start := func() error { return c.startAs(known, args, blank(rest)) }
	if known.kind == sessionPragma {
		err = s.rememberPragma(known, start)
	} else {
		err = start()
	}
	if err != nil {
		return done, "", err
	}
	if query {
		known.script = true
		c.describe(known)
		done.shape = c.shape
		if done.values, _, err = c.fill(nil, true); err != nil {
			return done, "", err
		}
	}
	if err = c.drain(); err != nil {
		return done, "", err
	}
	if known.kind == unknown && !c.below.ReadOnly() {
		known.kind = write
	}
	done.result = s.changed(h.below.Handle().Changes(), known)
	return done, rest, nil
}

// split cuts a text behind its first statement, which has no semicolon inside.
func split(text string) (first, rest string) {
	s := scanner{text: text}
	s.word() // passes over semicolons before it
	for s.token() != "" {
	}
	return text[:s.at], text[s.at:]
}

var errLeftOpen = leftOpen{}

// leftOpen is the error of a script that has begun a transaction and not ended it.
type leftOpen struct{}

func (leftOpen) Error() string {
	return "headpond/sqlite/stdlib: the script left a transaction open, and it was rolled back: end it in the script, or begin it with BeginTx"
}
func (leftOpen) Unwrap() error { return sqlite.ErrRolledBack }
