package tracing

import (
	"context"
	"errors"
	"reflect"
	"strings"

	"github.com/headpond/headpond/pool"
)

// failure is how an operation failed, as error.type says it.
type failure struct {
	name    string // "": it did not
	isError bool   // of the status of a span
}

// failureOf names err without its text. What a caller may well expect is no error:
// that it gave up by itself, and that nothing was idle for TryAcquire.
func failureOf(err error) failure {
	if err == nil {
		return failure{} // what follows allocates
	}
	return nameFailure(err, "")
}

// nameFailure names err. code is what its backend calls it; "" if it has no word for it.
func nameFailure(err error, code string) failure {
	var panicked *pool.PanicError
	switch {
	case errors.Is(err, pool.ErrUnavailable):
		return failure{"unavailable", false}
	case errors.Is(err, pool.ErrAcquireTimeout):
		return failure{"timeout", true}
	case errors.Is(err, pool.ErrClosed):
		return failure{"pool_closed", true}
	case errors.Is(err, pool.ErrSaturated):
		return failure{"saturated", true}
	case errors.Is(err, pool.ErrNested):
		return failure{"nested", true}
	case errors.Is(err, context.Canceled): // before the cause, which may be a deadline elsewhere
		return failure{"canceled", false}
	case errors.Is(err, context.DeadlineExceeded):
		return failure{"timeout", true}
	case errors.As(err, &panicked):
		return failure{"panicked", true}
	case code != "":
		return failure{code, true}
	}
	var coded interface{ ErrorType() string }
	if errors.As(err, &coded) && isName(coded.ErrorType()) {
		return failure{coded.ErrorType(), true}
	}
	return failure{rootType(err), true}
}

const otherError = "_OTHER"

// rootType is the type's name of what err wraps in the end, as "*fs.PathError",
// or otherError where that says nothing.
func rootType(err error) string {
	for {
		var inner error
		switch wrapper := err.(type) {
		case interface{ Unwrap() error }:
			inner = wrapper.Unwrap()
		case interface{ Unwrap() []error }:
			if all := wrapper.Unwrap(); len(all) > 0 {
				inner = all[0]
			}
		}
		if inner == nil {
			break
		}
		err = inner
	}
	of := reflect.TypeOf(err)
	name := of.String()
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Name() == "" || name == "*errors.errorString" || strings.HasPrefix(name, "*fmt.wrapError") {
		return otherError
	}
	return name
}

// isName reports whether s can be a code's name: it is not the place for a text.
func isName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
