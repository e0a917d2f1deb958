package stdlib

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
)

// CheckNamedValue makes value one that can be bound: an int64, float64, bool, string, []byte, time.Time or nil.
// What a driver.Valuer returns, and named types of these kinds, are converted; a sql.Out, and all else, is an error.
func (s *session) CheckNamedValue(value *driver.NamedValue) (err error) {
	switch value.Value.(type) {
	case int64, float64, bool, string, []byte, time.Time, nil:
		return nil
	case sql.Out:
		return fmt.Errorf("headpond/sqlite/stdlib: argument %s is a sql.Out: SQLite has no output parameters", argument(value))
	}
	converted, err := driver.DefaultParameterConverter.ConvertValue(value.Value)
	if err != nil {
		return fmt.Errorf("headpond/sqlite/stdlib: argument %s of type %T: %w", argument(value), value.Value, err)
	}
	value.Value = converted
	return nil
}

func argument(value *driver.NamedValue) string {
	if value.Name != "" {
		return strconv.Quote(value.Name)
	}
	return strconv.Itoa(value.Ordinal)
}

// arguments are those of one call. The statements of a script use up the positional ones from left to right.
type arguments struct {
	all      []driver.NamedValue
	next     int // the next positional one
	named    int // how many have a name; the positional ones are at first
	byName   map[string]int
	usedName []bool
}

func newArguments(all []driver.NamedValue) arguments {
	a := arguments{all: all}
	for i := range all {
		if all[i].Name != "" {
			if a.byName == nil {
				a.byName, a.usedName = make(map[string]int), make([]bool, len(all))
			}
			a.byName[all[i].Name] = i
			a.named++
		}
	}
	return a
}

// bind binds to a statement what it takes.
func (a *arguments) bind(stmt *sqlite.Stmt, format TimeFormat) error {
	count := stmt.BindParamCount()
	base := a.next
	for param := 1; param <= count; param++ {
		at := -1
		name := stmt.BindParamName(param)
		if a.named > 0 && name != "" && name[0] != '?' {
			if i, found := a.byName[name[1:]]; found {
				at, a.usedName[i] = i, true
			}
		}
		if at < 0 {
			at = base + param - 1 // as it stands in the text, or its ?NNN
			for at < len(a.all) && a.all[at].Name != "" {
				at++
			}
			if at >= len(a.all) {
				if name != "" && a.named > 0 {
					return fmt.Errorf("headpond/sqlite/stdlib: no argument is named %q", strings.TrimLeft(name, ":@$"))
				}
				return fmt.Errorf("headpond/sqlite/stdlib: the statement takes %d arguments, and got %d", count, len(a.all)-base)
			}
			a.next = max(a.next, at+1)
		}
		if err := bindValue(stmt, param, a.all[at].Value, format); err != nil {
			return err
		}
	}
	return nil
}

// finish returns an error if an argument was not used by any statement.
func (a *arguments) finish() error {
	if positional := len(a.all) - a.named; a.next < positional {
		return fmt.Errorf("headpond/sqlite/stdlib: the statement takes %d arguments, and got %d", a.next, positional)
	}
	for i, used := range a.usedName {
		if !used && a.all[i].Name != "" {
			return fmt.Errorf("headpond/sqlite/stdlib: no parameter is named %q", a.all[i].Name)
		}
	}
	return nil
}

func bindValue(stmt *sqlite.Stmt, param int, value driver.Value, format TimeFormat) error {
	switch value := value.(type) {
	case nil:
		stmt.BindNull(param)
	case int64:
		stmt.BindInt64(param, value)
	case float64:
		stmt.BindFloat(param, value)
	case bool:
		stmt.BindBool(param, value)
	case string:
		stmt.BindText(param, value)
	case []byte:
		if value == nil {
			stmt.BindNull(param)
		} else {
			stmt.BindBytes(param, value)
		}
	case time.Time:
		return bindTime(stmt, param, value, format)
	default:
		return fmt.Errorf("headpond/sqlite/stdlib: argument %d is of type %T, which can't be bound", param, value)
	}
	return nil
}

// bindTime binds a time. One that would not be read as the same again is an error.
func bindTime(stmt *sqlite.Stmt, param int, value time.Time, format TimeFormat) error {
	switch format {
	case TimeUnix:
		stmt.BindInt64(param, value.Unix())
	case TimeUnixMilli:
		stmt.BindInt64(param, value.UnixMilli())
	case TimeUnixNano:
		nanos := value.UnixNano()
		if !time.Unix(0, nanos).Equal(value) {
			return fmt.Errorf("headpond/sqlite/stdlib: argument %d is %v: unix_nano has the years 1678 to 2262", param, value)
		}
		stmt.BindInt64(param, nanos)
	default:
		if _, offset := value.Zone(); offset%60 != 0 || max(offset, -offset) >= 24*60*60 { // as of a local time of long ago: the form can't have it
			value = value.UTC()
		}
		if year := value.Year(); year < 0 || year > 9999 {
			return fmt.Errorf("headpond/sqlite/stdlib: argument %d is %v: the text form has the years 0 to 9999", param, value)
		}
		stmt.BindText(param, value.Format(written))
	}
	return nil
}
