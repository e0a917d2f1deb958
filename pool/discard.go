package pool

import (
	"errors"
	"sync/atomic"
)

// Discard returns err with a mark: returned from the function of [Pool.Do], it makes Do destroy the value instead of returning it to the pool.
// Do then returns err itself, nil if err is nil; or, if the function returned an error that wraps the marked one, that.
// The mark is spent with it: an outer Do of another pool that meets the error keeps its value.
// errors.Is and errors.As see through the mark.
func Discard(err error) error { return &discardError{err: err} }

// Discarded reports whether err carries marks of [Discard] that are not spent, spends them, and returns what Do returns for err.
// It is for backends that wrap the function of Do.
func Discarded(err error) (result error, discarded bool) {
	if err == nil {
		return nil, false // before marks, which is allocated
	}
	var marks spentMarks
	if errors.As(err, &marks); !marks.any {
		return err, false
	}
	if bare, ok := err.(*discardError); ok {
		return bare.err, true
	}
	return err, true
}

// discardError is an error that condemns the value in use.
type discardError struct {
	err   error
	spent atomic.Bool
}

func (e *discardError) Error() string {
	if e.err == nil {
		return "the value was discarded"
	}
	return e.err.Error()
}

func (e *discardError) Unwrap() error { return e.err }

// spentMarks is a target of errors.As that no error is: it makes As visit every mark of an error, also behind one that an inner pool has spent.
type spentMarks struct {
	error
	any bool // one was not spent before
}

// As spends e if target asks for that, and lets errors.As go on: all marks that come together are for the same value.
func (e *discardError) As(target any) bool {
	if marks, ok := target.(*spentMarks); ok && e.spent.CompareAndSwap(false, true) {
		marks.any = true
	}
	return false
}
