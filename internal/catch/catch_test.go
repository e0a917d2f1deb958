package catch

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRun_SaysHowACallEnded(t *testing.T) {
	failure := errors.New("failure")
	for name, test := range map[string]struct {
		f        func()
		returned bool
		exited   bool
		value    any
	}{
		"returns":         {func() {}, true, false, nil},
		"panics":          {func() { panic(failure) }, false, false, failure},
		"panics with nil": {func() { panic(nil) }, false, false, new(runtime.PanicNilError)},
		"exits":           {runtime.Goexit, false, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			calls, after := 0, false
			var got Ending
			var all sync.WaitGroup
			all.Go(func() {
				Run(test.f, func(ending Ending) { calls, got = calls+1, ending })
				after = true
			})
			all.Wait()
			assert.Equal(t, 1, calls)
			assert.Equal(t, test.returned, got.Returned)
			assert.Equal(t, test.exited, got.Exited())
			assert.IsType(t, test.value, got.Value)
			assert.Equal(t, !test.exited, after, "runtime.Goexit goes on")
			if test.returned {
				assert.Empty(t, got.Stack)
			} else {
				assert.Contains(t, string(got.Stack), "catch.Run(", "of the call")
			}
		})
	}
}

func TestRun_AllocatesNothing(t *testing.T) {
	var err error
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		value := 0
		Run(func() { value++ }, func(ending Ending) {
			if !ending.Returned {
				err = errors.New("never")
			}
		})
	}))
	assert.NoError(t, err)
}

// odd is a ctx each method of which but Done panics.
type odd struct{ done chan struct{} }

func (o odd) Done() <-chan struct{}     { return o.done }
func (odd) Err() error                  { panic("Err") }
func (odd) Deadline() (time.Time, bool) { panic("Deadline") }
func (odd) Value(any) any               { panic("Value") }

func TestShield(t *testing.T) {
	done := make(chan struct{})
	s := NewShield(odd{done})
	assert.NoError(t, s.Err())
	assert.Nil(t, s.Value("key"))
	_, ok := s.Deadline()
	assert.False(t, ok)
	close(done)
	assert.ErrorIs(t, s.Err(), context.Canceled)
	cause := errors.New("over")
	ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), odd{}, 7))
	s = NewShield(ctx)
	cancel(cause)
	<-s.Done()
	assert.Equal(t, context.Canceled, s.Err())
	assert.Equal(t, cause, context.Cause(s))
	assert.Equal(t, 7, s.Value(odd{}))
}
