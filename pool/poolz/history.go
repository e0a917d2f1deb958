package poolz

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/headpond/headpond/pool"
)

// minute is how many samples are kept of a pool, one a second.
const minute = 60

// sample is a pool at one moment: what there is, and the counters until then.
type sample struct {
	held, waiting      int
	acquired, timedOut uint64
}

func sampleOf(s pool.Stats) sample {
	return sample{held: s.Held, waiting: s.Waiting, acquired: s.Acquired, timedOut: s.TimedOut}
}

// history is the last minute of a pool. Its methods may be called from any goroutine.
type history struct {
	mu      sync.Mutex // protects the following
	samples [minute + 1]sample
	count   int // so many were taken; the last is samples[(count-1)%len(samples)]
}

func (h *history) add(s sample) {
	h.mu.Lock()
	h.samples[h.count%len(h.samples)] = s
	h.count++
	h.mu.Unlock()
}

// last returns the samples of the last minute, the oldest first.
func (h *history) last() []sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]sample, 0, len(h.samples))
	for n := max(0, h.count-len(h.samples)); n < h.count; n++ {
		all = append(all, h.samples[n%len(h.samples)])
	}
	return all
}

// chart is a small picture of a minute, drawn as lines of an SVG that is 60 wide and 20 high.
type chart struct {
	Name   string      `json:"name"`
	Values []chartLine `json:"values"`
	Label  string      `json:"-"` // the same in words
	Most   string      `json:"-"` // what the top stands for
}

type chartLine struct {
	Name   string    `json:"name"`
	Values []float64 `json:"values"` // one a second, the oldest first
	Points string    `json:"-"`
}

// charts draws what was held and waited for, and what was acquired and timed out each second.
func charts(samples []sample) []chart {
	if len(samples) < 2 {
		return []chart{}
	}
	n := len(samples) - 1
	held, waiting, acquired, timedOut := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		before, now := samples[i], samples[i+1]
		held[i], waiting[i] = float64(now.held), float64(now.waiting)
		acquired[i], timedOut[i] = float64(now.acquired-before.acquired), float64(now.timedOut-before.timedOut)
	}
	return []chart{
		newChart("held and waiting", chartLine{Name: "held", Values: held}, chartLine{Name: "waiting", Values: waiting}),
		newChart("acquires, timeouts a second", chartLine{Name: "acquires", Values: acquired}, chartLine{Name: "timeouts", Values: timedOut}),
	}
}

func newChart(name string, lines ...chartLine) chart {
	most := 1.0
	for _, line := range lines {
		for _, value := range line.Values {
			most = max(most, value)
		}
	}
	c := chart{Name: name, Values: lines, Most: digits(most)}
	var words []string
	for i := range lines {
		line := &c.Values[i]
		var points strings.Builder
		var highest float64
		for at, value := range line.Values {
			highest = max(highest, value)
			x := float64(minute - len(line.Values) + at)
			fmt.Fprintf(&points, "%s,%s ", short(x), short(19-18*value/most))
		}
		line.Points = strings.TrimSpace(points.String())
		words = append(words, fmt.Sprintf("%s now %s, at most %s", line.Name, digits(line.Values[len(line.Values)-1]), digits(highest)))
	}
	c.Label = "in the last minute: " + strings.Join(words, "; ")
	return c
}

// short is a coordinate with one digit behind the point.
func short(value float64) string { return strconv.FormatFloat(value, 'f', 1, 64) }

// rate is how much a counter grew a second, over the last minute.
func rate(samples []sample, counter func(s sample) uint64) float64 {
	if len(samples) < 2 {
		return 0
	}
	return float64(counter(samples[len(samples)-1])-counter(samples[0])) / float64(len(samples)-1)
}

// sampler takes a sample of each pool on a page every second, as long as there is one.
// With that it also sees to it that the page forgets a closed pool, and what its hooks keep alive, if nobody views it.
type sampler struct {
	page *Page

	mu    sync.Mutex // protects the following
	timer *time.Timer
	pools int // on the page
}

func (s *sampler) added() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pools++; s.pools > 1 {
		return
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Second, s.sample)
	} else {
		s.timer.Reset(time.Second)
	}
}

func (s *sampler) forgot(n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pools -= n; s.pools == 0 {
		s.timer.Stop()
	}
}

func (s *sampler) sample() {
	for _, w := range s.page.all() {
		w.history.add(sampleOf(w.pool.Stats()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pools > 0 {
		s.timer.Reset(time.Second)
	}
}
