package stdlib

import (
	"database/sql/driver"
	"errors"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/internal/raw"
)

// cursor is a statement on a connection, from its first step to its last.
type cursor struct {
	h         *hold
	text      string
	stmt      *sqlite.Stmt
	below     raw.Statement
	transient bool // it is finalized at its end; a cached one is reset
	writes    bool // to a database file
	large     bool // large arguments are bound to it

	shape *shape
	row   bool  // there is a row that was not read
	err   error // why it ended before its last row
}

// errTransactionOver is the error of rows that were open when their transaction ended.
var errTransactionOver = errors.New("headpond/sqlite/stdlib: the rows ended with their transaction")

// readAhead is how much is read before a reader goes back, or is kept: in rows, and in bytes.
const (
	readAheadRows  = 256
	readAheadBytes = 64 << 10
)

// untainted reports whether a statement leaves nothing on the connection though SQLite says so when it is prepared:
// a session pragma is taken back, and what VACUUM attaches it detaches.
func (k *knowledge) untainted() bool { return k.kind == sessionPragma || k.vacuum }

// prepare prepares the first statement of text on the connection. A text that comes for the first time is not cached:
// IN lists of every length would fill the cache. It returns what follows the statement; a nil cursor if there is none.
func (h *hold) prepare(text string, known knowledge) (c *cursor, rest string, err error) {
	if known.untainted() {
		return h.prepareUntainted(text, known)
	}
	return h.prepareAny(text, known)
}

// prepareUntainted is apart from prepare, whose variables would else be allocated for its function.
func (h *hold) prepareUntainted(text string, known knowledge) (c *cursor, rest string, err error) {
	err = h.below.Untainted(func() error {
		c, rest, err = h.prepareAny(text, known)
		return err
	})
	return c, rest, err
}

func (h *hold) prepareAny(text string, known knowledge) (c *cursor, rest string, err error) {
	c = &cursor{h: h, text: text}
	if known.seen > 1 && known.sql != "" && !known.script && !h.busy(text) {
		c.stmt, err = h.conn.Prepare(known.sql)
	} else {
		var trailing int
		c.transient = true
		c.stmt, trailing, err = h.conn.PrepareTransient(text)
		rest = text[len(text)-trailing:]
	}
	if err != nil {
		return nil, "", err
	}
	c.below = h.below.Handle().Statement(c.stmt)
	return c, rest, nil
}

// start binds args and makes the first step, behind which the columns are those of the rows.
// Of the last statement of a text it first makes sure that no argument is left over: what is an error has done nothing.
func (c *cursor) start(args *arguments, last bool) error {
	err := args.bind(c.stmt, c.h.s.options.TimeFormat)
	if err == nil && last {
		err = args.finish()
	}
	if err != nil {
		c.close()
		return err
	}
	for _, arg := range args.all {
		switch value := arg.Value.(type) {
		case string:
			c.large = c.large || len(value) > largeArgument
		case []byte:
			c.large = c.large || len(value) > largeArgument
		}
	}
	c.writes = !c.below.ReadOnly()
	if err := c.step(); err != nil {
		c.close()
		return err
	}
	return nil
}

// step steps to the next row. A write has written all in its first step: what is an error after it must undo that.
func (c *cursor) step() (err error) {
	if c.row && c.writes {
		c.row, err = c.h.below.Handle().StepOn(c.stmt)
	} else {
		c.row, err = c.stmt.Step()
	}
	return err
}

// startAs is start, for a statement of which that is known.
func (c *cursor) startAs(known knowledge, args *arguments, last bool) error {
	if !known.untainted() {
		return c.start(args, last)
	}
	return c.h.below.Untainted(func() error { return c.start(args, last) }) // which may prepare it anew
}

// largeArgument is how many bytes an argument may have to stay bound to a cached statement.
const largeArgument = 4 << 10

// describe looks at the columns, which are remembered for as long as the schema is the same, and is that of all sessions.
func (c *cursor) describe(known knowledge) {
	handle := c.h.below.Handle()
	cookie, shared := handle.SchemaCookie(), handle.SharesSchemas()
	if known.shape != nil && known.shape.cookie == cookie && shared && !known.script {
		c.shape = known.shape
		return
	}
	c.shape = shapeOf(c.below, cookie)
	if !known.script && !c.transient && shared {
		c.h.s.texts.learn(c.text, func(known *knowledge) { known.shape = c.shape })
	}
}

// read appends to values those of the present row, and steps to the next one.
func (c *cursor) read(values []driver.Value) ([]driver.Value, error) {
	for i := range c.shape.columns {
		values = append(values, c.shape.columns[i].value(c.stmt, i, c.h.s.options.TimeFormat))
	}
	return values, c.step()
}

// drain steps to the end.
func (c *cursor) drain() error {
	for c.row {
		if err := c.step(); err != nil {
			return err
		}
	}
	return nil
}

// close ends the statement. A second close does nothing.
func (c *cursor) close() {
	if c.stmt == nil {
		return
	}
	if c.transient {
		_ = c.stmt.Finalize() // repeats the error of its last step
	} else {
		_ = c.stmt.Reset()
		if c.large {
			_ = c.stmt.ClearBindings()
		}
	}
	c.stmt, c.row = nil, false
	delete(c.h.open, c)
}

// end ends it before its last row: what was not read is an error.
func (c *cursor) end(err error) {
	if c.row {
		c.err = err
	}
	c.close()
}

// keep notes that the statement stays open.
func (c *cursor) keep() {
	if c.h.open == nil {
		c.h.open = make(map[*cursor]bool)
	}
	c.h.open[c] = true
}

// fill reads up to a read-ahead of rows into values, or all of them. It reports whether there are more.
func (c *cursor) fill(values []driver.Value, all bool) ([]driver.Value, bool, error) {
	size := 0
	for count := 0; c.row && (all || count < readAheadRows && size < readAheadBytes); count++ {
		from := len(values)
		var err error
		if values, err = c.read(values); err != nil {
			return values, false, err
		}
		for _, value := range values[from:] {
			size += sizeOf(value)
		}
	}
	return values, c.row, nil
}
