package sqlite

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headpond/headpond/internal/catch"
)

// watcher hears the ends of borrowers' ctxs. Only a borrower that stays for a while pays for it:
// a context.AfterFunc for each would cost more than a point read. A connection notes the ctx of its borrower, and wakes the watcher.
// The watcher looks once, lookAfter later: a ctx that is still noted then gets a context.AfterFunc, and nothing ticks for it any more.
// If nobody has come since, there is no timer; there is never a goroutine.
//
// Until the watcher looks, a statement that runs hears the end of its ctx by itself: it asks every so many steps (see connection.Progress).
// What asks nothing, as one long step such as count(*), or a wait for a lock, hears it lookAfter later at most.
type watcher struct {
	hear  func()      // of the database
	awake atomic.Bool // hear will be called

	mu    sync.Mutex  // protects the following
	timer *time.Timer // nil: it was never needed
}

// lookAfter is how long after a borrower came its ctx is waited for, and so how much later than it ends that may be heard.
const lookAfter = 4 * time.Millisecond

// wake has hear called after lookAfter, unless it will be before that.
func (w *watcher) wake() {
	if w.awake.Load() || !w.awake.CompareAndSwap(false, true) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil {
		w.timer = time.AfterFunc(lookAfter, w.hear)
	} else {
		w.timer.Reset(lookAfter)
	}
}

// watching is whose ctx ends what runs on a connection. Its methods may be called from any goroutine, except note, ended and forget,
// which are the borrower's.
type watching struct {
	mu   sync.Mutex      // protects the following; the borrower, who alone writes ctx and done, reads them without it
	ctx  context.Context // nil: none
	done <-chan struct{} // of ctx
	stop func() bool     // of the context.AfterFunc; nil: there is none
}

func (w *watching) note(ctx context.Context, done <-chan struct{}) {
	w.mu.Lock()
	w.ctx, w.done = ctx, done
	w.mu.Unlock()
}

// ended reports whether the ctx has ended.
func (w *watching) ended() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// unheard reports whether there is a ctx whose end nothing waits for.
func (w *watching) unheard() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ctx != nil && w.stop == nil
}

// listen has a context.AfterFunc wait for the ctx, if there is one that has none. It reports false if a method of the ctx panics:
// then it is to be called again.
func (w *watching) listen(interrupter func() *interrupter) (heard bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil || w.stop != nil {
		return true
	}
	i := interrupter() // under the lock: it is the borrower's of now
	if w.ended() {
		i.trigger()
		return true
	}
	defer catch.Swallow()
	ctx := w.ctx
	if _, ok := ctx.(interface{ AfterFunc(func()) func() bool }); !ok {
		ctx = catch.ShieldOf(ctx, w.done) // context.AfterFunc may ask it in a goroutine of its own
	}
	w.stop = context.AfterFunc(ctx, i.trigger)
	return true
}

// forget ends it, and returns the stop of the context.AfterFunc, if there is one.
func (w *watching) forget() (stop func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	stop, w.ctx, w.done, w.stop = w.stop, nil, nil, nil
	return stop
}
