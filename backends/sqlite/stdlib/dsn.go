package stdlib

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headpond/headpond/backends/sqlite"
	"github.com/headpond/headpond/backends/sqlite/internal/door"
)

// source is what a data source name says.
type source struct {
	path     string // empty: in memory
	database sqlite.Options
	options  Options
	values   map[string]string // as they were given, by key: those of pragma in order
}

// keys are those of a data source name: what each sets. doc.go has them for readers.
var keys = map[string]func(s *source, value string) error{
	"name":                func(s *source, v string) error { s.database.Name = v; return nil },
	"mode":                setMode,
	"readers":             number(func(s *source) *int { return &s.database.Readers }),
	"max_readers":         number(func(s *source) *int { return &s.database.MaxReaders }),
	"max_waiters":         number(func(s *source) *int { return &s.database.MaxWaiters }),
	"max_statements":      number(func(s *source) *int { return &s.database.MaxStatements }),
	"max_batch":           number(func(s *source) *int { return &s.database.MaxBatch }),
	"max_batch_time":      positive(func(s *source) *time.Duration { return &s.database.MaxBatchTime }),
	"acquire_timeout":     duration(func(s *source) *time.Duration { return &s.database.AcquireTimeout }, -1),
	"busy_timeout":        duration(func(s *source) *time.Duration { return &s.database.BusyTimeout }, -1),
	"leak_after":          duration(func(s *source) *time.Duration { return &s.database.LeakAfter }, 0),
	"idle_in_tx":          duration(func(s *source) *time.Duration { return &s.options.IdleInTx }, -1),
	"cache_size":          bytes(func(s *source) *int64 { return &s.database.CacheSize }),
	"mmap_size":           bytes(func(s *source) *int64 { return &s.database.MmapSize }),
	"journal_size_limit":  bytes(func(s *source) *int64 { return &s.database.JournalSizeLimit }),
	"synchronous":         setSynchronous,
	"foreign_keys":        off(func(s *source) *bool { return &s.database.NoForeignKeys }),
	"defensive":           off(func(s *source) *bool { return &s.database.NoDefensive }),
	"cell_size_check":     off(func(s *source) *bool { return &s.database.NoCellSizeCheck }),
	"batch":               off(func(s *source) *bool { return &s.options.NoBatch }),
	"foreign_checkpoints": on(func(s *source) *bool { return &s.database.ForeignCheckpoints }),
	"trusted_schema":      on(func(s *source) *bool { return &s.database.TrustedSchema }),
	"temp_in_memory":      on(func(s *source) *bool { return &s.database.TempInMemory }),
	"file_mode":           setFileMode,
	"time_format":         setTimeFormat,
	"pragma":              addPragma,
}

// parse reads a data source name: a path, and behind a question mark keys and values as in the query of a URL.
// A path that begins with file: is decoded as that of a URL. The error names the key.
func parse(name string) (*source, error) {
	path, query, _ := strings.Cut(name, "?")
	if rest, isURL := strings.CutPrefix(path, "file:"); isURL {
		decoded, err := url.PathUnescape(rest)
		if err != nil {
			return nil, fmt.Errorf("headpond/sqlite/stdlib: the path of %q: %w", name, err)
		}
		path = decoded
		if strings.HasPrefix(path, "//") {
			host, local, _ := strings.Cut(path[2:], "/")
			if host != "" && host != "localhost" {
				return nil, fmt.Errorf("headpond/sqlite/stdlib: the host of %q is %q: it must be empty or localhost", name, host)
			}
			path = "/" + local
		}
	}
	s := &source{path: path, values: make(map[string]string)}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("headpond/sqlite/stdlib: the keys of %q: %w", name, err)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		set, found := keys[key]
		if !found {
			return nil, fmt.Errorf("headpond/sqlite/stdlib: the key %q is unknown%s", key, instead(key))
		}
		if len(values[key]) > 1 && key != "pragma" {
			return nil, fmt.Errorf("headpond/sqlite/stdlib: the key %q is given %d times", key, len(values[key]))
		}
		for _, value := range values[key] {
			if err := set(s, value); err != nil {
				return nil, fmt.Errorf("headpond/sqlite/stdlib: the key %q is %q: %w", key, value, err)
			}
		}
		s.values[key] = strings.Join(values[key], ";")
	}
	if s.path == ":memory:" {
		s.path = ""
	} else if s.path == "" {
		return nil, fmt.Errorf("headpond/sqlite/stdlib: the data source name %q has no path: give :memory: or a file", name)
	}
	if err := door.Validate(s.database); err != nil {
		return nil, fmt.Errorf("headpond/sqlite/stdlib: the keys of %q: %w", name, err)
	}
	return s, nil
}

// others are the keys of other drivers, and what stands for them here.
var others = map[string]string{
	"_busy_timeout": "busy_timeout", "_timeout": "busy_timeout", "_foreign_keys": "foreign_keys", "_fk": "foreign_keys",
	"_synchronous": "synchronous", "_sync": "synchronous", "_cache_size": "cache_size", "_pragma": "pragma", "_time_format": "time_format",
}

