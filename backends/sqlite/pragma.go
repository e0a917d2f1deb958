package sqlite

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"zombiezen.com/go/sqlite"
)

// pragmas returns what the fields of o stand for.
func (o Options) pragmas() []Pragma {
	number := func(name string, value int64) Pragma { return Pragma{name, strconv.FormatInt(value, 10)} }
	flag := func(name string, on bool) Pragma {
		if on {
			return Pragma{name, "1"}
		}
		return Pragma{name, "0"}
	}
	all := []Pragma{
		number("synchronous", int64(o.Synchronous.number())),
		flag("foreign_keys", !o.NoForeignKeys),
		flag("trusted_schema", o.TrustedSchema),
		flag("cell_size_check", !o.NoCellSizeCheck),
		number("journal_size_limit", max(o.JournalSizeLimit, -1)),
	}
	if o.CacheSize > 0 {
		all = append(all, number("cache_size", -o.CacheSize/1024)) // negative: KiB
	}
	if o.MmapSize > 0 {
		all = append(all, number("mmap_size", o.MmapSize))
	}
	return all
}

// ofNewFile says whether a pragma only has an effect before the first page is written.
func (p Pragma) ofNewFile() bool {
	switch strings.ToLower(p.Name) {
	case "page_size", "auto_vacuum", "encoding":
		return true
	}
	return false
}

// set sets the pragma.
func (p Pragma) set(ctx context.Context, s *state) error {
	if _, _, err := s.query(ctx, "PRAGMA "+p.Name+"="+quoted(p.Value)); err != nil {
		return fmt.Errorf("PRAGMA %s=%s: %w", p.Name, quoted(p.Value), err)
	}
	return nil
}

// verify reads the pragma back, where SQLite tells its value.
func (p Pragma) verify(ctx context.Context, s *state) error {
	_, known, err := s.query(ctx, "SELECT 1 FROM pragma_pragma_list WHERE name="+text(strings.ToLower(p.Name)))
	if err != nil {
		return fmt.Errorf("PRAGMA pragma_list: %w", err)
	}
	if !known {
		return fmt.Errorf("PRAGMA %s: SQLite %s does not know it", p.Name, sqlite.Version)
	}
	if writeOnly[strings.ToLower(p.Name)] {
		return nil
	}
	got, told, err := s.query(ctx, "PRAGMA "+p.Name)
	if err != nil {
		return fmt.Errorf("PRAGMA %s: %w", p.Name, err)
	}
	if !told || plain(p.Name, got) == plain(p.Name, p.Value) {
		return nil
	}
	if p.ofNewFile() {
		return fmt.Errorf("PRAGMA %s is %s, not %s: it can only be chosen when the file is created", p.Name, got, p.Value)
	}
	return fmt.Errorf("PRAGMA %s is %s, not %s: SQLite did not take the value", p.Name, got, p.Value)
}

// writeOnly are pragmas that do something when they are read.
var writeOnly = map[string]bool{"incremental_vacuum": true, "optimize": true, "shrink_memory": true, "wal_checkpoint": true}

// plain returns value as SQLite reports it for the pragma: words for numbers become those.
func plain(name, value string) string {
	value = strings.ToLower(value)
	if words := words[strings.ToLower(name)]; words != nil {
		for number, word := range words {
			if value == word {
				return strconv.Itoa(number)
			}
		}
	}
	if n, err := strconv.ParseInt(value, 0, 64); err == nil {
		return strconv.FormatInt(n, 10)
	}
	switch value {
	case "on", "yes", "true":
		return "1"
	case "off", "no", "false":
		return "0"
	}
	return value
}

var words = map[string][]string{
	"auto_vacuum":   {"none", "full", "incremental"},
	"secure_delete": {"off", "on", "fast"},
	"temp_store":    {"default", "file", "memory"},
}

// quoted returns value as it can stand after a pragma's equal sign.
func quoted(value string) string {
	if pragmaName.MatchString(value) {
		return value
	}
	if _, err := strconv.ParseFloat(value, 64); err == nil {
		return value
	}
	return text(value)
}

// text returns value as a literal of SQL.
func text(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }
