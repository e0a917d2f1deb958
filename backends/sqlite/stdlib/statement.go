package stdlib

import (
	"context"
	"database/sql/driver"
)

// PrepareContext returns a statement that takes a connection when it runs. A text that SQLite can't compile is an error here.
func (s *session) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.attach(ctx); err != nil {
		return nil, typed(err)
	}
	if err := s.compile(ctx, text); err != nil {
		return nil, typed(err)
	}
	return &statement{s, text}, nil
}

// Prepare is PrepareContext without a ctx.
func (s *session) Prepare(text string) (driver.Stmt, error) {
	return s.PrepareContext(context.Background(), text)
}

// compile makes sure that the first statement of text can be compiled, and learns about it.
func (s *session) compile(ctx context.Context, text string) error {
	s.known = s.texts.look(text)
	known := s.known
	if known.sql != "" || known.kind > direct || known.kind == direct && known.name != "" { // some pragmas act when they are compiled
		return nil
	}
	if err := s.lost(); err != nil {
		return err
	}
	h := s.held
	if h == nil {
		var err error
		if h, err = s.takeReader(ctx); err != nil {
			return err
		}
		defer h.release()
	} else {
		h.below.Watch(ctx)
	}
	c, rest, err := h.prepareUntainted(text, knowledge{}) // it does not run
	if err = h.below.Finish(ctx, err); err != nil {
		return err
	}
	_ = s.learn(c, text, rest)
	c.close()
	return nil
}

// statement is a driver.Stmt: a text.
type statement struct {
	*session
	text string
}

// Close does nothing: a statement holds nothing.
func (st *statement) Close() error { return nil }

// NumInput is unknown to database/sql: scripts and named arguments have rules of their own.
func (st *statement) NumInput() int { return -1 }

// ExecContext is that of the session.
func (st *statement) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return st.session.ExecContext(ctx, st.text, args)
}

// QueryContext is that of the session.
func (st *statement) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return st.session.QueryContext(ctx, st.text, args)
}

// Exec is ExecContext without a ctx.
func (st *statement) Exec(args []driver.Value) (driver.Result, error) {
	return st.ExecContext(context.Background(), named(args))
}

// Query is QueryContext without a ctx.
func (st *statement) Query(args []driver.Value) (driver.Rows, error) {
	return st.QueryContext(context.Background(), named(args))
}

func named(args []driver.Value) []driver.NamedValue {
	all := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		all[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
	}
	return all
}
