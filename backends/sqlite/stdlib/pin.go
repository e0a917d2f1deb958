package stdlib

import (
	"context"
	"database/sql/driver"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/internal/door"
)

// NewPinConnector returns a connector whose sessions have no database of their own: pin gives them one when a statement needs it,
// and done takes it back when database/sql puts the session back, or when a forgotten transaction has been rolled back.
// So a *sql.DB may live longer than the databases that it uses one after the other, if these have one schema and one set of
// options, as those of package tenants. pin may block; its ctx is that of the statement.
func NewPinConnector(pin func(ctx context.Context) (db *sqlite.DB, done func(), err error), options Options) driver.Connector {
	return &connector{pin: pin, options: options.withDefaults(), texts: newTexts(), invalid: options.validate()}
}

// database is what a session takes its connections from.
type database struct {
	db   *sqlite.DB // nil: the session has none now
	door door.DB
}

func databaseOf(db *sqlite.DB) database { return database{db, door.DBOf(db)} }

// attach gets the session a database, if it has none. It blocks as pin does. The error is also that of a session
// on which nothing must run any more.
func (s *session) attach(ctx context.Context) error {
	if s.gone != nil || s.db != nil {
		return s.gone
	}
	db, done, err := s.pin(ctx)
	if err != nil {
		return err
	}
	s.texts.of(db)
	s.database, s.unpin = databaseOf(db), done
	return nil
}

// detach gives the database back. The session holds no connection of it.
func (s *session) detach() {
	if s.unpin != nil {
		s.unpin()
		s.database, s.unpin = database{}, nil
	}
}
