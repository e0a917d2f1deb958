package sqlite

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Synchronous is what a commit waits for; see https://www.sqlite.org/pragma.html#pragma_synchronous.
type Synchronous uint8

const (
	// SyncNormal, the default: in WAL mode a loss of power does not break the database, unless the disk has reported an error
	// while several processes had the file open (if it was one alone, its checkpoints wait until the log was written again),
	// but a loss of power may take the last commits.
	SyncNormal Synchronous = iota
	// SyncFull: a commit is on disk when it returns. One fsync a transaction.
	SyncFull
	// SyncExtra: as SyncFull; beyond WAL mode it syncs the directory, too.
	SyncExtra
	// SyncOff: a loss of power may break the database.
	SyncOff
)

// number is SQLite's for s.
func (s Synchronous) number() int { return [...]int{1, 2, 3, 0}[s] }

// Pragma is a setting of a connection; see https://www.sqlite.org/pragma.html.
type Pragma struct {
	Name  string // letters, digits and underscores
	Value string // a number, a word or any text; it is quoted if it has to be
}

var pragmaName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// validate returns what is wrong with a pragma, which the error calls by name.
func (p Pragma) validate(name string) error {
	if !pragmaName.MatchString(p.Name) {
		return fmt.Errorf("%s.Name is %q: it must be letters, digits and underscores", name, p.Name)
	}
	if instead, owned := ownedPragmas[strings.ToLower(p.Name)]; owned {
		return fmt.Errorf("%s.Name is %q: %s", name, p.Name, instead)
	}
	if strings.ContainsRune(p.Value, 0) {
		return fmt.Errorf("%s.Value is %q: it must not contain NUL", name, p.Value)
	}
	switch strings.ToLower(p.Name) {
	case "page_size":
		if n, err := strconv.ParseInt(p.Value, 0, 64); err != nil || n < 512 || n > 65536 || n&(n-1) != 0 {
			return fmt.Errorf("%s.Value is %q: page_size must be a power of two from 512 to 65536", name, p.Value)
		}
	case "encoding":
		if !encodings[encoding(p.Value)] {
			return fmt.Errorf("%s.Value is %q: encoding must be UTF-8, UTF-16, UTF-16le or UTF-16be", name, p.Value)
		}
	}
	return nil
}

// encodings are those that a database can have, as encoding spells them. utf16 is utf16le or utf16be, as the machine has it.
var encodings = map[string]bool{"utf8": true, "utf16": true, "utf16le": true, "utf16be": true}

// encoding returns the name of an encoding as encodings has it: SQLite takes UTF-8 and utf8 for the same.
func encoding(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "") }

// ofNewFile are the pragmas that only have an effect before the first page is written, in the order in which they have to be set:
// to set auto_vacuum writes that page.
var ofNewFile = []string{"page_size", "encoding", "auto_vacuum"}

// ofNewFile says whether a pragma only has an effect before the first page is written.
func (p Pragma) ofNewFile() bool { return slices.Contains(ofNewFile, strings.ToLower(p.Name)) }

// newFilePragmas returns those of all that only a new file takes, in the order in which it does.
func newFilePragmas(all []Pragma) (ordered []Pragma) {
	for _, name := range ofNewFile {
		for _, pragma := range all {
			if strings.EqualFold(pragma.Name, name) {
				ordered = append(ordered, pragma)
			}
		}
	}
	return ordered
}

// actions are pragmas that do something when they are read; those that are true write to the file, and are not for readers.
var actions = map[string]bool{"incremental_vacuum": true, "optimize": true, "shrink_memory": false, "wal_checkpoint": true}

// isAction reports whether a pragma does something, and has no value that could be read back.
func (p Pragma) isAction() bool {
	_, found := actions[strings.ToLower(p.Name)]
	return found
}

// writes reports whether a pragma writes to the file.
func (p Pragma) writes() bool { return actions[strings.ToLower(p.Name)] }

// isSet reports whether got, which SQLite tells of the pragma, is its value.
func (p Pragma) isSet(got string) bool {
	switch strings.ToLower(p.Name) {
	case "encoding":
		is, wanted := encoding(got), encoding(p.Value)
		return is == wanted || wanted == "utf16" && strings.HasPrefix(is, wanted)
	case "cache_spill": // it tells the larger one of the pages given and those of the cache; 0: off
		wanted := canonical(p.Name, p.Value)
		is, _ := strconv.ParseInt(got, 10, 64)
		number, _ := strconv.ParseInt(wanted, 10, 64) // 0 of a word
		return (is == 0) == (wanted == "0") && is >= number
	}
	return canonical(p.Name, got) == canonical(p.Name, p.Value)
}

// canonical returns value as SQLite reports it for the pragma: words for numbers become those.
func canonical(name, value string) string {
	value = strings.ToLower(value)
	if words := pragmaWords[strings.ToLower(name)]; words != nil {
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

var pragmaWords = map[string][]string{
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
	return literal(value)
}

// text returns value as a literal of SQL.
func literal(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }

// ownedPragmas are those that [Options.Pragmas] must not set, and what to do instead.
var ownedPragmas = map[string]string{
	"busy_timeout":       "set Options.BusyTimeout instead: the pragma would make a wait deaf to ctx",
	"cache_size":         "set Options.CacheSize instead",
	"cell_size_check":    "set Options.NoCellSizeCheck instead",
	"foreign_keys":       "set Options.NoForeignKeys instead",
	"journal_mode":       "it is WAL, which readers beside a writer need",
	"journal_size_limit": "set Options.JournalSizeLimit instead",
	"locking_mode":       "it is NORMAL, which more than one connection needs",
	"mmap_size":          "set Options.MmapSize instead",
	"query_only":         "readers are read-only, and the writer must not be",
	"synchronous":        "set Options.Synchronous instead",
	"trusted_schema":     "set Options.TrustedSchema instead",
	"user_version":       "it belongs to the database, not to a connection",
	"application_id":     "it belongs to the database, not to a connection",
	"wal_autocheckpoint": "the log is seen to; set Options.JournalSizeLimit instead",
	"writable_schema":    "it would stay on for every borrower",
	"defer_foreign_keys": "it ends with every transaction: set it inside Write",
	"schema_version":     "it is SQLite's own, and to set it can break the file",
	"data_version":       "SQLite only tells it",
}
