package postgres

import "bytes"

// token is a kind of thing in a text of SQL.
type token uint8

const (
	endOfText token = iota
	word            // a key word or a name, with the names that dots tie to it, in lower case; or a quoted name as it is
	literal         // a string
	semicolon
	comma
	opening // a parenthesis
	closing
	other
)

// scanner reads a text of SQL by its tokens, and skips comments. It takes strings as with standard_conforming_strings = on.
type scanner struct {
	sql []byte
	at  int

	begin, end int // of the last word or literal in sql, without quotes
	folded     int // length of buf, if the last word is there in lower case
	buf        [64]byte
}

// text returns the last word or literal. It is valid until the next call of next.
func (s *scanner) text() []byte {
	if s.folded > 0 {
		return s.buf[:s.folded]
	}
	return s.sql[s.begin:s.end]
}

// next returns the kind of the next token.
func (s *scanner) next() token {
	s.folded = 0
	for s.at < len(s.sql) {
		c := s.sql[s.at]
		switch class[c] {
		case space:
			s.at++
		case letter:
			return s.word()
		case digit: // of a number, with its exponent, or of a parameter
			for s.at < len(s.sql) && (class[s.sql[s.at]] == letter || class[s.sql[s.at]] == digit || s.sql[s.at] == '.') {
				s.at++
			}
			return other
		case quote:
			s.quoted('\'', false)
			return literal
		case doubleQuote:
			s.quoted('"', false)
			return word
		case dollar:
			return s.dollar()
		case dash:
			if s.follows('-') {
				s.skipLine()
				continue
			}
			s.at++
			return other
		case slash:
			if s.follows('*') {
				s.skipComment()
				continue
			}
			s.at++
			return other
		default:
			s.at++
			switch c {
			case ';':
				return semicolon
			case ',':
				return comma
			case '(':
				return opening
			case ')':
				return closing
			}
			return other
		}
	}
	return endOfText
}

// word reads a word, or the string that begins with a letter, such as E'...'.
func (s *scanner) word() token {
	begin := s.at
	for s.at < len(s.sql) {
		c := class[s.sql[s.at]]
		if c != letter && c != digit && s.sql[s.at] != '.' && s.sql[s.at] != '$' {
			break
		}
		s.at++
	}
	if s.at < len(s.sql) && s.sql[s.at] == '\'' && s.at == begin+1 {
		escapes := s.sql[begin]|0x20 == 'e'
		s.quoted('\'', escapes)
		return literal
	}
	s.begin, s.end = begin, s.at
	if s.at-begin > len(s.buf) { // longer than any name, which has 63 bytes
		return word
	}
	for i, c := range s.sql[begin:s.at] {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		s.buf[i] = c
	}
	s.folded = s.at - begin
	return word
}

// quoted reads what is between quotes. A quote that is doubled stays doubled in its text.
func (s *scanner) quoted(quote byte, escapes bool) {
	s.at++
	begin := s.at
	for s.at < len(s.sql) {
		switch c := s.sql[s.at]; {
		case c == '\\' && escapes:
			s.at++
		case c == quote && s.at+1 < len(s.sql) && s.sql[s.at+1] == quote:
			s.at++
		case c == quote:
			s.begin, s.end = begin, s.at
			s.at++
			return
		}
		s.at++
	}
	s.at = len(s.sql)
	s.begin, s.end = min(begin, s.at), s.at
}

// dollar reads $tag$...$tag$, or the $ of a parameter.
func (s *scanner) dollar() token {
	end := s.at + 1
	for end < len(s.sql) && (class[s.sql[end]] == letter || class[s.sql[end]] == digit && end > s.at+1) {
		end++
	}
	if end == len(s.sql) || s.sql[end] != '$' {
		s.at++
		return other
	}
	tag := s.sql[s.at : end+1]
	s.begin, s.end = end+1, len(s.sql)
	if length := bytes.Index(s.sql[s.begin:], tag); length >= 0 {
		s.end = s.begin + length
	}
	s.at = min(len(s.sql), s.end+len(tag))
	return literal
}

func (s *scanner) follows(c byte) bool { return s.at+1 < len(s.sql) && s.sql[s.at+1] == c }

func (s *scanner) skipLine() {
	if length := bytes.IndexAny(s.sql[s.at:], "\r\n"); length >= 0 {
		s.at += length
		return
	}
	s.at = len(s.sql)
}

// skipComment skips a comment, and those that it contains.
func (s *scanner) skipComment() {
	s.at += 2
	for depth := 1; depth > 0 && s.at < len(s.sql); {
		switch {
		case s.sql[s.at] == '/' && s.follows('*'):
			depth++
			s.at += 2
		case s.sql[s.at] == '*' && s.follows('/'):
			depth--
			s.at += 2
		default:
			s.at++
		}
	}
}

// What a byte begins.
const (
	sign = iota
	space
	letter
	digit
	quote
	doubleQuote
	dollar
	dash
	slash
)

var class = func() (class [256]uint8) {
	for c := range class {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_', c >= 0x80:
			class[c] = letter
		case '0' <= c && c <= '9':
			class[c] = digit
		case c == ' ', c == '\t', c == '\n', c == '\r', c == '\f', c == '\v':
			class[c] = space
		}
	}
	class['\''], class['"'], class['$'], class['-'], class['/'] = quote, doubleQuote, dollar, dash, slash
	return class
}()
