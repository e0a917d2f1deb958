package poolz

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// seconds is a duration that is a number of seconds in JSON, and short for people.
type seconds time.Duration

// MarshalJSON writes s as a number.
func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Seconds(), 'g', -1, 64), nil
}

// String returns s with three digits, or from a minute on in whole seconds.
func (s seconds) String() string {
	d := time.Duration(s)
	switch {
	case d <= 0:
		return "0"
	case d < time.Microsecond:
		return digits(float64(d)) + " ns"
	case d < time.Millisecond:
		return digits(float64(d)/1e3) + " µs"
	case d < time.Second:
		return digits(float64(d)/1e6) + " ms"
	case d < time.Minute:
		return digits(d.Seconds()) + " s"
	}
	return d.Round(time.Second).String()
}

// count is a number of things, with its thousands set apart for people.
type count uint64

// String returns c as "1,234,567".
func (c count) String() string {
	text := strconv.FormatUint(uint64(c), 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// figure is a number of any size, or none.
type figure float64

// MarshalJSON writes f as a number, or as a string if JSON has no number for it.
func (f figure) MarshalJSON() ([]byte, error) {
	text := strconv.FormatFloat(float64(f), 'g', -1, 64)
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		text = strconv.Quote(text)
	}
	return []byte(text), nil
}

// with returns f with a unit of metrics, as people write it.
func (f figure) with(unit string) string {
	value := float64(f)
	switch unit {
	case "By":
		i := 0
		for ; math.Abs(value) >= 1024 && i < 4; i++ {
			value /= 1024
		}
		return digits(value) + " " + [...]string{"B", "KiB", "MiB", "GiB", "TiB"}[i]
	case "s":
		if value > 0 && value < 1e9 {
			return seconds(value * float64(time.Second)).String()
		}
		return digits(value) + " s"
	case "1", "":
		return digits(value)
	}
	if strings.HasPrefix(unit, "{") { // "{batch}" only says what is counted, and so does the name
		return digits(value)
	}
	return digits(value) + " " + unit
}

// digits returns three of value, or all of those before its point.
func digits(value float64) string {
	switch size := math.Abs(value); {
	case value == math.Trunc(value) && size < 1e15:
		if value < 0 {
			return "-" + count(-value).String()
		}
		return count(value).String()
	case size >= 100 && size < 1e15:
		return digits(math.Round(value))
	}
	return strconv.FormatFloat(value, 'g', 3, 64)
}
