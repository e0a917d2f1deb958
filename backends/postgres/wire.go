package postgres

import (
	"encoding/binary"
	"io"
	"slices"
)

// wire looks at the messages between a connection and its server, whatever part of pgx sends them,
// so that a release knows what the borrower did without asking the server.
// See https://www.postgresql.org/docs/current/protocol-message-formats.html.
type wire struct {
	sent     sent
	received received
}

// attach puts the wire between a connection's messages and its network connection.
func (w *wire) attach(r io.Reader, to io.Writer) (io.Reader, io.Writer) {
	w.sent.to, w.received.from = to, r
	w.sent.received = &w.received
	return &w.received, &w.sent
}

// clean reports whether nothing was seen of a session that could outlast its borrower.
func (w *wire) clean() bool {
	return w.sent.seen.effects&^commits == 0 && !w.received.changed && w.received.tags == 0 && w.received.sets <= w.sent.seen.locals
}

// forget begins anew, for the next borrower.
func (w *wire) forget() {
	s, r := &w.sent, &w.received
	s.used, s.seen = false, statements{settings: s.seen.settings[:0]}
	r.changed, r.notified, r.tags, r.sets, r.warnings, r.reported = false, false, 0, 0, 0, r.reported[:0]
}

// settings are the names of the settings that may have been changed, each once, the roles' among them, which come last.
func (w *wire) settings() []string {
	all := append(slices.Clone(w.sent.seen.settings), w.received.reported...)
	all = slices.DeleteFunc(all, func(name string) bool { return name == "role" || name == "session_authorization" })
	slices.Sort(all)
	return append(slices.Compact(all), "session_authorization", "role")
}

// unknown reports whether more may have been changed than what has a name.
func (w *wire) unknown() bool {
	return w.sent.seen.effects&unknown != 0 || w.received.tags&tagUnknown != 0 || w.received.sets > w.sent.seen.locals+len(w.sent.seen.settings)
}

// sent is what goes to the server.
type sent struct {
	to       io.Writer
	received *received

	started bool // the first message, which has no type, has gone
	skip    int  // bytes of a message that are still to come

	// prepared are the statements that are prepared under a name, by the protocol's means, as pgx does it:
	// nil for those that say nothing of the session.
	prepared   map[string]*statements
	suspicious int // of prepared, those that are not nil

	written uint64 // bytes

	used bool       // something was executed
	seen statements // all together

	// guarded: the borrower is in a transaction that is not his to end.
	guarded bool
}

// Write looks at p, and passes it on, unless it would end a transaction that is guarded.
func (s *sent) Write(p []byte) (int, error) {
	if len(p) > 0 && p[0] == 'X' { // Terminate: pgx may say it from a goroutine of its own
		return s.to.Write(p)
	}
	if err := s.look(p); err != nil {
		return 0, err
	}
	n, err := s.to.Write(p)
	s.written += uint64(n)
	if err != nil && !copying(p) {
		s.received.failed(err)
		s.received.lastWords(s.to)
	}
	return n, err
}

// copying reports whether p is part of a COPY, during which another goroutine reads.
func copying(p []byte) bool {
	return len(p) > 0 && (p[0] == 'd' || p[0] == 'c' || p[0] == 'f')
}

func (s *sent) look(p []byte) error {
	for {
		if s.skip > 0 {
			n := min(s.skip, len(p))
			s.skip -= n
			p = p[n:]
		}
		if len(p) == 0 {
			return nil
		}
		header := 5
		if !s.started {
			header = 4
		}
		if len(p) < header { // pgx writes whole messages
			s.started = true
			s.used = true
			s.seen.effects |= changesSession | unknown
			return nil
		}
		length := int(binary.BigEndian.Uint32(p[header-4:])) - 4
		if !s.started {
			s.started = true
			s.skip = header + length
			continue
		}
		kind := p[0]
		body := p[header:]
		whole := len(body) >= length
		if whole {
			body = body[:length]
		}
		if err := s.message(kind, body, whole); err != nil {
			return err
		}
		s.skip = header + length
	}
}

// message takes in one message. whole is false if only a part of its body is there.
func (s *sent) message(kind byte, body []byte, whole bool) error {
	switch kind {
	case 'Q': // Query
		query, ok := cString(&body)
		return s.execute(query, ok && whole)
	case 'P': // Parse
		name, _ := cString(&body)
		query, ok := cString(&body)
		if ok && whole && len(name) > 0 {
			s.prepare(name, query)
		}
		return s.execute(query, ok && whole)
	case 'B': // Bind
		s.used = true
		if s.guarded && s.received.status == 'I' {
			return errTransactionEnded
		}
		if s.suspicious == 0 {
			return nil
		}
		_, _ = cString(&body) // of the portal
		name, ok := cString(&body)
		if found := s.prepared[string(name)]; ok && found != nil {
			return s.add(*found)
		}
	case 'C': // Close
		if len(body) > 0 && body[0] == 'S' {
			body = body[1:]
			name, _ := cString(&body)
			s.drop(string(name))
		}
	case 'F': // FunctionCall
		return s.execute(nil, false)
	}
	return nil
}

// execute takes in a text that is executed, or soon will be. known is false if it can't be read.
func (s *sent) execute(query []byte, known bool) error {
	s.used = true
	if s.guarded && s.received.status == 'I' {
		return errTransactionEnded
	}
	if !known {
		s.seen.effects |= changesSession | unknown
		return nil
	}
	return s.add(read(query))
}

// add takes in what a text says.
func (s *sent) add(more statements) error {
	if s.guarded && more.effects&commits != 0 {
		return errCommitRefused
	}
	s.seen.effects |= more.effects
	s.seen.locals += more.locals
	s.seen.settings = append(s.seen.settings, more.settings...)
	if more.lasting != "" {
		s.seen.lasting = more.lasting
	}
	for _, name := range more.dropped {
		if _, ok := s.prepared[name]; ok {
			s.seen.effects |= dropsStatements
		}
	}
	return nil
}

func (s *sent) prepare(name, query []byte) {
	if s.prepared == nil {
		s.prepared = make(map[string]*statements)
	}
	s.drop(string(name))
	if text := read(query); text.effects != 0 || text.locals > 0 {
		s.prepared[string(name)] = &text
		s.suspicious++
		return
	}
	s.prepared[string(name)] = nil
}

func (s *sent) drop(name string) {
	if s.prepared[name] != nil {
		s.suspicious--
	}
	delete(s.prepared, name)
}

// cString takes a text that ends with NUL off the front of b.
func cString(b *[]byte) (text []byte, ok bool) {
	for i, c := range *b {
		if c == 0 {
			text, *b = (*b)[:i], (*b)[i+1:]
			return text, true
		}
	}
	return nil, false
}
