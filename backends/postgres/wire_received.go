package postgres

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// received is what comes from the server.
type received struct {
	from io.Reader

	kind   byte
	left   int // bytes of the message's body that are still to come
	header [5]byte
	have   int       // bytes of header
	body   [256]byte // of a message that comes in parts: its beginning
	length int       // of body

	status   byte     // of the transaction: 'I', 'T' or 'E'; 0 before the first ReadyForQuery
	tags     tags     // of the commands that were executed
	sets     int      // how many of them were SET
	changed  bool     // the server reported another value of a setting
	reported []string // which
	notified bool     // pgx has kept a notification
	warnings int      // notices that are warnings

	wantRow bool   // keep the first column of the next row
	row     string // it

	state string // SQLSTATE of the last error
	fatal string // that of the error with which the server ended the connection
	lost  error  // why nothing more can be read or written, a deadline apart
}

// tags are what the servers' answers say was executed.
type tags uint8

const (
	tagSession    tags = 1 << iota // LISTEN, PREPARE
	tagUnknown                     // DO, CALL, LOAD
	tagStatements                  // DISCARD ALL, DEALLOCATE ALL
	tagLoad                        // LOAD
)

// Read reads, and looks at what it has read.
func (r *received) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.look(p[:n])
	if err != nil {
		r.failed(err)
	}
	return n, err
}

// failed notes that the connection is of no use any more, unless a deadline has passed.
func (r *received) failed(err error) {
	if r.lost == nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		r.lost = err
	}
}

// lastWords reads what the server may have said before it hung up, if writing to it has failed:
// pgx would not, and the reason would be lost.
func (r *received) lastWords(to io.Writer) {
	conn, ok := to.(net.Conn)
	if !ok || r.fatal != "" || conn.SetReadDeadline(time.Now().Add(lastWordsTime)) != nil {
		return
	}
	var buf [1024]byte
	for r.fatal == "" {
		n, err := r.from.Read(buf[:])
		r.look(buf[:n])
		if err != nil {
			return
		}
	}
}

// lastWordsTime is what reading them may take. They have come by then: the server has hung up.
const lastWordsTime = 50 * time.Millisecond

func (r *received) look(p []byte) {
	for len(p) > 0 {
		if r.left == 0 {
			if r.have == 0 && len(p) >= 5 {
				r.begin(p[:5])
				p = p[5:]
			} else {
				n := copy(r.header[r.have:], p)
				r.have += n
				p = p[n:]
				if r.have < 5 {
					return
				}
				r.have = 0
				r.begin(r.header[:])
			}
			if r.left == 0 {
				continue
			}
		}
		n := min(r.left, len(p))
		switch {
		case !r.interesting():
		case n == r.left && r.length == 0: // mostly
			r.message(p[:n])
		default:
			r.length += copy(r.body[r.length:], p[:n])
			if n == r.left {
				r.message(r.body[:r.length])
				r.length = 0
			}
		}
		r.left -= n
		p = p[n:]
	}
}

func (r *received) begin(header []byte) {
	r.kind, r.left, r.length = header[0], max(0, int(binary.BigEndian.Uint32(header[1:]))-4), 0
	if r.kind == 'A' { // NotificationResponse
		r.notified = true
	}
}

func (r *received) interesting() bool {
	switch r.kind {
	case 'C', 'E', 'N', 'S', 'Z':
		return true
	case 'D':
		return r.wantRow
	}
	return false
}

// message takes in one message, of which the end may be missing.
func (r *received) message(body []byte) {
	switch r.kind {
	case 'C': // CommandComplete
		tag, _ := cString(&body)
		r.command(tag)
	case 'Z': // ReadyForQuery
		r.status = body[0]
	case 'S': // ParameterStatus
		if r.status == 0 {
			return // the connection begins
		}
		switch name, _ := cString(&body); string(name) {
		case "in_hot_standby": // a replica was promoted
		case "is_superuser": // by SET ROLE
			r.changed = true
		default:
			r.changed = true
			r.reported = append(r.reported, lower(name))
		}
	case 'D': // DataRow: the number of columns, and of each its length and text
		r.wantRow = false
		if len(body) >= 6 {
			r.row = string(body[6:min(len(body), 6+int(int32(binary.BigEndian.Uint32(body[2:]))))])
		}
	case 'E', 'N': // ErrorResponse, NoticeResponse
		r.complaint(body)
	}
}

func (r *received) command(tag []byte) {
	if len(tag) > len("DEALLOCATE ALL") {
		return
	}
	switch string(tag) {
	case "SET":
		r.sets++
	case "LISTEN", "PREPARE", "RESET":
		r.tags |= tagSession
	case "DO", "CALL":
		r.tags |= tagUnknown
	case "LOAD":
		r.tags |= tagLoad
	case "DISCARD ALL", "DEALLOCATE ALL":
		r.tags |= tagStatements
	}
}

// complaint takes in an error or a notice.
func (r *received) complaint(body []byte) {
	var severity, state string
	for len(body) > 1 {
		field := body[0]
		body = body[1:]
		value, ok := cString(&body)
		if !ok {
			break
		}
		switch field {
		case 'V': // the severity, in English
			severity = string(value)
		case 'C':
			state = string(value)
		}
		if severity != "" && state != "" {
			break
		}
	}
	switch {
	case r.kind == 'N':
		if severity == "WARNING" {
			r.warnings++
			if state == "57P02" { // what a server says before it ends connections after a crash
				r.fatal = state
			}
		}
		return
	case severity == "FATAL" || severity == "PANIC":
		r.fatal = state
	}
	r.state = state
}

func lower(name []byte) string {
	small := make([]byte, len(name))
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		small[i] = c
	}
	return string(small)
}
