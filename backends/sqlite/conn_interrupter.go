package sqlite

import (
	"sync"
)

// interrupter ends what runs on a connection: its channel is the one of Conn.SetInterrupt.
// A connection keeps one until it was triggered: a new one costs two microseconds,
// and a context.AfterFunc that triggers it a tenth of that.
type interrupter struct {
	done    chan struct{}
	trigger func() // closes done, once. It belongs to this interrupter: it never ends what a later borrower runs

	mu      sync.Mutex // protects the following
	quit    chan struct{}
	stopped bool // quit is closed
}

// newInterrupter returns an interrupter that calls interrupt repeatedly from when it is triggered until it is stopped.
// The one interrupt that zombiezen makes is lost on a statement that is just about to begin: SQLite forgets
// an interrupt when the first statement begins, and zombiezen has looked at the channel before.
func newInterrupter(interrupt func()) *interrupter {
	i := &interrupter{done: make(chan struct{}), quit: make(chan struct{})}
	i.trigger = sync.OnceFunc(func() {
		close(i.done)
		go i.repeat(interrupt)
	})
	return i
}

func (i *interrupter) repeat(interrupt func()) {
	for count := 0; sleep(shortBackoff.delay(count), i.quit, nil); count++ {
		i.mu.Lock()
		if !i.stopped {
			interrupt()
		}
		i.mu.Unlock()
	}
}

// stop makes the interrupter interrupt nothing any more once stop has returned.
func (i *interrupter) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.stopped {
		i.stopped = true
		close(i.quit)
	}
}

func (i *interrupter) triggered() bool {
	select {
	case <-i.done:
		return true
	default:
		return false
	}
}
