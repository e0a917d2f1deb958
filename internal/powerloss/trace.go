package powerloss

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// Op is what an event does.
type Op uint8

const (
	Opened    Op = iota // FD is Path from now on
	Closed              // FD is free
	Wrote               // Data at Offset of FD
	Truncated           // FD, to Size
	SyncBegan           // FD; its end has the same Call
	SyncEnded           // FD
	Linked              // Path is also To
	Renamed             // Path is To
	Unlinked            // Path is gone
	Said                // Data was appended to FD, or is about to be
	Exited              // the process has ended: its descriptors are free
)

// Event is one step of a traced process, in the order in which they took effect. A call that failed and does nothing is none.
// A write takes effect when it ends, a sync covers what had ended when it began, and what is said counts from when it begins.
type Event struct {
	Op       Op
	FD       int
	Path, To string
	Create   bool // of Opened: the file is made if it is not there
	Empty    bool // of Opened: O_TRUNC
	Offset   int64
	Size     int64
	Data     []byte
	Failed   bool // of SyncEnded
	Call     int  // of syncs, and of Maybe: the number of the call
	Line     int  // of the trace

	// Maybe is set if the process was killed during the call: whether it took effect, only the files say.
	Maybe bool
}

// ParseTrace reads what strace wrote with the options of [Record].
// It fails on a call that it does not know how to replay.
func ParseTrace(trace io.Reader) ([]Event, error) {
	p := parser{unfinished: map[string]pending{}}
	lines := bufio.NewReaderSize(trace, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			p.line++
			if err := p.parse(bytes.TrimRight(line, "\n")); err != nil {
				return nil, fmt.Errorf("trace, line %d: %w: %.200s", p.line, err, line)
			}
		}
		if err == io.EOF {
			p.end()
			return p.events, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

type pending struct {
	text []byte // of the line so far
	call int
	line int
}

type parser struct {
	events     []Event
	line       int
	calls      int
	unfinished map[string]pending // by thread
}

func (p *parser) parse(line []byte) error {
	thread, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return fmt.Errorf("no thread")
	}
	id := string(thread)
	rest = bytes.TrimLeft(rest, " ")
	rest = bytes.Replace(rest, []byte(" <unfinished ...>) "), []byte(") "), 1) // it was killed in the call
	switch {
	case bytes.HasPrefix(rest, []byte("---")), bytes.HasPrefix(rest, []byte("+++")):
		return nil
	case bytes.HasPrefix(rest, []byte("<... ")):
		was, ok := p.unfinished[id]
		if !ok {
			return fmt.Errorf("resumed, and was not begun")
		}
		delete(p.unfinished, id)
		_, tail, ok := bytes.Cut(rest, []byte(" resumed>"))
		if !ok {
			return fmt.Errorf("resumed in a form that is not known")
		}
		return p.leave(was.call, append(bytes.Clone(was.text), tail...))
	}
	p.calls++
	call := p.calls
	if text, ok := bytes.CutSuffix(rest, []byte(" <unfinished ...>")); ok {
		p.unfinished[id] = pending{text: bytes.Clone(text), call: call, line: p.line}
		return p.enter(call, text)
	}
	if err := p.enter(call, rest); err != nil {
		return err
	}
	return p.leave(call, rest)
}

// enter is for the calls that count from when they begin.
func (p *parser) enter(call int, text []byte) error {
	c, err := parseCall(text)
	if err != nil {
		return err
	}
	switch c.name {
	case "close":
		p.add(call, Event{Op: Closed, FD: c.fd(0)})
	case "fsync", "fdatasync":
		p.add(call, Event{Op: SyncBegan, FD: c.fd(0)})
	case "write":
		data, err := c.data(1)
		if err != nil {
			return err
		}
		p.add(call, Event{Op: Said, FD: c.fd(0), Data: data})
	}
	return c.err
}

// leave is for those that count when they end.
func (p *parser) leave(call int, text []byte) error {
	c, err := parseCall(text)
	if err != nil {
		return err
	}
	if c.killed || c.name == "pwrite64" && c.result == 0 { // in the call; strace may show a 0 then
		p.maybe(call, c)
		return c.err
	}
	if c.name == "fsync" || c.name == "fdatasync" {
		p.add(call, Event{Op: SyncEnded, FD: c.fd(0), Failed: c.result < 0})
		return c.err
	}
	if c.result < 0 {
		return nil
	}
	if event, ok := c.event(); ok {
		p.add(call, event)
	}
	return c.err
}

// maybe is for a call during which the process was killed.
func (p *parser) maybe(call int, c call) {
	switch c.name {
	case "open", "openat", "close", "write", "fsync", "fdatasync": // of no effect on files that lasts, or counted already
		return
	case "pwrite64":
		if len(c.args) < 4 {
			return // strace had not read it yet: it had not begun
		}
		c.result, _ = strconv.ParseInt(c.args[2], 10, 64)
	}
	if event, ok := c.event(); ok && c.err == nil {
		event.Maybe = true
		p.add(call, event)
	}
}

func (p *parser) add(call int, event Event) {
	event.Call, event.Line = call, p.line
	p.events = append(p.events, event)
}

// end is the end of the trace, and so of the process. Calls that never came back are those that it was killed in.
func (p *parser) end() {
	for _, was := range p.unfinished {
		if c, err := parseCall(was.text); err == nil {
			p.maybe(was.call, c)
		}
	}
	p.add(0, Event{Op: Exited})
}
