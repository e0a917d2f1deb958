package poolz

import (
	"cmp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/headpond/headpond/pool"
	"github.com/headpond/headpond/resource"
)

// view is what the page shows, as HTML or as JSON.
type view struct {
	Time      time.Time  `json:"time"`
	SlowAfter seconds    `json:"slow_after"`
	Pools     []poolView `json:"pools"`
	NeedYou   int        `json:"need_you"` // pools that are the first in Pools

	Title   string `json:"-"`
	Summary string `json:"-"`
	Class   string `json:"-"`
}

// summarize says in one line how all pools are.
func (v *view) summarize() {
	looks := 0
	for _, p := range v.Pools {
		switch p.severity {
		case needsIt:
			v.NeedYou++
		case look:
			looks++
		}
	}
	all := plural(len(v.Pools), "pool", "pools")
	switch {
	case len(v.Pools) == 0:
		v.Title, v.Summary, v.Class = "no pools", "No pool was made with this page’s Observer, or all of them are closed.", "well"
	case v.NeedYou > 0:
		needs := " need you"
		if v.NeedYou == 1 {
			needs = " needs you"
		}
		v.Summary, v.Class = count(v.NeedYou).String()+" of "+all+needs, needsIt.String()
		v.Title = v.Summary
	case looks > 0:
		v.Summary, v.Class = all+", "+count(looks).String()+" with something to look at", look.String()
		v.Title = v.Summary
	default:
		v.Summary, v.Class = all+": all is well", "well"
		v.Title = v.Summary
	}
}

type poolView struct {
	ID    int       `json:"id"` // on this page
	Name  string    `json:"name"`
	Owner string    `json:"owner"` // pool.Options.Owner: of whom are Figures and Statements
	State string    `json:"state"` // "open", "suspended" or "closed"
	How   string    `json:"how"`   // "well", "look" or "needs_you"
	Says  string    `json:"says"`  // why, if it is not well
	Since time.Time `json:"since"`

	MaxSize      int     `json:"max_size"`
	Held         int     `json:"held"`
	Idle         int     `json:"idle"`
	Constructing int     `json:"constructing"`
	Destroying   int     `json:"destroying"`
	Checking     int     `json:"checking"`
	Free         int     `json:"free"`
	Waiting      int     `json:"waiting"`
	OldestWait   seconds `json:"oldest_wait"`
	MeanWait     mean    `json:"mean_wait"` // of the acquires that had to wait
	MeanUse      mean    `json:"mean_use"`  // of the leases that have ended

	Counters    []counter       `json:"counters"`
	Destroyed   []counter       `json:"destroyed"` // by reason
	Charts      []chart         `json:"charts"`
	Groups      []group         `json:"groups"` // of Holders, by where they were acquired
	Holders     []holderView    `json:"holders"`
	MoreHolders int             `json:"more_holders"`
	Recent      []incidentView  `json:"recent"`
	Figures     []figureView    `json:"figures"`
	Options     []optionView    `json:"options"`
	Statements  []statementView `json:"statements"`     // those that took the most time
	List        *listView       `json:"list,omitempty"` // nil: its values have no names

	// For people. What is many times on a page is made here: a template takes ten times as long.

	severity severity

	Bar         []segment `json:"-"`
	Zeros       string    `json:"-"` // the counters that are 0
	Rate        string    `json:"-"` // of acquires
	Meters      []meter   `json:"-"`
	Queues      []string  `json:"-"` // of the owner's own
	NoFigures   string    `json:"-"` // the counters among Figures that are 0
	Repeats     []repeat  `json:"-"` // of Recent, those that are alike as one
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
	Caller string    `json:"caller"` // "" if unknown
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

func (w *watched) view(now time.Time, find string) poolView {
	past := w.history.last() // before the Stats: counters must not fall from one sample to the next
	stats := w.pool.Stats()
	v := poolView{
		ID: w.id, Name: w.pool.Name(), Owner: cmp.Or(w.pool.Options().Owner, w.pool.Name()), State: "open", Since: stats.Since,
		MaxSize: stats.MaxSize, Held: stats.Held, Idle: stats.Idle, Constructing: stats.Constructing, Destroying: stats.Destroying, Checking: stats.Checking,
		Free:    max(0, stats.MaxSize-stats.Live()),
		Waiting: stats.Waiting, OldestWait: seconds(stats.OldestWait),
		MeanWait: meanOf(stats.WaitTime, stats.Waited), MeanUse: meanOf(time.Duration(w.usedTime.Load()), w.uses.Load()),
		Counters: counters(stats), Destroyed: []counter{}, Holders: []holderView{}, Recent: []incidentView{}, Figures: []figureView{}, Statements: []statementView{},
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
	samples := append(past, sampleOf(stats))
	v.Charts = charts(samples)
	v.Rate = digits(rate(samples, func(s sample) uint64 { return s.acquired })) + " a second"
	options := w.pool.Options()
	leaks := leaksOf(holders, options.LeakAfter)
	if len(holders) > mostHolders {
		v.MoreHolders = len(holders) - mostHolders
		holders = holders[:mostHolders]
	}
	callers := w.callers(holders)
	for i, c := range callers {
		v.Holders = append(v.Holders, newHolderView(holders[i], c))
	}
	v.Groups = groupsOf(holders, callers, options.LeakAfter)
	slowly := w.slowAfter
	if options.AcquireTimeout > 0 {
		slowly = max(slowly, options.AcquireTimeout/10)
	}
	for _, f := range w.pool.Figures() {
		v.Figures = append(v.Figures, newFigureView(f))
	}
	v.NoFigures, v.Queues, v.Meters = noFigures(v.Figures), queues(v.Figures), meters(v.Figures)
	c := condition{stats, options, v.Groups, leaks, samples, w.lastBuilds(), slowly, v.Meters}
	v.severity, v.Says = c.triage(now)
	v.How = v.severity.String()
	for _, i := range w.incidents() {
		v.Recent = append(v.Recent, newIncidentView(i, now))
	}
	v.Statements = statementViews(options.Statements)
	v.List = w.list(now, find)
	v.Bar = v.bar()
	v.Repeats = repeats(v.Recent)
	var zeros []string
	for _, c := range v.Counters {
		if c.Value == 0 {
			zeros = append(zeros, c.Name)
		}
	}
	v.Zeros = strings.Join(zeros, ", ")
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

// bar divides MaxSize, or what is live if that is more, among what the values do.
func (v poolView) bar() (bar []segment) {
	percent := 100 / float64(v.Held+v.Idle+v.Constructing+v.Destroying+v.Checking+v.Free)
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
	add("checked", v.Checking)
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
		{"MaxIdle", number(o.MaxIdle, "MaxSize")},
		{"MaxConstructing", number(o.MaxConstructing, "no bound")},
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

// shorten cuts a text that is too long, between two of its runes.
func shorten(text string) string {
	if len(text) > mostText {
		cut := mostText
		for cut > mostText-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
