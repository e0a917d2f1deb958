package pool

import (
	"fmt"
	"runtime"
	"strings"
)

// Stack is where a lease was acquired: program counters,
// looked up only when it is shown. The zero Stack is empty.
type Stack struct{ counters []uintptr }

// Frames returns the calls, the innermost first, the pool's own left out.
func (s Stack) Frames() []runtime.Frame {
	if len(s.counters) == 0 {
		return nil
	}
	var shown []runtime.Frame
	for frames, more := runtime.CallersFrames(s.counters), true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if own := strings.HasPrefix(frame.Function, ownFunctions); frame.PC != 0 && (len(shown) > 0 || !own) {
			shown = append(shown, frame)
		}
	}
	return shown
}

// ownFunctions begins the name of every function of this package:
// those of Pool[T], Lease[T] and the like.
const ownFunctions = "github.com/headpond/headpond/pool."

// Caller returns the innermost call outside headpond and database/sql, as "file:line function"; headpond's own
// if there is none, as in a goroutine of a backend's; "" if it is unknown.
func (s Stack) Caller() string {
	frames := s.Frames()
	if len(frames) == 0 {
		return ""
	}
	caller := frames[0]
	for _, frame := range frames {
		if strings.HasPrefix(frame.Function, "runtime.") {
			break
		}
		if !isLibrary(frame) {
			caller = frame
			break
		}
	}
	return fmt.Sprintf("%s:%d %s", caller.File, caller.Line, caller.Function)
}

// isLibrary reports whether a call is headpond's own, or one of database/sql, which is between it and the program:
// neither a program's, an example among them, nor a test's.
func isLibrary(frame runtime.Frame) bool {
	if strings.HasPrefix(frame.Function, "database/sql.") {
		return true
	}
	in, ours := strings.CutPrefix(frame.Function, "github.com/headpond/headpond/")
	return ours && !strings.HasPrefix(in, "examples/") && !strings.HasSuffix(frame.File, "_test.go")
}

// String returns a line for each call, as "function\n\tfile:line".
func (s Stack) String() string {
	var text strings.Builder
	for _, frame := range s.Frames() {
		fmt.Fprintf(&text, "%s\n\t%s:%d\n", frame.Function, frame.File, frame.Line)
	}
	return text.String()
}
