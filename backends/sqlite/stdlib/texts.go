package stdlib

import (
	"container/list"
	"strings"
	"sync"
	"weak"

	"github.com/headpond/headpond/backends/sqlite"
)

// kind is what a statement is, which says where it runs.
type kind uint8

const (
	unknown       kind = iota // by its keyword a read; SQLite says whether it is one
	read                      // a reader
	write                     // the writer, in a batch
	direct                    // the writer, by itself
	begin                     // the session's
	commit                    // the session's
	rollback                  // the session's
	savepoint                 // SAVEPOINT, RELEASE, ROLLBACK TO: the session's, in its transaction
	sessionPragma             // a pragma that is remembered by the session
	empty                     // no statement
)

// knowledge is what is known of a text.
type knowledge struct {
	kind     kind
	script   bool   // several statements
	sql      string // the first statement, without what follows it; empty: not prepared yet
	seen     int    // how often it was asked for; 2: at least twice
	alone    bool   // it must not share a transaction,
	aloneFor uint64 // with this schema. See exactlyOnce
	vacuum   bool   // it is VACUUM
	shape    *shape // of the rows of the first statement; nil: not looked at yet
	name     string // of a session pragma
	value    string // of a session pragma; empty: it is asked
}

// maxTexts is how many texts are remembered: more are used by few programs, and IN lists of every length would be without end.
const maxTexts = 1000

// texts remembers what is known of the texts that came last. Its methods may be called from any goroutine.
type texts struct {
	mu   sync.Mutex // protects the following
	all  map[string]*list.Element
	used *list.List              // of *entry, the one used last first
	db   weak.Pointer[sqlite.DB] // of whose schema something is known
}

type entry struct {
	text string
	knowledge
}

func newTexts() *texts { return &texts{all: make(map[string]*list.Element), used: list.New()} }

// look returns what is known of text, which counts as a use of it.
func (t *texts) look(text string) knowledge {
	t.mu.Lock()
	defer t.mu.Unlock()
	if element, found := t.all[text]; found {
		t.used.MoveToFront(element)
		known := &element.Value.(*entry).knowledge
		known.seen = min(known.seen+1, 2)
		return *known
	}
	known := classify(text)
	known.seen = 1
	if len(text) > maxText {
		return known
	}
	t.all[text] = t.used.PushFront(&entry{text, known})
	if t.used.Len() > maxTexts {
		last := t.used.Back()
		t.used.Remove(last)
		delete(t.all, last.Value.(*entry).text)
	}
	return known
}

// maxText is how long a text may be to be remembered, in bytes.
const maxText = 64 << 10

// of says which database the texts are run on from now on. What is known of the schema of another one is forgotten.
func (t *texts) of(db *sqlite.DB) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pointer := weak.Make(db)
	if t.db == pointer {
		return
	}
	t.db = pointer
	for element := t.used.Front(); element != nil; element = element.Next() {
		known := &element.Value.(*entry).knowledge
		known.shape, known.aloneFor = nil, 0
	}
}

// learn changes what is known of text.
func (t *texts) learn(text string, change func(known *knowledge)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if element, found := t.all[text]; found {
		change(&element.Value.(*entry).knowledge)
	}
}

// classify says what can be told of text without SQLite.
func classify(text string) knowledge {
	s := scanner{text: text}
	word := s.word()
	switch strings.ToUpper(word) {
	case "":
		if s.skip(); s.at == len(text) {
			return knowledge{kind: empty}
		}
		return knowledge{kind: unknown}
	case "SELECT", "VALUES", "EXPLAIN", "WITH":
		return knowledge{kind: unknown}
	case "INSERT", "UPDATE", "DELETE", "REPLACE":
		return knowledge{kind: write}
	case "BEGIN":
		return simple(&s, begin)
	case "COMMIT", "END":
		return simple(&s, commit)
	case "ROLLBACK":
		known := knowledge{kind: rollback}
		for word := s.word(); word != ""; word = s.word() {
			if strings.EqualFold(word, "TO") {
				known.kind = savepoint
			}
		}
		known.script = s.following()
		return known
	case "SAVEPOINT", "RELEASE":
		return simple(&s, savepoint)
	case "PRAGMA":
		return classifyPragma(&s)
	}
	return knowledge{kind: direct, vacuum: strings.EqualFold(word, "VACUUM")}
}

// simple is a statement of a few words.
func simple(s *scanner, kind kind) knowledge {
	for s.token() != "" {
	}
	return knowledge{kind: kind, script: s.following()}
}

// scanner reads the beginning of a text, a token at a time.
type scanner struct {
	text string
	at   int
}

// skip passes over blanks and comments. Before the first token it passes over semicolons as well.
func (s *scanner) skip() {
	for s.at < len(s.text) {
		rest := s.text[s.at:]
		switch c := rest[0]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			s.at++
		case strings.HasPrefix(rest, "\ufeff"):
			s.at += len("\ufeff")
		case strings.HasPrefix(rest, "--"):
			if end := strings.IndexByte(rest, '\n'); end >= 0 {
				s.at += end + 1
			} else {
				s.at = len(s.text)
			}
		case strings.HasPrefix(rest, "/*"):
			if end := strings.Index(rest[2:], "*/"); end >= 0 {
				s.at += 2 + end + 2
			} else {
				s.at = len(s.text)
			}
		default:
			return
		}
	}
}

// word returns the word that comes next, quoted names without their quotes; empty if something else does.
func (s *scanner) word() string {
	for s.skip(); s.at < len(s.text) && s.text[s.at] == ';' && strings.Trim(s.text[:s.at], " \t\n\r\f;") == ""; s.skip() {
		s.at++
	}
	if s.at == len(s.text) || !wordByte(s.text[s.at]) {
		return s.quoted()
	}
	from := s.at
	for s.at < len(s.text) && wordByte(s.text[s.at]) {
		s.at++
	}
	return s.text[from:s.at]
}

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// quoted returns the quoted name or text that comes next; empty if there is none.
func (s *scanner) quoted() string {
	if s.at == len(s.text) {
		return ""
	}
	closing := s.text[s.at]
	switch closing {
	case '[':
		closing = ']'
	case '"', '\'', '`':
	default:
		return ""
	}
	for end := s.at + 1; end < len(s.text); end++ {
		if s.text[end] != closing {
			continue
		}
		if closing != ']' && end+1 < len(s.text) && s.text[end+1] == closing {
			end++
			continue
		}
		text := s.text[s.at+1 : end]
		s.at = end + 1
		return strings.ReplaceAll(text, string([]byte{closing, closing}), string(closing))
	}
	return ""
}

// token returns the word, or the sign, that comes next; empty at the end of the statement.
func (s *scanner) token() string {
	s.skip()
	if s.at == len(s.text) || s.text[s.at] == ';' {
		return ""
	}
	if word := s.word(); word != "" {
		return word
	}
	s.at++
	return s.text[s.at-1 : s.at]
}

// following reports whether the text goes on with another statement. The scanner stands at the end of one.
func (s *scanner) following() bool { return !blank(s.text[s.at:]) }

// blank reports whether text contains no statement: only blanks, comments and semicolons.
func blank(text string) bool {
	s := scanner{text: text}
	for s.skip(); s.at < len(text) && text[s.at] == ';'; s.skip() {
		s.at++
	}
	return s.at == len(text)
}
