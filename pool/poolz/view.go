package poolz

import (
	"strconv"
	"strings"
	"time"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
)

// view is what the page shows, as HTML or as JSON.
type view struct {
	Time      time.Time  `json:"time"`
	SlowAfter seconds    `json:"slow_after"`
	Pools     []poolView `json:"pools"`
}

type poolView struct {
	ID    int       `json:"id"` // on this page
	Name  string    `json:"name"`
	State string    `json:"state"` // "open", "suspended" or "closed"
	Since time.Time `json:"since"`

	MaxSize      int     `json:"max_size"`
	Held         int     `json:"held"`
	Idle         int     `json:"idle"`
	Constructing int     `json:"constructing"`
	Destroying   int     `json:"destroying"`
	Free         int     `json:"free"`
	Waiting      int     `json:"waiting"`
	OldestWait   seconds `json:"oldest_wait"`
	MeanWait     mean    `json:"mean_wait"` // of the acquires that had to wait
	MeanUse      mean    `json:"mean_use"`  // of the leases that have ended

	Counters    []counter      `json:"counters"`
	Destroyed   []counter      `json:"destroyed"` // by reason
	Holders     []holderView   `json:"holders"`
	MoreHolders int            `json:"more_holders"`
	Recent      []incidentView `json:"recent"`
	Figures     []figureView   `json:"figures"`
	Options     []optionView   `json:"options"`

	// For people. What is many times on a page is made here: a template takes ten times as long.

	Bar         []segment `json:"-"`
	OptionsText string    `json:"-"`
}

// mean is that of N durations.
type mean struct {
	Seconds seconds `json:"seconds"`
	N       count   `json:"n"`
}

type counter struct {
	Name  string `json:"name"`
	Value count  `json:"value"`
	Shown string `json:"-"`
	Class string `json:"-"`
}

type holderView struct {
	ID     uint64    `json:"id"`
	Since  time.Time `json:"since"`
	Held   seconds   `json:"held"`
	Caller string    `json:"caller"` // "" where unknown
	Stack  string    `json:"stack"`
	Shown  string    `json:"-"`
	Short  string    `json:"-"` // the caller without the folders of its file and function
}

type incidentView struct {
	Time  time.Time `json:"time"`
	Ago   seconds   `json:"ago"`
	What  string    `json:"what"`
	ID    uint64    `json:"id,omitempty"`
	Took  seconds   `json:"took"`
	Text  string    `json:"text,omitempty"`
	Shown string    `json:"-"`
}

type figureView struct {
	Name  string `json:"name"`
	Unit  string `json:"unit"`
	Value figure `json:"value"`
	Shown string `json:"-"`
}

type optionView struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// segment is a part of a bar, in percent.
type segment struct {
	Class    string
	X, Width float64
}

// A page shows that many holders of a pool, those that hold the longest,
// and that many bytes of a text.
const (
	mostHolders = 100
	mostText    = 1000
)

func (w *watched) view(now time.Time) poolView {
	stats := w.pool.Stats()
	v := poolView{
		ID: w.id, Name: w.pool.Name(), State: "open", Since: stats.Since,
		MaxSize: stats.MaxSize, Held: stats.Held, Idle: stats.Idle, Constructing: stats.Constructing, Destroying: stats.Destroying,
		Free:    max(0, stats.MaxSize-stats.Live()),
		Waiting: stats.Waiting, OldestWait: seconds(stats.OldestWait),
		MeanWait: meanOf(stats.WaitTime, stats.Waited), MeanUse: meanOf(time.Duration(w.usedTime.Load()), w.uses.Load()),
		Counters: counters(stats), Destroyed: []counter{}, Holders: []holderView{}, Recent: []incidentView{}, Figures: []figureView{},
		Options: w.options, OptionsText: w.optionsText,
	}
	switch {
	case stats.Closed:
		v.State = "closed"
	case stats.Suspended:
		v.State = "suspended"
	}
	for reason, n := range stats.Destroyed {
		if n > 0 {
			v.Destroyed = append(v.Destroyed, newCounter(resource.Reason(reason).String(), n, ""))
		}
	}
	holders := w.pool.Holders()
	if len(holders) > mostHolders {
		v.MoreHolders = len(holders) - mostHolders
		holders = holders[:mostHolders]
	}
	for i, c := range w.callers(holders) {
		v.Holders = append(v.Holders, newHolderView(holders[i], c))
	}
	for _, i := range w.incidents() {
		v.Recent = append(v.Recent, newIncidentView(i, now))
	}
	for _, f := range w.pool.Figures() {
		v.Figures = append(v.Figures, figureView{f.Name, f.Unit, figure(f.Value), figure(f.Value).with(f.Unit)})
	}
	v.Bar = v.bar()
	return v
}

