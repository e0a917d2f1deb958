package tenants

import (
	"fmt"
	"time"
)

// again is the error of a call before the pause is over.
func (f failure) again(now time.Duration) error {
	return &openFailure{err: f.err, tries: f.tries, next: f.until - now}
}

// forgotten reports whether the failure is too old to count.
func (f failure) forgotten(now time.Duration) bool { return now >= f.until+longestPause }

// openFailure is what a call gets if the database could not be opened.
type openFailure struct {
	err   error
	tries int           // in a row; 0: the call has waited for this one
	next  time.Duration // from now to the next try
}

func (f *openFailure) Unwrap() error { return f.err }

func (f *openFailure) Error() string {
	if f.tries == 0 {
		return f.err.Error()
	}
	return fmt.Sprintf("%v (failed %d times in a row; the next try is in %v)", f.err, f.tries, round(f.next))
}
