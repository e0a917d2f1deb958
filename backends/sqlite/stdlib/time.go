package stdlib

import (
	"strings"
	"time"
)

// TimeFormat is how a time.Time is written into the database.
type TimeFormat uint8

const (
	// TimeText, the default: text such as 2006-01-02 15:04:05.999999999-07:00, which SQLite's date functions understand,
	// which sorts by time within one zone, and which keeps nanoseconds.
	TimeText TimeFormat = iota
	// TimeUnix: an integer, the seconds since 1970.
	TimeUnix
	// TimeUnixMilli: an integer, the milliseconds since 1970.
	TimeUnixMilli
	// TimeUnixNano: an integer, the nanoseconds since 1970.
	TimeUnixNano

	timeFormats // how many there are
)

// written is the text form of TimeText.
const written = "2006-01-02 15:04:05.999999999-07:00"

// timeForms are those that are read from a column that was declared as a time: those of this driver and of others, and of SQLite's functions.
var timeForms = []string{
	written,
	"2006-01-02T15:04:05.999999999-07:00",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04",
	"2006-01-02T15:04",
	"2006-01-02",
	"2006-01-02 15:04:05.999999999 -0700 MST", // time.Time.String
	"2006-01-02 15:04:05.999999999 -0700",
}

// parseTime returns the time that text is in one of the known forms.
func parseTime(text string) (time.Time, bool) {
	trimmed := text
	if at := strings.Index(trimmed, " m="); at > 0 { // of time.Time.String with a monotonic clock
		trimmed = trimmed[:at]
	}
	utc := strings.TrimSuffix(trimmed, "Z")
	for _, form := range timeForms {
		if t, err := time.ParseInLocation(form, utc, time.UTC); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// parseWritten returns the time that text is in exactly the form of TimeText: of a value without a declared type
// nothing else tells that it is one.
func parseWritten(text string) (time.Time, bool) {
	if len(text) < len("2006-01-02 15:04:05-07:00") || len(text) > len(written) || text[10] != ' ' || text[4] != '-' || text[13] != ':' {
		return time.Time{}, false
	}
	t, err := time.Parse(written, text)
	return t, err == nil && t.Format(written) == text
}

// unixTime is what an integer in a column that was declared as a time means: what the format writes;
// with TimeText, by its size, seconds, milliseconds, microseconds or nanoseconds since 1970. Below 1e12 it is seconds,
// up to the year 33,658; so milliseconds are told from seconds from September 2001 on.
func unixTime(value int64, format TimeFormat) time.Time {
	size := max(value, -value)
	switch {
	case format == TimeUnix || format == TimeText && size < 1e12:
		return time.Unix(value, 0).UTC()
	case format == TimeUnixMilli || format == TimeText && size < 1e15:
		return time.UnixMilli(value).UTC()
	case format == TimeText && size < 1e18:
		return time.UnixMicro(value).UTC()
	}
	return time.Unix(0, value).UTC()
}