func newHolderView(h pool.Holder, c caller) holderView {
	v := holderView{ID: h.ID, Since: h.Since, Held: seconds(h.Held), Caller: c.place, Stack: c.stack, Short: c.short}
	v.Shown = "#" + strconv.FormatUint(h.ID, 10) + " for " + v.Held.String() + ", since " + h.Since.Format(time.TimeOnly)
	return v
}

func newIncidentView(i incident, now time.Time) incidentView {
	v := incidentView{Time: i.at, Ago: seconds(now.Sub(i.at)), What: i.what, ID: i.id, Took: seconds(i.took)}
	if i.err != nil {
		v.Text = shorten(i.err.Error())
	}
	v.Shown = i.what
	if i.id > 0 {
		v.Shown += " #" + strconv.FormatUint(i.id, 10)
	}
	v.Shown += " after " + v.Took.String() + ", " + v.Ago.String() + " ago"
	return v
}

// bar divides MaxSize, or what is live where that is more, among what the values do.
func (v poolView) bar() (bar []segment) {
	percent := 100 / float64(v.Held+v.Idle+v.Constructing+v.Destroying+v.Free)
	x := 0.0
	add := func(class string, n int) {
		if n > 0 {
			width := percent * float64(n)
			bar = append(bar, segment{class, x, width})
			x += width
		}
	}
	add("held", v.Held)
	add("idle", v.Idle)
	add("built", v.Constructing)
	add("destroyed", v.Destroying)
	return bar
}

func counters(s pool.Stats) []counter {
	return []counter{
		newCounter("acquired", s.Acquired, ""),
		newCounter("released", s.Released, ""),
		newCounter("detached", s.Detached, ""),
		newCounter("waited", s.Waited, ""),
		newCounter("timed out", s.TimedOut, "bad"),
		newCounter("cancelled", s.Cancelled, ""),
		newCounter("saturated", s.Saturated, "bad"),
		newCounter("created", s.Created, ""),
		newCounter("create failed", s.CreateFailed, "bad"),
		newCounter("destroy failed", s.DestroyFailed, "bad"),
		newCounter("abandoned", s.Abandoned, "bad"),
		newCounter("leaked", s.Leaked, "bad"),
	}
}

// newCounter returns a counter with a class for when it is not 0.
func newCounter(name string, n uint64, class string) counter {
	if n == 0 {
		class = "zero"
	}
	return counter{name, count(n), count(n).String(), class}
}

func optionViews(o pool.Options) []optionView {
	limit := func(d time.Duration, none string) string {
		if d <= 0 {
			return none
		}
		return d.String()
	}
	number := func(n int, none string) string {
		if n == 0 {
			return none
		}
		return strconv.Itoa(n)
	}
	p := o.Policy
	return []optionView{
		{"MaxSize", strconv.Itoa(o.MaxSize)}, // before any Resize
		{"MinIdle", strconv.Itoa(o.MinIdle)},
		{"MaxWaiters", number(o.MaxWaiters, "no bound")},
		{"AcquireTimeout", limit(o.AcquireTimeout, "none")},
		{"MaintainEvery", o.MaintainEvery.String()},
		{"LeakAfter", limit(o.LeakAfter, "off")},
		{"MaxLifetime", limit(p.MaxLifetime, "no limit")},
		{"LifetimeJitter", limit(p.LifetimeJitter, "none")},
		{"MaxIdleTime", limit(p.MaxIdleTime, "no limit")},
		{"MaxUses", number(p.MaxUses, "no limit")},
		{"CheckAfterIdle", limit(p.CheckAfterIdle, "every acquire")},
		{"ConstructTimeout", limit(p.ConstructTimeout, "none")},
		{"CheckTimeout", p.CheckTimeout.String()},
		{"ResetTimeout", p.ResetTimeout.String()},
		{"DestroyTimeout", p.DestroyTimeout.String()},
	}
}

func meanOf(all time.Duration, n uint64) mean {
	return mean{seconds(all / time.Duration(max(1, n))), count(n)}
}

// shorten cuts a text that is too long.
func shorten(text string) string {
	if len(text) > mostText {
		text = text[:mostText] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
