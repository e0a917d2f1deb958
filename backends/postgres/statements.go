package postgres

import "strings"

// effects are what a text of SQL may do to its session beyond its transaction.
type effects uint8

const (
	// changesSession: it may leave something behind that a reset can look for and undo.
	changesSession effects = 1 << iota
	// dropsStatements: DEALLOCATE ALL and DISCARD ALL take the statements that pgx has prepared.
	dropsStatements
	// lasts: it may leave something behind that nothing undoes, such as LOAD.
	lasts
	// commits: it ends the transaction for good, with COMMIT, END or PREPARE TRANSACTION.
	commits
	// prepares: PREPARE, of SQL.
	prepares
	// unknown: what it leaves behind has no name that the text tells.
	unknown
)

// statements is what a text of SQL says of the session it runs in. It is read by words, not parsed:
// it may say too much, which costs a reset that finds nothing.
type statements struct {
	effects  effects
	locals   int      // SET LOCAL and SET TRANSACTION: each is answered with SET, and lasts no longer than the transaction
	settings []string // names of settings that are set
	dropped  []string // names of statements that are deallocated
	lasting  string   // what lasts
}

// read reads a text.
func read(sql []byte) statements {
	r := reader{scanner: scanner{sql: sql}}
	for {
		switch kind := r.next(); kind {
		case endOfText:
			return r.out
		case semicolon:
			if !r.inBody {
				r.verb, r.position = "", 0
			}
		case word:
			r.word()
			r.previous, r.position = ofInterest(r.text()), r.position+1
		default:
			r.previous = ""
		}
	}
}

// reader is read in the middle of a text.
type reader struct {
	scanner
	out      statements
	verb     string // the first word of the statement, if it matters
	position int    // of the word in the statement, from 0
	previous string // the word before, if it matters
	inBody   bool   // in BEGIN ATOMIC ... END of a CREATE FUNCTION
}

// word takes in one word.
func (r *reader) word() {
	if r.position == 0 {
		r.first()
		return
	}
	switch r.verb {
	case "set":
		r.set()
	case "prepare":
		if r.position == 1 && string(r.text()) == "transaction" {
			r.out.effects |= commits
		}
	case "deallocate":
		switch {
		case string(r.text()) == "prepare" && r.position == 1:
		case string(r.text()) == "all":
			r.out.effects |= dropsStatements
		default:
			r.out.dropped = append(r.out.dropped, string(r.text()))
		}
		return
	case "discard":
		if string(r.text()) == "all" {
			r.out.effects |= dropsStatements
		}
	case "declare":
		if string(r.text()) == "hold" && r.previous == "with" {
			r.out.effects |= changesSession
		}
	case "create":
		switch {
		case r.temporary() && (r.position == 1 || r.previous == "replace"), strings.HasPrefix(string(r.text()), "pg_temp"):
			r.out.effects |= changesSession
		case string(r.text()) == "atomic" && r.previous == "begin":
			r.inBody = true
		}
	case "explain":
		if r.temporary() || string(r.text()) == "hold" {
			r.out.effects |= changesSession
		}
	}
	if r.verb != "insert" && r.temporary() && (r.previous == "into" || r.previous == "local" || r.previous == "global") {
		r.out.effects |= changesSession // SELECT INTO TEMP
	}
	r.function()
}

// first takes in the first word of a statement.
func (r *reader) first() {
	switch string(r.text()) {
	case "set":
		r.verb = "set"
	case "reset":
		r.out.effects |= changesSession
	case "listen":
		r.out.effects |= changesSession
	case "do", "call":
		r.out.effects |= changesSession | unknown
	case "load":
		r.last("LOAD")
	case "prepare":
		r.verb = "prepare"
		r.out.effects |= changesSession | prepares
	case "deallocate":
		r.verb = "deallocate"
	case "discard":
		r.verb = "discard"
	case "declare":
		r.verb = "declare"
	case "create":
		r.verb = "create"
	case "explain":
		r.verb = "explain"
	case "insert", "merge": // INTO a table that may be called temp
		r.verb = "insert"
	case "commit", "end":
		r.out.effects |= commits
	}
}

// set takes in a word of SET that is not the first.
func (r *reader) set() {
	switch {
	case r.position == 1:
		switch string(r.text()) {
		case "local", "transaction":
			r.out.locals++
			r.verb = "" // what follows is of no interest
			return
		case "constraints":
			r.verb = ""
			return
		case "session":
			return
		}
	case r.position == 2 && r.previous == "session":
	default:
		return
	}
	r.out.effects |= changesSession
	switch string(r.text()) {
	case "characteristics": // AS TRANSACTION: default_transaction_isolation and others
		r.out.effects |= unknown
	case "time":
		r.name("timezone")
	case "authorization":
		r.name("session_authorization")
	case "names":
		r.name("client_encoding")
	case "schema":
		r.name("search_path")
	case "xml":
		r.name("xmloption")
	default:
		r.name(string(r.text()))
	}
	r.verb = ""
}

// function takes in the name of a function, perhaps with its schema.
func (r *reader) function() {
	name := r.text()
	if len(name) < len("dblink_connect") && len(name) != len("set_config") { // most words
		return
	}
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			name = name[i+1:]
			break
		}
	}
	switch string(name) {
	case "set_config":
		r.setConfig()
	case "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared",
		"pg_create_physical_replication_slot", "pg_create_logical_replication_slot",
		"pg_copy_physical_replication_slot", "pg_copy_logical_replication_slot":
		r.out.effects |= changesSession
	case "dblink_connect", "dblink_connect_u", "pg_replication_origin_session_setup":
		r.last(string(name))
	}
}

// setConfig takes in a call of set_config(name, value, is_local). The scanner is behind its name, and stays there.
func (r *reader) setConfig() {
	look := r.scanner
	if look.next() != opening {
		return
	}
	var name []byte
	first := true
	local := false // the last argument is no more than the word true
	for depth := 1; depth > 0; {
		switch look.next() {
		case endOfText:
			depth = 0
		case opening:
			depth++
			local = false
		case closing:
			depth--
		case comma:
			local = false
			first = false
		case literal:
			if first {
				name = look.text()
			}
			local = false
		case word:
			local = depth == 1 && string(look.text()) == "true"
		default:
			local = false
		}
	}
	if local {
		return
	}
	r.out.effects |= changesSession
	if len(name) == 0 {
		r.out.effects |= unknown
		return
	}
	r.name(string(name))
}

// ofInterest returns the words that say something of the next one: the scanner uses the memory of text again.
func ofInterest(text []byte) string {
	switch string(text) {
	case "begin":
		return "begin"
	case "global":
		return "global"
	case "into":
		return "into"
	case "local":
		return "local"
	case "replace":
		return "replace"
	case "session":
		return "session"
	case "with":
		return "with"
	}
	return ""
}

func (r *reader) temporary() bool {
	return string(r.text()) == "temp" || string(r.text()) == "temporary"
}

func (r *reader) name(setting string) {
	r.out.settings = append(r.out.settings, strings.ToLower(setting))
}

func (r *reader) last(what string) {
	r.out.effects |= lasts
	r.out.lasting = what
}
