package poolz

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/pool"
)

// watched is a pool on a page, and what the page notes of it by itself.
type watched struct {
	pool      pool.Inspector
	id        int
	slowAfter time.Duration
	closed    atomic.Bool

	options     []optionView
	optionsText string

	uses     atomic.Uint64 // leases that have ended
	usedTime atomic.Int64  // for how long they were held, all together, in ns

	mu     sync.Mutex // protects the following
	recent [20]incident
	noted  int // incidents so far; the last one is recent[(noted-1)%20]

	building failing // Constructs that failed since one succeeded; its text is made when it is shown
	buildErr error

	history history

	looking sync.Mutex // protects the following; not mu, for which the pool's users wait
	known   map[leaseKey]caller
}

// incident is something worth a look: a slow acquire, an error, a leak.
type incident struct {
	at   time.Time
	what string
	id   uint64
	took time.Duration
	err  error // its text is made only when it is shown
}

func newWatched(p pool.Inspector, id int, slowAfter time.Duration) *watched {
	w := &watched{pool: p, id: id, slowAfter: slowAfter, options: optionViews(p.Options())}
	for _, o := range w.options {
		w.optionsText += fmt.Sprintf("%-17s%s\n", o.Name, o.Value)
	}
	return w
}

func (w *watched) end(_ context.Context, event pool.Event) {
	switch {
	case event.Op == pool.Acquire:
		w.acquired(event)
		return
	case event.Op == pool.Release:
		w.uses.Add(1)
		w.usedTime.Add(int64(event.Held))
	case event.Op == pool.Construct:
		w.built(event)
	case event.Op == pool.Statement:
		if event.Statement.Slow { // one that fails is its caller's affair
			w.note(incident{what: "slow statement", took: event.Took, err: statementError(event.Statement.Text)})
		}
	case event.Op == pool.Failing:
		w.note(incident{what: "construct keeps failing", took: event.Took, err: event.Err})
	case event.Op == pool.Operation: // what fails is its caller's affair, and has lines of its own if a step of the pool failed
	case event.Err != nil:
		w.note(incident{what: event.Op.String() + " failed", id: event.ID, took: event.Took, err: event.Err})
	}
}

// built notes how a Construct ended.
func (w *watched) built(event pool.Event) {
	if event.Err != nil {
		w.note(incident{what: event.Op.String() + " failed", id: event.ID, took: event.Took, err: event.Err})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if event.Err == nil {
		w.building, w.buildErr = failing{}, nil
		return
	}
	if w.building.count == 0 {
		w.building.since = time.Now()
	}
	w.building.count++
	w.buildErr = event.Err
}

// lastBuilds returns the series of failed Constructs that goes on.
func (w *watched) lastBuilds() failing {
	w.mu.Lock()
	f, err := w.building, w.buildErr
	w.mu.Unlock()
	if err != nil {
		f.text = shorten(err.Error())
	}
	return f
}

func (w *watched) acquired(event pool.Event) {
	slow := event.Took >= w.slowAfter
	switch {
	case event.Err == nil && slow:
		w.note(incident{what: "slow acquire", id: event.ID, took: event.Took})
	case event.Err != nil && !expected(event.Err, slow):
		w.note(incident{what: "acquire failed", took: event.Took, err: event.Err})
	}
}

// expected reports whether an acquire's error is not worth a look: nothing was idle for TryAcquire,
// the caller gave up before it was slow, or a hook failed, which has been noted already.
func expected(err error, slow bool) bool {
	var failed *pool.Error
	return errors.Is(err, pool.ErrUnavailable) || errors.Is(err, context.Canceled) && !slow ||
		errors.As(err, &failed) && failed.Op != pool.Acquire
}

func (w *watched) leak(leak pool.Leak) {
	what := "held for too long"
	if leak.Returned {
		what = "came back, held for too long"
	}
	w.note(incident{what: what, id: leak.ID, took: leak.Held, err: holderError(leak.Stack.Caller())})
}

// statementError is what was slow, where the text of an error would stand.
type statementError string

func (e statementError) Error() string { return string(e) }

// holderError says who held what leaked, where the text of an error would stand.
type holderError string

func (e holderError) Error() string { return string(e) }

func (w *watched) note(i incident) {
	i.at = time.Now()
	w.mu.Lock()
	w.recent[w.noted%len(w.recent)] = i
	w.noted++
	w.mu.Unlock()
}

// incidents returns those that were noted last, the last one first.
func (w *watched) incidents() []incident {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []incident
	for n := w.noted - 1; n >= max(0, w.noted-len(w.recent)); n-- {
		all = append(all, w.recent[n%len(w.recent)])
	}
	return all
}
