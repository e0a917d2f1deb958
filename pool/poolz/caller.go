package poolz

import (
	"path"
	"strings"
	"time"

	"github.com/headpond/headpond/pool"
)

// caller is who acquired a lease, as the page says it.
type caller struct {
	place string // "file:line function"; "" if unknown
	short string // place without the folders of its file and function
	stack string
}

func newCaller(stack pool.Stack) caller {
	place := stack.Caller()
	if place == "" {
		return caller{short: "by whom is known with LeakAfter"}
	}
	file, function, _ := strings.Cut(place, " ")
	return caller{place, path.Base(file) + " " + path.Base(function), stack.String()}
}

// leaseKey tells the leases of a pool apart.
type leaseKey struct {
	id    uint64
	since time.Time
}

// callers returns those of the holders. To look a stack up is most of the work of a page:
// what was looked up for the last page is kept, as a lease that is worth a look is on many.
func (w *watched) callers(holders []pool.Holder) []caller {
	w.looking.Lock()
	defer w.looking.Unlock()
	all := make([]caller, len(holders))
	known := make(map[leaseKey]caller, len(holders))
	for i, h := range holders {
		key := leaseKey{h.ID, h.Since}
		c, found := w.known[key]
		if !found {
			c = newCaller(h.Stack)
		}
		all[i], known[key] = c, c
	}
	w.known = known
	return all
}
