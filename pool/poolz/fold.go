package poolz

import "strings"

// meter is a figure that has a limit: another figure, named alike with ".limit" behind it.
type meter struct {
	Name, Help, Shown, Limit string
	Times                    float64 // the limit
	Percent                  float64 // of the bar
	Class                    string
}

func meters(figures []figureView) (all []meter) {
	limits := make(map[string]figureView)
	for _, f := range figures {
		if name, is := strings.CutSuffix(f.Name, ".limit"); is && f.Value > 0 {
			limits[name] = f
		}
	}
	for _, f := range figures {
		if limit, found := limits[f.Name]; found {
			m := meter{Name: withoutPrefix(f.Name), Help: f.Help, Shown: f.Shown, Limit: limit.Shown, Times: float64(f.Value / limit.Value)}
			m.Percent = min(100, max(0, 100*m.Times))
			if m.Times > 1 {
				m.Class = "bad"
			}
			all = append(all, m)
		}
	}
	return all
}

// repeat is incidents that are alike: what happened, and the text but for its numbers.
type repeat struct {
	Shown, Text string
	Count       int
}

func repeats(recent []incidentView) []repeat {
	at := make(map[string]int)
	var all []repeat
	for _, i := range recent {
		key := i.What + "\x00" + withoutNumbers(i.Text)
		n, found := at[key]
		if !found {
			n = len(all)
			at[key] = n
			all = append(all, repeat{Shown: i.Shown, Text: i.Text})
		}
		all[n].Count++
	}
	return all
}

func withoutNumbers(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' {
			return -1
		}
		return r
	}, text)
}

// withoutPrefix is the last two words of a figure's name: "wal.size".
func withoutPrefix(name string) string {
	if last := strings.LastIndexByte(name, '.'); last > 0 {
		return name[strings.LastIndexByte(name[:last], '.')+1:]
	}
	return name
}
