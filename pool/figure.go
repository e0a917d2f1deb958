package pool

import "strconv"

// Figure is a backend's own figure, such as the size of a file, as metrics and pages have it.
type Figure struct {
	Name   string     // in the form of a metric's: "headpond.sqlite.wal.size"
	Unit   string     // in the form of a metric's: "By", "{batch}", "s"
	Help   string     // what it is, in one sentence, for the operator
	Kind   FigureKind // what Value does; Gauge if it is not set
	Labels []Label    // what tells figures of one name apart; few of them, with few values
	Value  float64
}

// FigureKind says what a figure's value does.
type FigureKind uint8

const (
	Gauge   FigureKind = iota // it goes up and down
	Counter                   // it only grows, from 0 on: what counts is how fast
)

// String returns k in lower case.
func (k FigureKind) String() string {
	switch k {
	case Gauge:
		return "gauge"
	case Counter:
		return "counter"
	}
	return "FigureKind(" + strconv.Itoa(int(k)) + ")"
}

// Label is a name and a value that tell a figure from others of its name.
type Label struct {
	Name  string // in the form of a metric's attribute: "headpond.finding.kind"
	Value string
}
