package poolz

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/headpond/headpond/pool"
)

// severity says how soon a pool needs its owner.
type severity uint8

const (
	well    severity = iota
	look             // something is not as it should be, and nobody waits for it
	needsIt          // callers wait or fail, or a lease leaks
)

// String returns the class of it on the page, and its name in JSON.
func (s severity) String() string { return [...]string{"well", "look", "needs_you"}[s] }

// condition is what triage looks at.
type condition struct {
	stats    pool.Stats
	options  pool.Options
	groups   []group // of those holders that are shown, the longest held first
	leaks    int     // leases that are held for longer than LeakAfter
	samples  []sample
	failing  failing // builds, since the last one that succeeded
	waitedBy time.Duration
	meters   []meter // of the owner's figures that have a limit
}

// failing is a series of failed Constructs.
type failing struct {
	since time.Time // zero: the last one succeeded
	count int
	text  string // of the last one
}

// triage says how a pool is, in one sentence that names the reason, since when, and who could end it. It is empty if all is well.
func (c *condition) triage(now time.Time) (severity, string) {
	s := &c.stats
	timeouts := rate(c.samples, func(s sample) uint64 { return s.timedOut }) * float64(max(0, len(c.samples)-1))
	building := ""
	if !c.failing.since.IsZero() {
		building = fmt.Sprintf("%s failed in the last %v, none succeeded, and the last error was: %s",
			plural(c.failing.count, "Construct", "Constructs"), seconds(now.Sub(c.failing.since)), c.failing.text)
	}
	switch {
	case s.Closed && s.Held > 0:
		return needsIt, fmt.Sprintf("It is closed, and %s not ended%s.", plural(s.Held, "lease has", "leases have"), c.heldBy())
	case s.Closed:
		return well, ""
	case building != "" && s.Live() == s.Constructing:
		return needsIt, "It has nothing: " + building + "."
	case s.Suspended && s.Waiting > 0:
		return needsIt, fmt.Sprintf("It is suspended, and %s, the longest for %v: call Resume.", plural(s.Waiting, "caller waits", "callers wait"), seconds(s.OldestWait))
	case s.Waiting > 0 && (s.OldestWait >= c.waitedBy || timeouts > 0):
		return needsIt, fmt.Sprintf("%s, the longest for %v%s: %s.", plural(s.Waiting, "caller waits", "callers wait"), seconds(s.OldestWait), timedOut(timeouts), c.why(building))
	case timeouts > 0:
		return needsIt, fmt.Sprintf("%s timed out in the last minute: %s.", plural(int(timeouts), "acquire", "acquires"), c.why(building))
	case c.leaks > 0:
		return needsIt, fmt.Sprintf("%s for longer than LeakAfter, %v%s.", plural(c.leaks, "lease is held", "leases are held"), c.options.LeakAfter,
			heldBy(slices.DeleteFunc(slices.Clone(c.groups), func(g group) bool { return g.Leaked == 0 })))
	case building != "":
		return look, building + "."
	case c.farPastLimit() != nil:
		m := c.farPastLimit()
		return look, fmt.Sprintf("%s is %s, and its limit is %s.", m.Name, m.Shown, m.Limit)
	case s.Suspended:
		return look, "It is suspended: every Acquire waits for Resume."
	case s.Destroying > 0 && s.Destroying >= s.MaxSize:
		return look, fmt.Sprintf("All %d values are being destroyed, and each keeps its slot until Destroy has returned.", s.Destroying)
	}
	return well, ""
}

// why says what the callers wait for.
func (c *condition) why(building string) string {
	s := &c.stats
	switch {
	case building != "" && s.Held < s.MaxSize:
		return building
	case s.Destroying > 0:
		return fmt.Sprintf("%d of %d are held and %d being destroyed%s", s.Held, s.MaxSize, s.Destroying, c.heldBy())
	case s.Constructing > 0:
		return fmt.Sprintf("%d of %d are held and %d being built%s", s.Held, s.MaxSize, s.Constructing, c.heldBy())
	case s.Held >= s.MaxSize:
		if s.Held == 1 {
			return "the only one is held" + c.heldBy()
		}
		return fmt.Sprintf("all %d are held%s", s.Held, c.heldBy())
	}
	return fmt.Sprintf("%d of %d are held%s", s.Held, s.MaxSize, c.heldBy())
}

func (c *condition) heldBy() string { return heldBy(c.groups) }

// heldBy names the place in which the most of the leases were acquired.
func heldBy(groups []group) string {
	if len(groups) == 0 {
		return ""
	}
	g := slices.MaxFunc(groups, func(a, b group) int { return cmp.Compare(a.Count, b.Count) })
	if g.Caller == "" {
		return fmt.Sprintf(", one of them for %v (LeakAfter shows by whom)", groups[0].Longest)
	}
	return fmt.Sprintf(", %d by %s, one for %v", g.Count, g.Short, g.Longest)
}

// farPastLimit returns a figure that is more than twice its limit; nil if there is none.
func (c *condition) farPastLimit() *meter {
	for i := range c.meters {
		if c.meters[i].Times > 2 {
			return &c.meters[i]
		}
	}
	return nil
}

// leaksOf is how many leases are held for longer than LeakAfter.
func leaksOf(holders []pool.Holder, leakAfter time.Duration) (leaks int) {
	for _, h := range holders {
		if leakAfter > 0 && h.Held >= leakAfter {
			leaks++
		}
	}
	return leaks
}

func timedOut(count float64) string {
	if count == 0 {
		return ""
	}
	return fmt.Sprintf(", and %s in the last minute", plural(int(count), "timed out", "timed out"))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n).String() + " " + many
}

// group is the leases of a pool that were acquired in one place, under one label.
type group struct {
	Count   int     `json:"count"`
	Longest seconds `json:"longest"`
	Leaked  int     `json:"leaked"` // of them, those that are held for longer than LeakAfter
	Caller  string  `json:"caller"` // "" if it is unknown
	Label   string  `json:"label,omitempty"`
	Short   string  `json:"-"`
	Stack   string  `json:"-"`
	IDs     string  `json:"-"` // of the values, the first few
}

// groupsOf puts holders together that are alike, the longest held first.
func groupsOf(holders []pool.Holder, callers []caller, leakAfter time.Duration) []group {
	type key struct{ stack, label string }
	at := make(map[key]int)
	all := []group{}
	for i, h := range holders {
		c := callers[i]
		k := key{c.stack, h.Label}
		n, found := at[k]
		if !found {
			n = len(all)
			at[k] = n
			all = append(all, group{Longest: seconds(h.Held), Caller: c.place, Label: k.label, Short: c.short, Stack: c.stack})
		}
		g := &all[n]
		if g.Count++; g.Count <= 8 {
			g.IDs += fmt.Sprintf(" #%d", h.ID)
		} else if g.Count == 9 {
			g.IDs += " …"
		}
		g.Leaked += leaksOf(holders[i:i+1], leakAfter)
	}
	return all
}
