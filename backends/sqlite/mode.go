package sqlite

import "strconv"

// Mode is what a connection is for.
type Mode uint8

const (
	Writer Mode = iota // reads and writes, and creates the file
	Reader             // is opened read-only: a write fails at once
)

// String returns m in lower case.
func (m Mode) String() string {
	switch m {
	case Writer:
		return "writer"
	case Reader:
		return "reader"
	}
	return "Mode(" + strconv.Itoa(int(m)) + ")"
}
