package postgres

import (
	"context"
	"fmt"
	"strings"
)

// leftoverKinds are the kinds that the query of leftovers names.
var leftoverKinds = map[string]FindingKind{
	"setting": FoundSetting, "listen": FoundListen, "cursor": FoundCursor, "prepared": FoundPrepared,
	"temp": FoundTemp, "advisory_lock": FoundAdvisoryLock, "slot": FoundLasting,
}

// What follows is the script that undo runs. Every name has its schema: the search_path may be anything.
const (
	// leftovers are what a session has that a new one has not: kind and name.
	leftovers = `SELECT 'cursor', name FROM pg_catalog.pg_cursors WHERE is_holdable
UNION ALL SELECT 'listen', channel FROM pg_catalog.pg_listening_channels() AS channel
UNION ALL SELECT 'prepared', name FROM pg_catalog.pg_prepared_statements WHERE from_sql
UNION ALL SELECT 'advisory_lock', pg_catalog.concat_ws(' ', classid, objid) FROM pg_catalog.pg_locks
	WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()
UNION ALL SELECT 'temp', relname FROM pg_catalog.pg_class
	WHERE pg_catalog.pg_my_temp_schema() <> 0 AND relnamespace = pg_catalog.pg_my_temp_schema() AND relkind IN ('r', 'v', 'm', 'S', 'f', 'p')
UNION ALL SELECT 'temp', proname FROM pg_catalog.pg_proc
	WHERE pg_catalog.pg_my_temp_schema() <> 0 AND pronamespace = pg_catalog.pg_my_temp_schema()
UNION ALL SELECT 'slot', slot_name FROM pg_catalog.pg_replication_slots WHERE temporary AND active_pid = pg_catalog.pg_backend_pid()`

	// sessionSettings is the rest of leftovers if it is not known which settings were changed. It takes a millisecond.
	sessionSettings = `
UNION ALL SELECT 'setting', name FROM pg_catalog.pg_settings WHERE source = 'session'`

	// undoing does what DISCARD ALL does, which also takes pgx's prepared statements, and runs in no script.
	// The first two keep the borrower's limits from it; RESET ALL leaves out the role.
	undoing = `SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = 0;
CLOSE ALL;
RESET SESSION AUTHORIZATION;
RESET ROLE;
RESET ALL;
UNLISTEN *;
SELECT pg_catalog.pg_advisory_unlock_all();
DISCARD TEMP;
DISCARD SEQUENCES;
`
	// deallocating takes the statements of SQL's PREPARE.
	deallocating = `DO LANGUAGE plpgsql $$
DECLARE statement text;
BEGIN
	FOR statement IN SELECT name FROM pg_catalog.pg_prepared_statements WHERE from_sql LOOP
		EXECUTE pg_catalog.format('DEALLOCATE %I', statement);
	END LOOP;
END $$;
`
)

// selectSettings is a query of settings, in their order: name and value, NULL if there is no such setting.
func selectSettings(names []string) string {
	return "SELECT name, pg_catalog.current_setting(name, true) FROM pg_catalog.unnest(ARRAY[" + literals(names) +
		"]) WITH ORDINALITY AS settings (name, number) ORDER BY number;"
}

func literals(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = literalOf(name)
	}
	return strings.Join(quoted, ",")
}

// literalOf is a text as a constant of SQL, whatever standard_conforming_strings.
func literalOf(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "'", "''"), `\`, `\\`)
	return "E'" + text + "'"
}

// baseline is what Options.Setup has set on a session, beyond what the server sets on every new one.
type baseline struct {
	settings  map[string]bool // that are set
	restoring string          // SQL that sets them again
}

// settle runs Options.Setup, and takes note of what it sets.
func (s *session) settle(ctx context.Context) error {
	options := s.connector.options
	if options.Setup != nil {
		if err := options.Setup(ctx, s.conn); err != nil {
			return s.fail("Setup", err)
		}
		if err := s.measure(ctx); err != nil {
			return s.fail("Setup", err)
		}
	}
	s.wire.forget()
	return nil
}

// measure takes note of what Setup has set. What it must not leave behind is an error.
func (s *session) measure(ctx context.Context) error {
	pg := s.conn.PgConn()
	switch {
	case pg.IsClosed():
		return errClosed
	case pg.IsBusy():
		return fmt.Errorf("it left rows, a batch or a COPY open")
	case pg.TxStatus() != 'I':
		return fmt.Errorf("it left a transaction open")
	case s.wire.clean():
		return nil
	}
	names := []string{}
	results, err := pg.Exec(ctx, leftovers+sessionSettings).ReadAll()
	if err != nil {
		return err
	}
	for _, row := range results[0].Rows {
		kind, name := leftoverKinds[string(row[0])], string(row[1])
		if kind != FoundSetting {
			return fmt.Errorf("it left behind what a reset undoes: %v", Finding{kind, name})
		}
		names = append(names, name)
	}
	names = append(names, s.wire.settings()...) // the roles come last: they may take the right to set the others
	before, err := pg.Exec(ctx, selectSettings(names)).ReadAll()
	if err != nil {
		return err
	}
	after, err := pg.Exec(ctx, undoing+selectSettings(names)).ReadAll()
	if err != nil {
		return err
	}
	s.baseline.settings = make(map[string]bool)
	var restoring strings.Builder
	last := queries(after)
	for i, row := range before[0].Rows {
		name := string(row[0])
		if s.baseline.settings[name] || string(row[1]) == string(last[len(last)-1].Rows[i][1]) {
			continue
		}
		s.baseline.settings[name] = true
		fmt.Fprintf(&restoring, "SELECT pg_catalog.set_config(%s, %s, false);\n", literalOf(name), literalOf(string(row[1])))
	}
	s.baseline.restoring = restoring.String()
	_, err = pg.Exec(ctx, s.baseline.restoring).ReadAll()
	return err
}