// instead says what to write in the place of a key of another driver.
func instead(key string) string {
	switch {
	case others[key] != "":
		return fmt.Sprintf(": use %q", others[key])
	case key == "_journal_mode" || key == "_journal":
		return ": leave it out, the journal mode is WAL"
	case key == "_txlock":
		return ": leave it out, a transaction that may write is IMMEDIATE"
	case key == "cache" || key == "_loc" || key == "vfs" || key == "immutable":
		return ": leave it out, it is not offered"
	}
	return ": " + strings.Join(slices.Sorted(maps.Keys(keys)), ", ") + " are known"
}

func number(field func(s *source) *int) func(s *source, value string) error {
	return func(s *source, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			return fmt.Errorf("it must be a positive whole number")
		}
		*field(s) = n
		return nil
	}
}

// duration is for a field that is set to off if the key is off.
func duration(field func(s *source) *time.Duration, off time.Duration) func(s *source, value string) error {
	set := positive(field)
	return func(s *source, value string) error {
		if value == "off" {
			*field(s) = off
			return nil
		}
		if err := set(s, value); err != nil {
			return fmt.Errorf("%w, or off", err)
		}
		return nil
	}
}

func positive(field func(s *source) *time.Duration) func(s *source, value string) error {
	return func(s *source, value string) error {
		if millis, err := strconv.ParseInt(value, 10, 64); err == nil && millis > 0 && millis <= int64(math.MaxInt64/time.Millisecond) {
			*field(s) = time.Duration(millis) * time.Millisecond
			return nil
		}
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return errors.New("it must be a duration such as 5s, or a positive number of milliseconds")
		}
		*field(s) = d
		return nil
	}
}

func bytes(field func(s *source) *int64) func(s *source, value string) error {
	return func(s *source, value string) error {
		digits, unit := strings.TrimRight(value, "KMGiB"), int64(1)
		switch value[len(digits):] {
		case "":
		case "KiB":
			unit = 1 << 10
		case "MiB":
			unit = 1 << 20
		case "GiB":
			unit = 1 << 30
		default:
			digits = ""
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n <= 0 || n > (1<<62)/unit {
			return fmt.Errorf("it must be a positive number of bytes, or one such as 64MiB")
		}
		*field(s) = n * unit
		return nil
	}
}

func truthOf(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "1", "on", "true", "yes":
		return true, nil
	case "0", "off", "false", "no":
		return false, nil
	}
	return false, fmt.Errorf("it must be on or off")
}

func on(field func(s *source) *bool) func(s *source, value string) error {
	return func(s *source, value string) (err error) {
		*field(s), err = truthOf(value)
		return err
	}
}

// off is for a field that is true if the key is off.
func off(field func(s *source) *bool) func(s *source, value string) error {
	return func(s *source, value string) error {
		on, err := truthOf(value)
		*field(s) = !on
		return err
	}
}

func setMode(s *source, value string) error {
	switch value {
	case "ro":
		s.database.ReadOnly = true
	case "rwc":
	default:
		return fmt.Errorf("it must be ro or rwc")
	}
	return nil
}

func setSynchronous(s *source, value string) error {
	switch strings.ToLower(value) {
	case "off", "0":
		s.database.Synchronous = sqlite.SyncOff
	case "normal", "1":
		s.database.Synchronous = sqlite.SyncNormal
	case "full", "2":
		s.database.Synchronous = sqlite.SyncFull
	case "extra", "3":
		s.database.Synchronous = sqlite.SyncExtra
	default:
		return fmt.Errorf("it must be off, normal, full or extra")
	}
	return nil
}

func setFileMode(s *source, value string) error {
	mode, err := strconv.ParseUint(value, 8, 32)
	if err != nil || mode == 0 || mode > uint64(fs.ModePerm) {
		return fmt.Errorf("it must be an octal mode such as 0640")
	}
	s.database.FileMode = fs.FileMode(mode)
	return nil
}

func setTimeFormat(s *source, value string) error {
	for format, name := range [...]string{"text", "unix", "unix_milli", "unix_nano"} {
		if name == value {
			s.options.TimeFormat = TimeFormat(format)
			return nil
		}
	}
	return fmt.Errorf("it must be text, unix, unix_milli or unix_nano")
}

// addPragma adds one, written as name(value) or name=value.
func addPragma(s *source, value string) error {
	name, argument, found := strings.Cut(value, "(")
	if found {
		if argument, found = strings.CutSuffix(argument, ")"); !found {
			return fmt.Errorf("it must be name(value)")
		}
	} else if name, argument, found = strings.Cut(value, "="); !found {
		return fmt.Errorf("it must be name(value)")
	}
	s.database.Pragmas = append(s.database.Pragmas, sqlite.Pragma{Name: strings.TrimSpace(name), Value: strings.TrimSpace(argument)})
	return nil
}
