package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Reset brings a connection that Hooks or Open made back to its baseline. See the package's documentation for what that is.
// It costs nothing if the borrower left nothing behind that was seen; else it takes one round trip,
// for which it blocks, until ctx ends. An error says that the connection could not be reset, or must not go on: then close it.
//
// A connection that headpond did not open has no known baseline: it is an error.
func Reset(ctx context.Context, conn *Conn) error {
	s, ok := sessionOf(conn)
	if !ok {
		return errForeign
	}
	return s.reset(ctx)
}

func (s *session) reset(ctx context.Context) error {
	w := s.wire
	pg := s.conn.PgConn()
	w.sent.guarded = false
	switch {
	case pg.IsClosed():
		if err, lost := s.lost(); lost {
			s.noteLoss()
			return s.fail("reset", err)
		}
		return errClosed
	case pg.IsBusy():
		return s.found(ctx, Finding{FoundRows, ""})
	case s.retired():
		return errRetired
	case pg.TxStatus() == 'I' && w.clean() && !(s.connector.options.ResetAlways && w.sent.used):
		s.forget()
		return nil
	case w.sent.seen.effects&dropsStatements != 0 || w.received.tags&tagStatements != 0:
		return s.found(ctx, Finding{FoundStatements, ""})
	case w.sent.seen.effects&lasts != 0 || w.received.tags&tagLoad != 0:
		return s.found(ctx, Finding{FoundLasting, w.sent.seen.lasting})
	}
	return s.undo(ctx)
}

// found reports findings, and returns the error for those that cost the connection.
func (s *session) found(ctx context.Context, all ...Finding) error {
	found := findings(all)
	found.report(ctx, s.connector)
	return found.err()
}

// undo looks at what the borrower left behind, and undoes it.
func (s *session) undo(ctx context.Context) error {
	w := s.wire
	names := w.settings()
	for name := range s.baseline.settings {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	everything := w.unknown() || s.connector.options.ResetAlways
	var found findings
	var script strings.Builder
	if s.conn.PgConn().TxStatus() != 'I' {
		found.add(FoundTransaction, "")
		script.WriteString("ROLLBACK;")
	}
	script.WriteString(selectSettings(names))
	script.WriteString(leftovers)
	if everything {
		script.WriteString(sessionSettings)
	}
	script.WriteString(";")
	script.WriteString(undoing)
	if w.sent.seen.effects&(prepares|unknown) != 0 || w.received.tags != 0 || everything {
		script.WriteString(deallocating)
	}
	script.WriteString(s.baseline.restoring)
	script.WriteString(selectSettings(names))
	results, err := s.conn.PgConn().Exec(ctx, script.String()).ReadAll()
	if err == nil && s.conn.PgConn().TxStatus() != 'I' {
		err = fmt.Errorf("the transaction is %q after it", s.conn.PgConn().TxStatus())
	}
	if err != nil {
		found.add(FoundWedged, err.Error())
		found.report(ctx, s.connector)
		return s.fail("reset", errors.Join(found.err(), err))
	}
	s.compare(&found, queries(results))
	s.forget()
	found.report(ctx, s.connector)
	return found.err()
}

// queries are the results of SELECT: of the settings before, of what was left, ..., of the settings after.
func queries(results []*pgconn.Result) []*pgconn.Result {
	return slices.DeleteFunc(results, func(r *pgconn.Result) bool { return !r.CommandTag.Select() })
}

// compare adds what the results of undo's script say was left behind.
func (s *session) compare(found *findings, results []*pgconn.Result) {
	before, left, after := results[0].Rows, results[1].Rows, results[len(results)-1].Rows
	told := make(map[string]bool)
	for i, row := range before {
		if name := string(row[0]); string(row[1]) != string(after[i][1]) {
			told[name] = true
			if name == "role" || name == "session_authorization" {
				found.add(FoundRole, string(row[1]))
			} else {
				found.add(FoundSetting, name)
			}
		}
	}
	for _, row := range left {
		kind, detail := leftoverKinds[string(row[0])], string(row[1])
		if kind == FoundSetting && (told[detail] || s.baseline.settings[detail]) {
			continue
		}
		found.add(kind, detail)
	}
}

// forget makes the session ready for the next borrower: what pgx has kept for one who listened is dropped.
func (s *session) forget() {
	if s.wire.received.notified {
		over, cancel := context.WithCancel(context.Background())
		cancel() // what has come is returned nevertheless
		for {
			if n, _ := s.conn.WaitForNotification(over); n == nil {
				break
			}
		}
	}
	s.wire.forget()
}
