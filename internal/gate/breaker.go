package gate

import (
	"math/rand/v2"
	"slices"
	"time"
)

// breaker is a circuit breaker for building. After a failure it is open until a backoff has passed,
// and then half open: one trial at a time, until one succeeds and closes it. While trials hang, more of them are allowed.
// It has no clock of its own, and belongs to the gate's lock.
type breaker struct {
	open    bool
	cause   error  // of the last build; nil: it succeeded, and the breaker is closed
	streak  int    // failures in a row, without those that came while it was open
	number  uint64 // of the last backoff
	trials  int    // builds under way that began after that
	allowed int    // how many trials there may be, half open

	successes [8]time.Duration // how long the last successful builds took
	next      int              // which of them is replaced next
}

// trial is a build: the number of the last backoff before it began.
type trial uint64

// allows reports whether a build may begin.
func (b *breaker) allows() bool { return !b.open && (b.cause == nil || b.trials < b.allowed) }

func (b *breaker) halfOpen() bool { return !b.open && b.cause != nil }

// begin says that a build begins, and end that it is over, however that was.
func (b *breaker) begin() trial {
	b.trials++
	return trial(b.number)
}

func (b *breaker) end(t trial) {
	if uint64(t) == b.number { // one that hangs since before the failure keeps no other from building
		b.trials--
	}
}

// succeeded says that a build has succeeded, and how long it took.
func (b *breaker) succeeded(took time.Duration) {
	b.open, b.streak, b.cause = false, 0, nil
	b.successes[b.next] = took
	b.next = (b.next + 1) % len(b.successes)
}

// failed says that a build has failed, and reports whether that begins a backoff.
func (b *breaker) failed(cause error) (began bool) {
	b.cause = cause
	if b.open {
		return false
	}
	b.open, b.allowed, b.trials = true, 1, 0
	b.number++
	b.streak++
	return true
}

// pause draws how long the present backoff lasts.
func (b *breaker) pause(shortest, longest time.Duration) time.Duration {
	pause := longest
	if n := b.streak - 1; n < 32 && shortest < longest>>n {
		pause = shortest << n
	}
	return pause - rand.N(pause/2+1)
}

// patience is how long trials may run before more of them are allowed: a second,
// or twice the longest time that a recent success took.
func (b *breaker) patience() time.Duration {
	return max(time.Second, 2*slices.Max(b.successes[:]))
}

// hang says that trials have run for longer than patience.
func (b *breaker) hang() {
	if b.trials >= b.allowed {
		b.allowed = min(2*b.allowed, 1<<20)
	}
}

// wakeLocked has wake called after d, and not before.
func (g *Gate[V]) wakeLocked(d time.Duration) {
	g.wakeAt, g.willWake = g.config.Now()+d, true
	if g.timer == nil {
		g.timer = time.AfterFunc(d, g.wake)
	} else {
		g.timer.Reset(d)
	}
}

// sleepLocked undoes wakeLocked.
func (g *Gate[V]) sleepLocked() {
	if g.willWake {
		g.willWake = false
		g.timer.Stop()
	}
}

// wake is called when a backoff is over, or when trials have run for a while.
func (g *Gate[V]) wake() {
	g.mu.Lock()
	defer g.unlock()
	if !g.willWake || g.config.Now() < g.wakeAt { // it was stopped, or set anew, at this moment
		return
	}
	g.willWake = false
	for w := range g.queue.All {
		if w.failure != nil {
			g.grantLocked(w, Failed).Err = w.failure
		}
	}
	if g.breaker.open {
		g.breaker.open = false
	} else {
		g.breaker.hang()
	}
	g.settleLocked()
	if g.breaker.halfOpen() && g.breaker.trials > 0 && !g.willWake {
		g.wakeLocked(g.breaker.patience())
	}
}

// failuresLocked reports whether a waiter waits for the end of a backoff.
func (g *Gate[V]) failuresLocked() bool {
	for w := range g.queue.All {
		if w.failure != nil {
			return true
		}
	}
	return false
}
