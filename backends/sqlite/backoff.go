package sqlite

import "time"

// backoff says how long to sleep between tries.
type backoff []time.Duration

var (
	// lockBackoff is for what another connection ends: often at first, as SQLite's own busy timeout,
	// and never so long that a lock lies free for a while.
	lockBackoff = backoff{
		1 * time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
		15 * time.Millisecond, 20 * time.Millisecond, 25 * time.Millisecond,
	}
	// shortBackoff is for what is soon over, and costs little to try.
	shortBackoff = lockBackoff[:4]
)

// delay is how long to sleep after the count-th try, from 0.
func (b backoff) delay(count int) time.Duration { return b[min(count, len(b)-1)] }

// longest is the delay after many tries.
func (b backoff) longest() time.Duration { return b[len(b)-1] }

// sleep sleeps for d. It reports false, and sleeps no longer, if one of two channels is closed; nil: it never is.
func sleep(d time.Duration, stop, orStop <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
		return false
	case <-orStop:
		return false
	}
}
