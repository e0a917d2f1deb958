package pool

import (
	"context"
	"errors"
	"slices"

	"github.com/headpond/headpond/resource"
)

// Observers returns an observer that hands everything on to all of them; nil ones are left out.
// The Enabled of each decides for it alone. Begin is called in the order given, each with the ctx
// of the one before it, and End in the reverse order, all with the ctx of the last.
// If one of them ends an operation by runtime.Goexit in Begin, those before it have their End, those after it no Begin.
// With two or more it costs three allocations a lease beyond their own.
func Observers(all ...Observer) Observer {
	return func(pool Inspector) Tap {
		taps := make(several, 0, len(all))
		for _, observer := range all {
			if observer != nil {
				taps = append(taps, observer(pool))
			}
		}
		switch len(taps) {
		case 0:
			return Tap{Enabled: func(context.Context) bool { return false }}
		case 1:
			return taps[0]
		}
		for i, tap := range taps {
			taps[i] = SafeTap(tap)
		}
		return Tap{Begin: taps.begin, End: taps.end, Statements: taps.statements(), Leak: taps.leak, Detach: taps.detach}
	}
}

type several []Tap

// enabledKey is the context key of the taps that a lease is observed by, an enabledSet.
// A ctx without it belongs to no lease, and is for all of them.
type enabledKey struct{ taps *Tap }

type enabledSet []bool

func (s several) enabled(ctx context.Context) enabledSet {
	set, _ := ctx.Value(enabledKey{&s[0]}).(enabledSet)
	return set
}

func (s several) begin(ctx context.Context, event Event) context.Context {
	set := s.enabled(ctx)
	if event.Op == Acquire || event.Op == Operation {
		set = make(enabledSet, len(s))
		for i := range s {
			set[i] = s[i].Enabled(ctx)
		}
		ctx = context.WithValue(ctx, enabledKey{&s[0]}, set)
	}
	begun := 0
	defer func() {
		if 0 < begun && begun < len(s) {
			s[:begun].exited(ctx, event)
		}
	}()
	for ; begun < len(s); begun++ {
		switch {
		case set != nil && !set[begun]:
		case event.Op == Construct || event.Op == Destroy:
			ctx = s[begun].beginApart(ctx, event)
		default:
			ctx = s[begun].Begin(ctx, event)
		}
	}
	return ctx
}

// errObserverExited is what observers see of an operation that goes no further: one after them called runtime.Goexit in Begin.
var errObserverExited = errors.New("an observer called runtime.Goexit")

// exited ends what has begun for the taps of s, as whoever called begin never gets to that.
func (s several) exited(ctx context.Context, event Event) {
	event.Err = errObserverExited
	if event.Op == Release {
		event.Outcome, event.Reason = Destroyed, resource.Panicked
	}
	s.end(ctx, event)
}

// beginApart is Begin of a Construct or a Destroy, which go on even if it calls runtime.Goexit:
// the others begin all the same, and End gets the ctx of all that have begun.
func (t Tap) beginApart(ctx context.Context, event Event) (inner context.Context) {
	inner = ctx
	apart(func() { inner = t.Begin(ctx, event) })
	return inner
}

// each calls do for every tap, for the later ones also if one calls runtime.Goexit.
func (s several) each(do func(i int)) { s.eachFrom(0, do) }

func (s several) eachFrom(i int, do func(i int)) {
	if i < len(s) {
		defer s.eachFrom(i+1, do)
		do(i)
	}
}

func (s several) end(ctx context.Context, event Event) {
	set := s.enabled(ctx)
	s.each(func(i int) {
		i = len(s) - 1 - i
		if event.Op == Statement && !s[i].Statements && !event.Statement.Slow {
			return
		}
		if set == nil || set[i] || event.Op == Statement {
			s[i].End(ctx, event)
		}
	})
}

// statements reports whether one of the taps wants all statements.
func (s several) statements() bool {
	return slices.ContainsFunc(s, func(tap Tap) bool { return tap.Statements })
}

func (s several) leak(leak Leak) {
	s.each(func(i int) { s[i].Leak(leak) })
}

func (s several) detach() {
	s.each(func(i int) { s[i].Detach() })
}
