package poolz

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/headpond/headpond/pool"
)

// figureView is a backend's own figure on a page.
type figureView struct {
	Name   string            `json:"name"`
	Kind   string            `json:"kind"`
	Unit   string            `json:"unit"`
	Help   string            `json:"help,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	Value  figure            `json:"value"`

	Full   string `json:"-"` // the name, and the values of the labels
	Shown  string `json:"-"`
	Folded bool   `json:"-"` // it is a counter that is 0
}

func newFigureView(f pool.Figure) figureView {
	v := figureView{
		Name: f.Name, Kind: f.Kind.String(), Unit: f.Unit, Help: f.Help, Value: figure(f.Value),
		Full: f.Name, Shown: figure(f.Value).with(f.Unit), Folded: f.Kind == pool.Counter && f.Value == 0,
	}
	for i, l := range f.Labels {
		if i == 0 {
			v.Labels = make(map[string]string, len(f.Labels))
			v.Full += ":"
		}
		v.Labels[l.Name] = l.Value
		v.Full += " " + l.Value
	}
	return v
}

// noFigures names the counters that are 0. Of those of one name it says which, unless all are.
func noFigures(all []figureView) string {
	var names []string
	for i := 0; i < len(all); {
		end, labels := i, []string(nil)
		for ; end < len(all) && all[end].Name == all[i].Name; end++ {
			if all[end].Folded {
				labels = append(labels, strings.TrimPrefix(all[end].Full, all[end].Name+": "))
			}
		}
		switch {
		case len(labels) == end-i:
			names = append(names, all[i].Name)
		case len(labels) > 0:
			names = append(names, all[i].Name+" ("+strings.Join(labels, ", ")+")")
		}
		i = end
	}
	return strings.Join(names, ", ")
}

// queues says who waits in a queue of the owner's own: in figures that are named so.
func queues(all []figureView) (lines []string) {
	for _, f := range all {
		if strings.HasSuffix(f.Name, ".waiting") && f.Value > 0 {
			what := f.Name
			if first, size := utf8.DecodeRuneInString(f.Help); size > 0 {
				what = string(unicode.ToLower(first)) + strings.TrimSuffix(f.Help[size:], ".")
			}
			lines = append(lines, f.Shown+" "+what)
		}
	}
	return lines
}
