package stdlib

import (
	"database/sql"
	"database/sql/driver"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/internal/raw"
	zombiezen "zombiezen.com/go/sqlite"
)

// column is what is known of a column of a result.
type column struct {
	declared string // the declared type, in capitals and without what is in brackets; empty: none
	length   int64  // what is in brackets; 0: nothing
	meaning  meaning
}

// meaning is what values of a declared type are to a Go program.
type meaning uint8

const (
	plain meaning = iota // as they are stored
	isTime
	isBool
)

// shape is what is known of the columns of a result. It does not change.
type shape struct {
	columns []column
	names   []string
	cookie  uint64 // of the schema
}

// noColumns is the shape of a result without columns.
var noColumns = &shape{names: []string{}}

// shapeOf describes the columns of a statement that was stepped.
func shapeOf(stmt raw.Statement, cookie uint64) *shape {
	count := stmt.Columns()
	if count == 0 {
		return noColumns
	}
	s := &shape{make([]column, count), make([]string, count), cookie}
	for i := range s.columns {
		c := &s.columns[i]
		s.names[i] = stmt.ColumnName(i)
		declared, brackets, _ := strings.Cut(stmt.DeclaredType(i), "(")
		c.declared = strings.ToUpper(strings.TrimSpace(declared))
		if number, _, found := strings.Cut(brackets, ")"); found {
			number, _, _ = strings.Cut(number, ",")
			c.length, _ = strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		}
		switch c.declared {
		case "DATE", "DATETIME", "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP WITHOUT TIME ZONE":
			c.meaning = isTime
		case "BOOLEAN", "BOOL":
			c.meaning = isBool
		}
	}
	return s
}

// value returns the value of the i-th column of the present row.
func (c *column) value(stmt *sqlite.Stmt, i int, format TimeFormat) driver.Value {
	switch stmt.ColumnType(i) {
	case zombiezen.TypeInteger:
		value := stmt.ColumnInt64(i)
		switch c.meaning {
		case isTime:
			return unixTime(value, format)
		case isBool:
			return value != 0
		}
		return value
	case zombiezen.TypeFloat:
		return stmt.ColumnFloat(i)
	case zombiezen.TypeText:
		text := stmt.ColumnText(i)
		switch {
		case c.meaning == isTime:
			if t, ok := parseTime(text); ok {
				return t
			}
		case c.declared == "":
			if t, ok := parseWritten(text); ok {
				return t
			}
		}
		return text
	case zombiezen.TypeBlob:
		value := make([]byte, stmt.ColumnLen(i)) // not nil, which would be NULL
		stmt.ColumnBytes(i, value)
		return value
	}
	return nil
}

// sizeOf is about what a value takes in memory, in bytes.
func sizeOf(value driver.Value) int {
	switch value := value.(type) {
	case string:
		return 16 + len(value)
	case []byte:
		return 24 + len(value)
	}
	return 16
}

// scanType is the Go type in which a value of the column is best kept: one that can be NULL.
func (c *column) scanType() reflect.Type {
	switch {
	case c.meaning == isTime:
		return reflect.TypeFor[sql.NullTime]()
	case c.meaning == isBool:
		return reflect.TypeFor[sql.NullBool]()
	case c.declared == "":
		return reflect.TypeFor[any]()
	case strings.Contains(c.declared, "INT"):
		return reflect.TypeFor[sql.NullInt64]()
	case strings.Contains(c.declared, "CHAR"), strings.Contains(c.declared, "CLOB"), strings.Contains(c.declared, "TEXT"):
		return reflect.TypeFor[sql.NullString]()
	case strings.Contains(c.declared, "BLOB"):
		return reflect.TypeFor[sql.RawBytes]()
	case strings.Contains(c.declared, "REAL"), strings.Contains(c.declared, "FLOA"), strings.Contains(c.declared, "DOUB"):
		return reflect.TypeFor[sql.NullFloat64]()
	}
	return reflect.TypeFor[any]()
}

// size is the length of the column, if its type has one.
func (c *column) size() (int64, bool) {
	switch {
	case strings.Contains(c.declared, "CHAR"), strings.Contains(c.declared, "CLOB"), strings.Contains(c.declared, "TEXT"), strings.Contains(c.declared, "BLOB"):
		if c.length > 0 {
			return c.length, true
		}
		return math.MaxInt64, true
	}
	return 0, false
}
