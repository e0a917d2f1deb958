package stdlib

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/headpond/headpond/backends/sqlite"
)

// sessionPragmas are those that a program sets on a session and relies on later: migrators do. A session remembers them,
// sets them on each connection that it takes, and takes them back before it gives that back.
var sessionPragmas = map[string]bool{
	"foreign_keys": true, "legacy_alter_table": true, "recursive_triggers": true,
	"ignore_check_constraints": true, "case_sensitive_like": true, "defer_foreign_keys": true,
}

// asking are the pragmas whose argument says what they tell about.
var asking = map[string]bool{
	"collation_list": true, "compile_options": true, "database_list": true, "foreign_key_check": true,
	"foreign_key_list": true, "function_list": true, "index_info": true, "index_list": true, "index_xinfo": true,
	"integrity_check": true, "module_list": true, "pragma_list": true, "quick_check": true, "stats": true,
	"table_info": true, "table_list": true, "table_xinfo": true,
}

// doing are the pragmas that change something even without an argument.
var doing = map[string]bool{
	"incremental_vacuum": true, "optimize": true, "shrink_memory": true, "wal_checkpoint": true,
}

// classifyPragma says where a pragma runs. The scanner stands behind PRAGMA.
func classifyPragma(s *scanner) knowledge {
	name := s.token()
	sign := s.token()
	if sign == "." { // a schema
		name, sign = s.token(), s.token()
	}
	name = strings.ToLower(name)
	var value strings.Builder
	switch sign {
	case "=", "(":
		for token := s.token(); token != "" && token != ")"; token = s.token() {
			value.WriteString(token)
		}
		for s.token() != "" {
		}
	}
	known := knowledge{kind: direct, script: s.following(), name: name, value: value.String()}
	switch {
	case sessionPragmas[name] && sign != "":
		known.kind = sessionPragma
	case sign == "" && !doing[name], asking[name]:
		known.kind = unknown
	}
	return known
}

// truth is what SQLite takes the value of a pragma for that is on or off.
func truth(value string) bool {
	switch strings.ToLower(value) {
	case "on", "yes", "true":
		return true
	}
	value = strings.TrimPrefix(value, "+")
	digits, base := value, 10
	if rest, isHex := strings.CutPrefix(strings.ToLower(value), "0x"); isHex {
		digits, base = rest, 16
	}
	end := strings.IndexFunc(digits, func(r rune) bool { return !strings.ContainsRune("0123456789abcdef"[:base], r) })
	if end >= 0 {
		digits = digits[:end]
	}
	number, err := strconv.ParseInt(digits, base, 32)
	return err == nil && number != 0
}

// setting is a session pragma that was set.
type setting struct {
	name string
	on   bool
}

func (p setting) sql() string { return "PRAGMA " + p.name + "=" + onOff(p.on) }

func onOff(on bool) string {
	if on {
		return "ON"
	}
	return "OFF"
}

// baselines are what the session pragmas are on a connection to which nothing was done.
type baselines struct {
	mu  sync.Mutex // protects the following
	all map[string]bool
}

// of returns them, read from conn the first time.
func (b *baselines) of(conn *sqlite.Conn) (map[string]bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all != nil {
		return b.all, nil
	}
	all := make(map[string]bool)
	for name := range sessionPragmas {
		on, err := askPragma(conn, name)
		if err != nil {
			return nil, err
		}
		all[name] = on
	}
	b.all = all
	return all, nil
}

func askPragma(conn *sqlite.Conn, name string) (on bool, err error) {
	if name == "case_sensitive_like" {
		return false, nil // it can't be asked
	}
	stmt, _, err := conn.PrepareTransient("PRAGMA " + name)
	if err != nil {
		return false, err
	}
	defer func() { _ = stmt.Finalize() }()
	row, err := stmt.Step()
	return row && stmt.ColumnInt64(0) != 0, err
}

func runPragma(conn *sqlite.Conn, p setting) error {
	stmt, _, err := conn.PrepareTransient(p.sql())
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Finalize() }()
	_, err = stmt.Step()
	return err
}

// setPragma remembers a session pragma, unless it is so on every session.
func (s *session) setPragma(ctx context.Context, p setting) error {
	h := s.held
	if h == nil {
		var err error
		if h, err = s.takeReader(ctx); err != nil {
			return err
		}
		defer h.release()
	}
	base, err := s.base.of(h.conn)
	if err != nil {
		return err
	}
	s.remember(p, base)
	if s.held != nil {
		return h.apply(p)
	}
	return nil
}

// remember notes what a session pragma is from now on, unless it is so on every session.
func (s *session) remember(p setting, base map[string]bool) {
	kept := s.pragmas[:0:0]
	for _, before := range s.pragmas {
		if before.name != p.name {
			kept = append(kept, before)
		}
	}
	if base[p.name] != p.on {
		kept = append(kept, p)
	}
	s.pragmas = kept
}

// insideTransaction runs a session pragma.
func (s *session) insideTransaction(ctx context.Context, text string, known knowledge, args *arguments, query bool) (done outcome, err error) {
	err = s.rememberPragma(known, func() (err error) {
		done, err = s.onHeld(ctx, text, known, args, query)
		return err
	})
	return done, err
}

// rememberPragma calls run, which sets a session pragma inside a transaction, and remembers what it is after that:
// there SQLite does not heed each of them.
func (s *session) rememberPragma(known knowledge, run func() error) error {
	if s.held == nil {
		return run()
	}
	h := s.held
	base, err := s.base.of(h.conn)
	if err == nil {
		err = run()
	}
	if err != nil || s.held != h {
		return err
	}
	p := setting{known.name, truth(known.value)}
	if p.name != "case_sensitive_like" { // it can't be asked, and is heeded
		if p.on, err = askPragma(h.conn, p.name); err != nil {
			return err
		}
	}
	h.noteUndo(p.name, base)
	s.remember(p, base)
	return nil
}
